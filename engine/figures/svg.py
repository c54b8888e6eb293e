"""Pictures that change while a slider moves: plain SVG, which a browser redraws in a few milliseconds.

A Plotly figure takes a browser three times as long to draw again. Coordinates are those of a picture 540 wide
that the page scales; text takes the page's font, colours are the theme's. Nothing here spans lines: a blank line would
end the HTML inside Markdown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Literal

from engine.figures.panes import ticks
from engine.figures.theme import Theme

WIDTH = 540  # about as many pixels as a figure beside a text has
SIZE, SMALL = 14, 13  # of text
Anchor = Literal["start", "middle", "end"]
Range = tuple[float, float]
Ticks = Sequence[tuple[float, str]]


class Picture:
    """An SVG that grows by what is drawn on it; later things lie on top."""

    def __init__(self, theme: Theme, height: int, width: int = WIDTH) -> None:
        self.theme, self.width, self.height = theme, width, height
        self.parts: list[str] = []

    def rect(self, x: float, y: float, width: float, height: float, fill: str, title: str = "", more: str = "") -> None:
        """A filled rectangle; ``title`` shows when the mouse rests on it."""
        box = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
        self.parts.append(f'<rect {box} fill="{fill}"{_more(more)}>{_title(title)}</rect>')

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str, width: float = 1, dash: str = "") -> None:
        """A straight line."""
        ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
        self.parts.append(f'<line {ends} stroke="{colour}" stroke-width="{width:g}"{_dash(dash)}/>')

    def path(self, points: Iterable[tuple[float, float]], colour: str, width: float = 2, dash: str = "",
             fill: str = "none", opacity: float = 1.0) -> None:  # fmt: skip
        """A line through ``points``, or an area where ``fill`` is a colour."""
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        shade = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
        self.parts.append(f'<path d="M{way}" fill="{fill}"{shade} stroke="{colour}" stroke-width="{width:g}" '
                          f'stroke-linejoin="round"{_dash(dash)}/>')  # fmt: skip

    def cells(self, cells: Iterable[str], height: float, fill: str) -> None:
        """Many rectangles of one colour as a single shape: strokes made by :func:`stroke`, ``height`` high."""
        if way := "".join(cells):
            self.parts.append(f'<path d="{way}" stroke="{fill}" stroke-width="{height:g}"/>')

    def text(self, x: float, y: float, text: str, anchor: Anchor = "start", colour: str = "", size: float = SIZE,
             bold: bool = False, turned: bool = False) -> None:  # fmt: skip
        """One line of text whose middle height is ``y``; ``turned``: upwards, for the title of an axis."""
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        weight = ' font-weight="650"' if bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" dy=".35em" text-anchor="{anchor}" font-size="{size:g}" '
            f'fill="{colour or self.theme.text}"{weight}{turn}>{escape(text, quote=False)}</text>'
        )

    def image(self, x: float, y: float, side: float, address: str) -> None:
        """A square picture in whole pixels; ``address`` is a data URL."""
        place = f'x="{x:.1f}" y="{y:.1f}" width="{side:g}" height="{side:g}"'
        self.parts.append(f'<image {place} href="{address}" style="image-rendering:pixelated"/>')

    def symbol(self, x: float, y: float, kind: str, colour: str, size: float = 5, title: str = "",
               hollow: bool = False, opacity: float = 1.0) -> None:  # fmt: skip
        """A circle, square, diamond, triangle or cross, so that colour is never the only sign."""
        style = f'fill="{"none" if hollow else colour}" stroke="{colour}" stroke-width="1.5"'
        style += f' opacity="{opacity:g}"' if opacity < 1 else ""
        self.parts.append(f"<g {style}>{_shape(kind, x, y, size)}{_title(title)}</g>")

    def key(self, x: float, y: float, entries: Sequence[tuple[str, str, str]]) -> None:
        """A line of entries (symbol or dash, colour, words) from ``x`` on, wrapped at the right edge."""
        left = x
        for kind, colour, words in entries:
            width = 34 + 6.5 * wide(words)
            if left > x and left + width > self.width:
                left, y = x, y + 18
            if kind.startswith("line"):
                self.line(left, y, left + 16, y, colour, 2.5, kind.removeprefix("line").strip())
            else:
                self.symbol(left + 8, y, kind, colour)
            self.text(left + 22, y, words, size=SMALL)
            left += width

    def svg(self) -> str:
        """The whole picture; the page puts its text alternative around it."""
        return (f'<svg viewBox="0 0 {self.width} {self.height}" xmlns="http://www.w3.org/2000/svg" '
                f'aria-hidden="true">{"".join(self.parts)}</svg>')  # fmt: skip


class Pane:
    """A rectangle of a picture with its own two scales; everything is drawn in their units and cut at its edges."""

    def __init__(self, picture: Picture, left: float, top: float, width: float, height: float, x: Range, y: Range,
                 log_x: bool = False, log_y: bool = False) -> None:  # fmt: skip
        self.picture, self.theme = picture, picture.theme
        self.left, self.top, self.width, self.height = left, top, width, height
        self.across, self.up = _scale(x, left, width, log_x), _scale(y, top + height, -height, log_y)

    def axes(self, x_title: str = "", y_title: str = "", x_ticks: Ticks = (), y_ticks: Ticks = ()) -> None:
        """Both axes with their ticks; titles name the unit."""
        picture, theme = self.picture, self.theme
        bottom, right = self.top + self.height, self.left + self.width
        for value, words in y_ticks:
            y = self.up(value)
            picture.line(self.left, y, right, y, theme.grid)
            picture.text(self.left - 7, y, words, "end", theme.muted, SMALL)
        for value, words in x_ticks:
            x = self.across(value)
            picture.line(x, bottom, x, bottom + 4, theme.muted)
            picture.text(x, bottom + 14, words, "middle", theme.muted, SMALL)
        picture.line(self.left, bottom, right, bottom, theme.muted)
        if x_title:
            picture.text((self.left + right) / 2, bottom + 34, x_title, "middle")
        if y_title:
            picture.text(self.left, self.top - 12, y_title, "start")

    def curve(self, xs: Iterable[float], ys: Iterable[float], colour: str, width: float = 2, dash: str = "",
              fill: bool = False) -> None:  # fmt: skip
        """A line through the points, or with ``fill`` the area below it."""
        points = [(self.across(x), self.up(y)) for x, y in zip(xs, ys, strict=True)]
        if fill and points:
            bottom = self.top + self.height
            area = [(points[0][0], bottom), *points, (points[-1][0], bottom)]
            self.picture.path(area, "none", 0, fill=colour, opacity=0.22)
        self.picture.path(points, colour, width, dash)

    def rule(self, x: float, colour: str, dash: str = "4 3", width: float = 1.5) -> None:
        """A vertical line at ``x`` over the whole height."""
        at = self.across(x)
        self.picture.line(at, self.top, at, self.top + self.height, colour, width, dash)

    def level(self, y: float, colour: str, dash: str = "4 3", width: float = 1.5) -> None:
        """A horizontal line at ``y`` over the whole width."""
        at = self.up(y)
        self.picture.line(self.left, at, self.left + self.width, at, colour, width, dash)

    def point(self, x: float, y: float, kind: str, colour: str, size: float = 5, title: str = "", hollow: bool = False,
              opacity: float = 1.0) -> None:  # fmt: skip
        """A symbol at (x, y)."""
        self.picture.symbol(self.across(x), self.up(y), kind, colour, size, title, hollow, opacity)

    def column(self, low: float, high: float, y: float, fill: str, title: str = "", opacity: float = 1.0) -> None:
        """A bar from ``low`` to ``high`` on the x axis, as high as ``y``."""
        left, right, top = self.across(low), self.across(high), self.up(y)
        more = f'fill-opacity="{opacity:g}"' if opacity < 1 else ""
        self.picture.rect(left, top, right - left, self.top + self.height - top, fill, title, more)


def round_ticks(low: float, high: float, write: Callable[[float], str], count: int = 4) -> list[tuple[float, str]]:
    """About ``count`` ticks at round values, each with its words."""
    found = ticks(low, high, write, count)
    return list(zip(found["tickvals"], found["ticktext"], strict=True))


def stroke(x: float, y: float, width: float, height: float) -> str:
    """A rectangle with its upper left corner at (x, y), for :meth:`Picture.cells`."""
    return f"M{x:g} {round(y + height / 2, 2):g}h{width:g}"


def wide(words: str) -> int:
    """Width of a text in letters: a Chinese one takes two."""
    return sum(2 if ord(letter) > 0x2E80 else 1 for letter in words)


def _scale(ends: Range, start: float, length: float, log: bool) -> Callable[[float], float]:
    """Data to coordinates; what lies outside stays at the edge."""
    low, high = (math.log10(v) for v in ends) if log else ends
    per = length / ((high - low) or 1.0)
    floor = ends[0]

    def place(value: float) -> float:
        found = (math.log10(max(value, floor)) if log else value) - low
        return start + per * min(max(found, 0.0), high - low)

    return place


def _shape(kind: str, x: float, y: float, r: float) -> str:
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}"/>'
    if kind == "square":
        return f'<rect x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r:g}" height="{2 * r:g}"/>'
    ways = {
        "diamond": f"M{x:.1f} {y - 1.3 * r:.1f}l{1.3 * r:g} {1.3 * r:g}l-{1.3 * r:g} {1.3 * r:g}"
        f"l-{1.3 * r:g} -{1.3 * r:g}z",
        "triangle": f"M{x:.1f} {y - 1.2 * r:.1f}l{1.2 * r:g} {2.1 * r:g}h-{2.4 * r:g}z",
        "cross": f"M{x - r:.1f} {y - r:.1f}l{2 * r:g} {2 * r:g}m0 -{2 * r:g}l-{2 * r:g} {2 * r:g}",
    }
    return f'<path d="{ways[kind]}"/>'


def _dash(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""


def _more(more: str) -> str:
    return f" {more}" if more else ""


def _title(title: str) -> str:
    return f"<title>{escape(title, quote=False)}</title>" if title else ""
