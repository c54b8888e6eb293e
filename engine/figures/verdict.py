"""One measured difference with its interval, on an axis that names what each side of the margin would mean."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.figures.svg import wide
from engine.figures.theme import Theme, axis, layout, theme_of

HEIGHT, LINE = 150, 15  # pixels without the names above, and of each of their lines
WIDE, WIDE_CHINESE = 24, 20  # letters of a line; a Chinese one counts two
# where a line of Chinese may end: after each of its letters but before no punctuation, and between other words
PIECE = re.compile(r"(?:[^\s\u2e81-\uffff]+|[\u2e81-\uffff])[，。：；、？！）]*\s*")
ROW = 52  # letters of three names side by side
CROWDED = 0.45  # share of the axis left of no difference below which its name stands a row higher
ROOM = 1.25  # how far the axis reaches beyond what it shows


class Verdict(NamedTuple):
    """``value`` with its interval and the margin in the units of the axis; ``centre`` is what no difference is.

    ``outcome`` decides the colour of the dot, ``predicted`` is the outcome that somebody had predicted, or nothing.
    """

    value: float
    low: float
    high: float
    margin: tuple[float, float]
    centre: float
    outcome: str
    predicted: str
    is_ratio: bool


def verdict_info(
    value: float, low: float, high: float, margin: float, outcome: str, predicted: str = "", is_ratio: bool = False
) -> Verdict:
    """``margin`` as a lesson's check has it: on both sides of zero, or as a factor around one."""
    edges = (1 / (1 + margin), 1 + margin) if is_ratio else (-margin, margin)
    return Verdict(value, low, high, edges, 1.0 if is_ratio else 0.0, outcome, predicted, is_ratio)


def span(info: Verdict) -> tuple[float, float]:
    """The ends of the axis: everything that is shown with room on both sides; a ratio's axis begins at zero."""
    ends = (info.low, info.high, *info.margin, info.centre)
    far = max(abs(e - info.centre) for e in ends) * ROOM or 1.0
    return (max(0.0, info.centre - far), info.centre + far) if info.is_ratio else (-far, far)


def verdict_figure(info: Verdict, names: Mapping[str, str], title: str, theme: Theme | str = "light",
                   tickformat: str = ".3~g") -> dict[str, Any]:  # fmt: skip
    """``names`` says what lies on each side, by outcome; only those that could be predicted stand there."""
    colours = theme_of(theme)
    low, high = span(info)
    paint = colours.rest if info.outcome == "undecided" else colours.front
    dot = {
        "type": "scatter", "mode": "markers", "x": [info.value], "y": [0.5], "hoverinfo": "skip", "showlegend": False,
        "marker": {"size": 15, "color": paint, "symbol": "circle-open" if info.outcome == "undecided" else "circle",
                   "line": {"width": 2.5, "color": paint}},
        "error_x": {"type": "data", "symmetric": False, "array": [info.high - info.value], "thickness": 3, "width": 9,
                    "arrayminus": [info.value - info.low], "color": paint},
    }  # fmt: skip
    told = {outcome: _lines(text) for outcome, text in names.items()}
    beside = max(len(told.get(outcome, ())) for outcome in ("less", "more"))
    lifted = LINE * beside if _is_crowded(info, told) else 0
    top = LINE * max((len(lines) for lines in told.values()), default=1) + 8 + lifted
    drawn = layout(colours, HEIGHT + top, showlegend=False, margin={"l": 12, "r": 12, "t": top, "b": 40})
    drawn["xaxis"] = axis(colours, title, range=[low, high], tickformat=tickformat, zeroline=False)
    drawn["yaxis"] = {"range": [0, 1], "visible": False, "fixedrange": True}
    drawn["shapes"] = _shapes(info, colours)
    drawn["annotations"] = _annotations(info, told, (low, high), colours, lifted)
    return {"data": [dot], "layout": drawn}


def _is_crowded(info: Verdict, names: Mapping[str, list[str]]) -> bool:
    """Whether the name in the middle would run into one beside it: far to the left, or three long names in a row."""
    low, high = span(info)
    row = sum(max(wide(line) for line in lines) for lines in names.values())
    return (info.centre - low) / (high - low) < CROWDED or (len(names) == 3 and row > ROW)


def _lines(text: str) -> list[str]:
    """The text in lines; one without spaces breaks between its letters."""
    if wide(text) == len(text):
        return textwrap.wrap(text, WIDE) or [""]
    lines = [""]
    for piece in PIECE.findall(text):
        if lines[-1] and wide(lines[-1] + piece.rstrip()) > WIDE_CHINESE:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _shapes(info: Verdict, colours: Theme) -> list[dict[str, Any]]:
    middle = {"type": "line", "x0": info.centre, "x1": info.centre, "y0": 0, "y1": 1,
              "line": {"color": colours.muted, "width": 1.5, "dash": "dot"}}  # fmt: skip
    if info.margin[0] == info.margin[1]:
        return [middle]
    band = {"type": "rect", "x0": info.margin[0], "x1": info.margin[1], "y0": 0, "y1": 1, "layer": "below",
            "fillcolor": colours.grid, "line": {"width": 0}}  # fmt: skip
    return [band, middle]


def _annotations(
    info: Verdict, names: Mapping[str, list[str]], ends: tuple[float, float], colours: Theme, lifted: int
) -> list[dict[str, Any]]:
    places = {"less": (ends[0], "left"), "same": (info.centre, "center"), "more": (ends[1], "right")}
    found = []
    for outcome, (x, anchor) in places.items():
        if outcome in names:
            lines = [f"▸ {names[outcome][0]}", *names[outcome][1:]] if outcome == info.predicted else names[outcome]
            text = "<br>".join(lines)
            found.append({
                "x": x, "xanchor": anchor, "y": 1.02, "yanchor": "bottom", "yref": "paper", "showarrow": False,
                "text": f"<b>{text}</b>" if outcome == info.outcome else text, "align": anchor,
                "font": {"size": 12.5, "color": colours.text}, "yshift": lifted if outcome == "same" else 0,
            })  # fmt: skip
    return found
