"""Draws a FrontInfo: a plain plotly dict with arrays. A click on any marker gives its key in ``customdata``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.figures.front_info import FrontInfo, Group, Indexes, Line
from engine.figures.hover import quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.pareto_figure import FAINT, GL_BEYOND, INTERVALS_UP_TO, LEAST, OPACITY, REFERENCES, SIZES, SYMBOLS
from engine.figures.pareto_info import axis_of, cost_words
from engine.figures.theme import CLEAR, Theme, axis, layout, theme_of

Figure = dict[str, Any]
SERIES_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MOST_SERIES = len(SERIES_SYMBOLS)
OUTSIDE = 0.3  # how much of its strength a point keeps that breaks a limit


def front_figure(
    info: FrontInfo, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 440,
    paper: str = CLEAR,
) -> Figure:  # fmt: skip
    """The chart as ``{"data": [...], "layout": {...}}``; ``height`` in pixels, ``paper`` the colour behind it."""
    colours, words = theme_of(theme), labels_of(labels)
    quick = "scattergl" if len(info.xs) > GL_BEYOND else "scatter"
    traces = [_line(info, line, colours, words) for line in info.lines]
    for group in info.groups:
        traces += _group(info, group, quick, colours, words)
    if len(info.lines) == 1 and info.lines[0].style == "front":
        traces += _slower(info, quick, colours, words)
    traces += [_hollow_key(info, colours, words), *_rings(info, colours, words)]
    return {"data": [t for t in traces if len(t["x"])], "layout": _layout(info, colours, words, height, paper)}


def colour_of(style: str, theme: Theme | str) -> str:
    """The colour of a group or series: Okabe and Ito's, in an order in which neighbours differ most."""
    colours = theme_of(theme)
    if style.startswith("series"):
        palette = (colours.front, colours.slower, colours.teacher, colours.baseline, colours.dense, colours.muted)
        return palette[int(style[6:]) % len(palette)]
    named = {"front": colours.front, "shipped": colours.shipped, "baseline": colours.baseline,
             "dense": colours.dense, "teacher": colours.teacher}  # fmt: skip
    return named.get(style, colours.rest)


def symbol_of(style: str) -> str:
    """The symbol of a group or series; it says the same as the colour."""
    return SERIES_SYMBOLS[int(style[6:]) % MOST_SERIES] if style.startswith("series") else SYMBOLS.get(style, "circle")


def _line(info: FrontInfo, line: Line, theme: Theme, words: Labels) -> Figure:
    """Steps: for each cost, the best quality that at most this cost buys."""
    own = line.style == "front"
    name = words["front_time" if axis_of(info.cost).timed else "front"] if own else line.name
    dash = "solid" if own else DASHES[int(line.style[6:]) % len(DASHES)]
    return {
        "type": "scatter", "mode": "lines", "name": name, "hoverinfo": "skip", "legendgroup": line.style,
        "showlegend": own, "x": info.xs[line.points], "y": info.ys[line.points],
        "line": {"shape": "hv", "width": 2, "color": colour_of(line.style, theme), "dash": dash},
    }  # fmt: skip


def _group(info: FrontInfo, group: Group, quick: str, theme: Theme, words: Labels) -> list[Figure]:
    """A group's quiet rest and, on top, those of it that are on a front. References are never faded."""
    series = group.style.startswith("series")
    strong = group.style in REFERENCES
    colour = colour_of(group.style, theme)
    name = group.name if series else words[group.style]
    group = group._replace(rest=_sorted(info, group.rest), front=_sorted(info, group.front))
    rest = _markers(info, group.rest, "scatter" if strong else quick, name, group.style, colour, theme)
    loud = _markers(info, group.front, "scatter", name, group.style, colour, theme)
    rest["marker"] |= {
        "size": SIZES.get(group.style, 6),
        "opacity": _opacity(info, group.rest, OPACITY.get(group.style, 0.5), strong),
    }
    size = SIZES[group.style] if strong else 8 if group.style == "grid" else 11
    loud["marker"] |= {"size": size, "opacity": _opacity(info, group.front, 1.0, strong, front=True)}
    if not strong and not series:
        loud["marker"]["color"] = theme.front
    loud["showlegend"] = not len(group.rest)
    if 0 < len(group.front) <= INTERVALS_UP_TO and info.spread is not None:
        loud |= _intervals(info, group.front, theme.muted)
    return [rest, loud]


def _sorted(info: FrontInfo, index: Indexes) -> Indexes:
    """Points within the limits first, single seeds last: the legend's symbol looks like the first point."""
    behind = np.zeros(len(index), np.int8) if info.inside is None else 2 * ~info.inside[index]
    if info.replicate is not None:
        behind = behind + info.replicate[index]
    return index[np.argsort(behind, kind="stable")]


def _markers(info: FrontInfo, index: Indexes, kind: str, name: str, style: str, colour: str, theme: Theme) -> Figure:
    texts = [info.hover[i] for i in index.tolist()]
    whole = all(texts)
    shown = {"hovertext": texts, "hovertemplate": "%{hovertext}<extra></extra>"} if whole else {
        "hovertemplate": f"<b>%{{y:{_format(info)}}}</b><br>{_x_format(info)}<extra></extra>"}  # fmt: skip
    strong = style in REFERENCES
    return {
        "type": kind, "mode": "markers", "name": name, "legendgroup": style, "showlegend": True,
        "x": info.xs[index], "y": info.ys[index], "customdata": [info.keys[i] for i in index.tolist()], **shown,
        "marker": {"symbol": _symbols(info, index, symbol_of(style)), "color": colour,
                   "line": {"width": 1 if strong else 0.5, "color": theme.text if strong else colour}},
        # Plotly fades what is not selected; a click leads to the point's page instead
        "selected": {"marker": {}}, "unselected": {"marker": {}},
    }  # fmt: skip


def _symbols(info: FrontInfo, index: Indexes, symbol: str) -> str | list[str]:
    hollow = info.hollow[index]
    return [f"{symbol}-open" if h else symbol for h in hollow.tolist()] if hollow.any() else symbol


def _opacity(info: FrontInfo, index: Indexes, full: float, strong: bool = True, front: bool = False) -> Any:
    """The likelier on the front, the stronger; single seeds of several faintly, and what breaks a limit."""
    found = np.full(len(index), full)
    if info.chance is not None and not strong:
        chance = info.chance[index]
        known = LEAST + (full - LEAST) * chance if front else full + (1 - full) * chance
        found = np.where(np.isnan(chance), found, known)
    if info.replicate is not None:
        found = np.where(info.replicate[index], found * FAINT, found)
    if info.inside is not None:
        found = np.where(info.inside[index], found, found * OUTSIDE)
    return full if bool((found == full).all()) else found.astype(np.float32)


def _intervals(info: FrontInfo, index: Indexes, colour: str) -> Figure:
    """The 95 % intervals of the front's points as thin bars."""
    low, high = info.spread or (info.ys, info.ys)
    ys = info.ys[index]
    bars = {"array": np.nan_to_num(high[index] - ys), "arrayminus": np.nan_to_num(ys - low[index])}
    return {"error_y": {"type": "data", "symmetric": False, "thickness": 0.8, "width": 2, "color": colour, **bars}}


def _slower(info: FrontInfo, quick: str, theme: Theme, words: Labels) -> list[Figure]:
    """A cross over every point that is smaller and yet slower here."""
    index = np.flatnonzero(info.slower)
    return [{
        "type": quick, "mode": "markers", "name": words["slower"], "legendgroup": "slower", "hoverinfo": "skip",
        "x": info.xs[index], "y": info.ys[index], "customdata": [info.keys[i] for i in index.tolist()],
        "marker": {"symbol": "x-thin", "size": 6, "color": theme.slower, "opacity": _opacity(info, index, 0.8),
                   "line": {"width": 1.2, "color": theme.slower}},
    }]  # fmt: skip


def _hollow_key(info: FrontInfo, theme: Theme, words: Labels) -> Figure:
    """Only the legend's line that says what hollow means."""
    marker = {"symbol": "circle-open", "size": 9, "color": theme.muted}
    return {"type": "scatter", "mode": "markers", "name": words["simulated"], "hoverinfo": "skip", "marker": marker,
            "x": [None] if info.hollow.any() else [], "y": [None]}  # fmt: skip


def _rings(info: FrontInfo, theme: Theme, words: Labels) -> list[Figure]:
    """A ring around the best point within the limits, a thinner one around the runner-up."""
    found = []
    for name, position, width in (("best", info.best, 2.5), ("runner_up", info.runner_up, 1.2)):
        if position is not None:
            ring = {"symbol": "circle-open", "size": 22, "color": theme.selected, "line": {"width": width}}
            found.append({"type": "scatter", "mode": "markers", "name": words[name], "hoverinfo": "skip",
                          "x": info.xs[[position]], "y": info.ys[[position]], "customdata": [info.keys[position]],
                          "marker": ring})  # fmt: skip
    return found


def _layout(info: FrontInfo, theme: Theme, words: Labels, height: int, paper: str) -> Figure:
    metric = words[f"metric_{info.metric}"]
    values, texts = info.ticks
    x_axis = axis(theme, words[f"axis_{info.cost}"], type="log", range=[math.log10(v) for v in info.x_range],
                  tickmode="array", tickvals=values, ticktext=texts)  # fmt: skip
    name = "axis_quality" if info.direction == "maximize" else "axis_quality_low"
    # better is up, whichever way the measure goes
    ends = list(info.y_range if info.direction == "maximize" else info.y_range[::-1])
    y_axis = axis(theme, words[name].format(metric=metric[:1].upper() + metric[1:]), range=ends,
                  tickformat=_format(info))  # fmt: skip
    legend = {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top", "font": {"size": 12}, "bgcolor": CLEAR,
              "itemclick": "toggle", "itemdoubleclick": "toggleothers"}  # fmt: skip
    return layout(
        theme, height, xaxis=x_axis, yaxis=y_axis, showlegend=True, legend=legend, hovermode="closest",
        clickmode="event+select", dragmode="zoom", hoverdistance=12, annotations=_notes(info, theme, words),
        shapes=_limits(info, theme), margin={"l": 60, "r": 16, "t": 30, "b": 100}, paper_bgcolor=paper,
        uirevision=f"{info.cost} {info.quality}",
    )  # fmt: skip


def _limits(info: FrontInfo, theme: Theme) -> list[Figure]:
    """Lines at the limits; what they forbid is shaded."""
    line, shade = {"color": theme.slower, "width": 1.5, "dash": "dash"}, {"fillcolor": theme.slower, "opacity": 0.07}
    shapes: list[Figure] = []
    if info.limit is not None:
        across = {"xref": "x", "yref": "paper", "y0": 0, "y1": 1, "x0": info.limit}
        shapes += [{"type": "line", **across, "x1": info.limit, "line": line},
                   {"type": "rect", **across, "x1": 1e15, **shade, "line": {"width": 0}, "layer": "below"}]  # fmt: skip
    if info.at_least is not None:
        along = {"xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": info.at_least}
        end = -1e3 if info.direction == "maximize" else 1e3
        shapes += [{"type": "line", **along, "y1": info.at_least, "line": line},
                   {"type": "rect", **along, "y1": end, **shade, "line": {"width": 0}, "layer": "below"}]  # fmt: skip
    return shapes


def _notes(info: FrontInfo, theme: Theme, words: Labels) -> list[Figure]:
    notes = [_limit_note(info, theme, words)] if info.limit is not None else []
    if info.at_least is not None:
        name = "at_least" if info.direction == "maximize" else "at_most"
        text = words[name].format(value=quality_words(info.at_least, info.metric))
        notes.append(_note(text, theme, xref="paper", x=0.995, xanchor="right", y=info.at_least, yanchor="top"))
    for line in info.lines:
        if line.knee is not None and line.knee != info.best:
            own = {"arrowcolor": colour_of(line.style, theme), "ax": -26, "ay": -30}
            notes.append(_pointer(info, line.knee, words["knee"], theme, own))
    if info.best is not None:
        knees = {line.knee for line in info.lines}
        text = words["best_and_knee" if info.best in knees else "best"]
        notes.append(_pointer(info, info.best, text, theme, {"arrowcolor": theme.muted, "ax": 34, "ay": 34}))
    if info.beyond:
        text = "▾ " + words["below"].format(count=info.beyond)
        place = {"y": 0.01, "yanchor": "bottom"}
        notes.append(_note(text, theme, xref="paper", yref="paper", x=0.005, xanchor="left", **place))
    return notes


def _limit_note(info: FrontInfo, theme: Theme, words: Labels) -> Figure:
    value = info.limit or 1.0
    text = words["at_most"].format(value=cost_words(value, info.cost))
    right = value > math.sqrt(info.x_range[0] * info.x_range[1])
    # annotations on a logarithmic axis are placed by the logarithm
    return _note(text, theme, x=math.log10(value), xanchor="right" if right else "left", yref="paper", y=0.02,
                 yanchor="bottom", xshift=-4 if right else 4)  # fmt: skip


def _note(text: str, theme: Theme, **place: Any) -> Figure:
    return {"text": text, "showarrow": False, "font": {"color": theme.muted, "size": 12}, **place}


def _pointer(info: FrontInfo, position: int, text: str, theme: Theme, more: Figure) -> Figure:
    return {"x": math.log10(float(info.xs[position])), "y": float(info.ys[position]), "text": text, "showarrow": True,
            "arrowhead": 0, "font": {"color": theme.text}, **more}  # fmt: skip


def _format(info: FrontInfo) -> str:
    return ".1%" if info.metric in ("accuracy", "macro_f1", "agreement", "top5", "calibration_error") else ".3~g"


def _x_format(info: FrontInfo) -> str:
    return "%{x:.3~g} ms" if axis_of(info.cost).timed else "%{x:.3s}" + ("B" if info.cost.endswith("bytes") else "")
