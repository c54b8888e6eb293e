"""How sure a point's numbers are: differences with their intervals, and one dot a seed beside their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.theme import Theme, axis, layout, theme_of

Figure = dict[str, Any]
ROW, MARGIN = 34, 64
FILLED, HOLLOW = "circle", "circle-open"


class Bar(NamedTuple):
    """A value with its 95 % interval in a row of its own; ``seeds`` runs are behind it, ``text`` is told on hover."""

    name: str
    value: float
    low: float
    high: float
    seeds: int
    text: str


def differences_figure(bars: Sequence[Bar], title: str, theme: Theme | str = "light") -> Figure:
    """Differences in percentage points with a line at zero; an interval across it tells nothing apart.

    Filled dots are means over seeds, hollow ones single runs.
    """
    colours = theme_of(theme)
    ends = [0.0, *(v for b in bars for v in (b.low, b.high))]
    room = max(0.08 * (max(ends) - min(ends)), 0.2)
    zero = {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": colours.muted, "width": 1.5, "dash": "dot"}}  # fmt: skip
    x_axis = axis(colours, title, range=[min(ends) - room, max(ends) + room], tickformat="+.3~g")
    names = list(dict.fromkeys(b.name for b in bars))
    return _rows([_bar(b, colours) for b in bars], names, x_axis, colours, [zero])


def seeds_figure(dots: Sequence[tuple[str, float, str]], mean: Bar | None, title: str,
                 theme: Theme | str = "light") -> Figure:  # fmt: skip
    """One faint dot a seed (key, percent, text) and their mean with its interval; a click gives a dot's key."""
    colours = theme_of(theme)
    name = mean.name if mean else ""
    marker = {"symbol": "circle", "size": 11, "color": colours.rest, "opacity": 0.45}
    data: list[Figure] = [{
        "type": "scatter", "mode": "markers", "x": [x for _, x, _ in dots], "y": [name] * len(dots), "marker": marker,
        "customdata": [[key] for key, _, _ in dots], "hovertext": [text for _, _, text in dots],
        "hovertemplate": "%{hovertext}<extra></extra>", "selected": {"marker": {"opacity": 0.45}},
        "unselected": {"marker": {"opacity": 0.45}},
    }]  # fmt: skip
    if mean is not None:
        data.append(_bar(mean, colours))
    ends = [x for _, x, _ in dots] + ([mean.low, mean.high] if mean else [])
    room = max(0.12 * (max(ends) - min(ends)), 0.2)
    x_axis = axis(colours, title, range=[min(ends) - room, max(ends) + room], tickformat=".3~f")
    return _rows(data, [name], x_axis, colours, [])


def alt_text(bars: Sequence[Bar]) -> str:
    """All rows for those who cannot see them."""
    return " ".join(f"{b.name}: {b.text}" for b in bars)


def _bar(bar: Bar, colours: Theme) -> Figure:
    several = bar.seeds > 1
    paint = colours.front if several else colours.text
    return {
        "type": "scatter", "mode": "markers", "x": [bar.value], "y": [bar.name], "hovertext": [bar.text],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"symbol": FILLED if several else HOLLOW, "size": 12, "color": paint,
                   "line": {"width": 2, "color": paint}},
        "error_x": {"type": "data", "symmetric": False, "array": [bar.high - bar.value],
                    "arrayminus": [bar.value - bar.low], "color": paint, "thickness": 2, "width": 6},
    }  # fmt: skip


def _rows(
    data: Sequence[Figure], names: Sequence[str], across: Mapping[str, Any], colours: Theme, shapes: Sequence[Figure]
) -> Figure:
    up = axis(colours, "", type="category", categoryorder="array", categoryarray=list(reversed(names)),
              gridcolor="rgba(0,0,0,0)")  # fmt: skip
    height = ROW * max(len(names), 1) + MARGIN
    return {"data": list(data), "layout": layout(colours, height, xaxis=dict(across), yaxis=up, shapes=list(shapes),
                                                 dragmode=False, hovermode="closest")}  # fmt: skip
