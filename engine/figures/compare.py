"""A few trials beside each other: their training curves in one pane, and how far each is from the first one.

Every trial has a letter, a colour, a symbol and a dash, the same in both figures and beside its name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.hover import SHARES, quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of

LETTERS = "ABCD"
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
DASHES = ("solid", "dash", "dot", "dashdot")


class Line(NamedTuple):
    """One trial's quality by epoch, counted on through its phases; what is not a number is None."""

    letter: str
    epochs: tuple[int, ...]
    qualities: tuple[float | None, ...]


class Compared(NamedTuple):
    """The curves of up to four trials; one without a curve has an empty line."""

    metric: str
    lines: tuple[Line, ...]


class Gap(NamedTuple):
    """Quality of one trial minus the first one's; ``low`` and ``high`` are None where no interval is known."""

    letter: str
    difference: float
    low: float | None
    high: float | None


def compare_info(curves: Sequence[Sequence[Mapping[str, Any]]], metric: str = "accuracy") -> Compared:
    """``curves``: for each trial its result's list of ``{"epoch", "loss", "quality"}``."""
    lines = [
        Line(letter, tuple(range(1, len(curve) + 1)), tuple(_number(point.get("quality")) for point in curve))
        for letter, curve in zip(LETTERS, curves, strict=False)
    ]
    return Compared(metric, tuple(lines))


def gaps_info(differences: Sequence[Mapping[str, float | None]]) -> tuple[Gap, ...]:
    """``differences``: of the second, third, ... trial to the first, each ``{"difference", "low", "high"}``."""
    return tuple(
        Gap(letter, float(row["difference"] or 0.0), row.get("low"), row.get("high"))
        for letter, row in zip(LETTERS[1:], differences, strict=False)
    )


def colours_of(theme: Theme | str) -> tuple[str, ...]:
    """The colours of A, B, C and D."""
    colours = theme_of(theme)
    return (colours.front, colours.dense, colours.teacher, colours.baseline)


def compare_figure(
    info: Compared, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 260
) -> dict[str, Any]:
    """Quality on validation against epochs, one line a trial, as a plotly dict."""
    colours, words = theme_of(theme), labels_of(labels)
    data = []
    for place, line in enumerate(info.lines):
        paint, name = colours_of(colours)[place], line.letter
        data.append({
            "type": "scatter", "mode": "lines+markers", "x": list(line.epochs), "y": list(line.qualities), "name": name,
            "line": {"color": paint, "width": 2, "dash": DASHES[place]},
            "marker": {"symbol": SYMBOLS[place], "size": 8, "color": paint},
            "hovertemplate": "<b>" + name + "</b> %{y:.4~g}<extra></extra>",
        })  # fmt: skip
    last = max((len(line.epochs) for line in info.lines), default=1) or 1
    share = ".0%" if info.metric == "accuracy" else ".3~g"
    x_axis = axis(colours, words["curve_epoch"], range=[0.8, last + 0.2], dtick=max(1, round(last / 10)))
    y_axis = axis(colours, words["axis_quality"].format(metric=words[f"metric_{info.metric}"]), tickformat=share)
    return {"data": data, "layout": layout(colours, height, xaxis=x_axis, yaxis=y_axis, dragmode=False)}


def gaps_figure(
    gaps: Sequence[Gap], theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 260,
    metric: str = "accuracy",
) -> dict[str, Any]:  # fmt: skip
    """Each trial's distance to A with its paired 95 % interval, in percentage points of a share; a line at zero."""
    colours, words = theme_of(theme), labels_of(labels)
    scale = 100 if metric in SHARES else 1
    data = [_gap(gap, place, colours, scale) for place, gap in enumerate(gaps, 1)]
    reach = max([abs(scale * v) for g in gaps for v in (g.difference, g.low, g.high) if v is not None] or [0.0]) or 1.0
    zero = {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": colours.muted, "width": 1, "dash": "dot"}}  # fmt: skip
    title = words["gap_axis"] if scale > 1 else words["gap_axis_plain"].format(metric=words[f"metric_{metric}"])
    x_axis = axis(colours, title, range=[-1.15 * reach, 1.15 * reach])
    y_axis = axis(colours, "", type="category", autorange="reversed", gridcolor="rgba(0,0,0,0)")
    return {"data": data, "layout": layout(colours, height, xaxis=x_axis, yaxis=y_axis, shapes=[zero], dragmode=False)}


def alt_compare(info: Compared, labels: Labels | None = None) -> str:
    """The curves for those who cannot see them."""
    words = labels_of(labels)
    said = [
        words["alt_compare_line"].format(
            letter=line.letter, count=len(line.epochs), value=quality_words(known[-1], info.metric)
        )
        for line in info.lines
        if (known := [q for q in line.qualities if q is not None])
    ]
    return words["alt_compare"].format(metric=words[f"metric_{info.metric}"]) + " " + " ".join(said)


def alt_gaps(gaps: Sequence[Gap], labels: Labels | None = None, metric: str = "accuracy") -> str:
    """The distances for those who cannot see them."""
    words, said = labels_of(labels), []
    scale, name = (100, "alt_gap") if metric in SHARES else (1, "alt_gap_plain")
    for gap in gaps:
        template = words[name if gap.low is not None else f"{name}_alone"]
        ends = {"low": scale * (gap.low or 0.0), "high": scale * (gap.high or 0.0)}
        said.append(template.format(letter=gap.letter, points=scale * gap.difference, **ends))
    return " ".join(said)


def _gap(gap: Gap, place: int, colours: Theme, scale: int) -> dict[str, Any]:
    paint, shown = colours_of(colours)[place], "+.2f" if scale > 1 else "+.3f"
    trace: dict[str, Any] = {
        "type": "scatter", "mode": "markers", "x": [scale * gap.difference], "y": [gap.letter], "name": gap.letter,
        "marker": {"symbol": SYMBOLS[place], "size": 11, "color": paint},
        "hovertemplate": "<b>" + gap.letter + "</b> %{x:" + shown + "}<extra></extra>",
    }  # fmt: skip
    if gap.low is not None and gap.high is not None:
        trace["error_x"] = {
            "type": "data", "symmetric": False, "array": [scale * (gap.high - gap.difference)],
            "arrayminus": [scale * (gap.difference - gap.low)], "color": paint, "thickness": 2, "width": 6,
        }  # fmt: skip
    return trace


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
