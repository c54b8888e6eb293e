"""Values of one setting side by side: quality with its interval for each, a line for each of the other settings."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.hover import quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of

MOST_LINES = 6
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
WRAP_AT = 13
APART = 0.09  # of the room of one value, between the lines

Figure = dict[str, Any]


class Line(NamedTuple):
    """One combination of the other settings; a value that is not measured has no entry."""

    name: str
    places: tuple[int, ...]
    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    keys: tuple[str, ...]


class SidesInfo(NamedTuple):
    """``names`` of the values in order, the ``lines``, and how many lines were ``left_out``."""

    axis: str
    metric: str
    names: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: int
    y_range: tuple[float, float]


def sides_info(entries: Sequence[Mapping[str, Any]], axis: str, names: Sequence[str], *, metric: str = "accuracy",
               lines: Sequence[str] = ()) -> SidesInfo:  # fmt: skip
    """What to draw of ``engine.api_sides.sides``; ``lines`` names the entries. At most ``MOST_LINES`` are drawn."""
    shown = [e for e in entries if any(e["cells"])][:MOST_LINES]
    found = tuple(_line(e, lines[i] if i < len(lines) else "") for i, e in enumerate(shown))
    ends = [v for line in found for v in (*line.lows, *line.highs)]
    room = 0.08 * (max(ends) - min(ends)) if ends else 0.0
    span = (min(ends) - room, max(ends) + room) if ends and room > 0 else (0.0, 1.0)
    many = sum(any(e["cells"]) for e in entries)
    return SidesInfo(axis, metric, tuple(names), found, many - len(found), span)


def alt_text(info: SidesInfo, labels: Labels | None = None) -> str:
    """The chart for those who cannot see it."""
    words = labels_of(labels)
    if not info.lines:
        return words["alt_sides_empty"]
    told = []
    for line in info.lines:
        pairs = zip(line.places, line.values, strict=True)
        told.append(", ".join(f"{info.names[place]} {quality_words(value, info.metric)}" for place, value in pairs))
    return words["alt_sides"].format(metric=words[f"metric_{info.metric}"], axis=info.axis, lines="; ".join(told))


def sides_figure(
    info: SidesInfo, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 300
) -> Figure:
    """The chart as ``{"data": [...], "layout": {...}}``; a click on a marker gives its trial's key."""
    colours, words = theme_of(theme), labels_of(labels)
    metric = words[f"metric_{info.metric}"]
    data = [_trace(line, i, len(info.lines), colours, info.metric) for i, line in enumerate(info.lines)]
    places = list(range(len(info.names)))
    x_axis = axis(colours, info.axis, tickmode="array", tickvals=places, ticktext=[_wrapped(n) for n in info.names],
                  range=[-0.5, len(info.names) - 0.5], showgrid=False, tickangle=0)  # fmt: skip
    y_title = words["axis_quality"].format(metric=metric[:1].upper() + metric[1:])
    tick = ".1%" if info.metric == "accuracy" else ".3~g"
    y_axis = axis(colours, y_title, range=list(info.y_range), tickformat=tick)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}}
    drawn = layout(colours, height, xaxis=x_axis, yaxis=y_axis, legend=legend, showlegend=len(info.lines) > 1,
                   hovermode="closest", clickmode="event+select",
                   margin={"l": 60, "r": 16, "t": 12, "b": 40})  # fmt: skip
    return {"data": data, "layout": drawn}


def _wrapped(name: str) -> str:
    """A name in lines of about ``WRAP_AT`` characters, so that several fit under an axis."""
    return "<br>".join(textwrap.wrap(name.replace("<", "&lt;"), WRAP_AT)) or name


def _line(entry: Mapping[str, Any], name: str) -> Line:
    cells = [(place, cell) for place, cell in enumerate(entry["cells"]) if cell]
    places, found = [p for p, _ in cells], [c for _, c in cells]
    low, high = ([c[side] for c in found] for side in ("low", "high"))
    values, keys = [c["quality"] for c in found], [c["keys"][0] for c in found]
    return Line(name, tuple(places), tuple(values), tuple(low), tuple(high), tuple(keys))


def _trace(line: Line, number: int, many: int, theme: Theme, metric: str) -> Figure:
    palette = (theme.front, theme.slower, theme.teacher, theme.baseline, theme.dense, theme.rest)
    colour, shift = palette[number % len(palette)], (number - (many - 1) / 2) * APART
    rows = zip(line.values, line.lows, line.highs, strict=True)
    told = [[quality_words(v, metric) for v in row] for row in rows]
    hover = [f"<b>{value}</b> ({low} to {high})" for value, low, high in told]
    above = [high - v for v, high in zip(line.values, line.highs, strict=True)]
    below = [v - low for v, low in zip(line.values, line.lows, strict=True)]
    shown = {"marker": {"opacity": 1.0}}
    return {
        "type": "scatter", "mode": "lines+markers", "name": line.name, "x": [p + shift for p in line.places],
        "y": list(line.values), "customdata": [[key] for key in line.keys], "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra>" + line.name.replace("<", "&lt;") + "</extra>",
        "marker": {"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 10, "color": colour},
        "line": {"color": colour, "width": 1.2, "dash": DASHES[number % len(DASHES)]},
        "error_y": {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.4,
                    "width": 5, "color": colour},
        "selected": shown, "unselected": shown,
    }  # fmt: skip
