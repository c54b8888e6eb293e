"""Draws a ParetoInfo: a plain plotly dict. A click on any marker gives its key in ``customdata``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.figures.labels import Labels, labels_of
from engine.figures.pareto_info import GROUPS, Mark, ParetoInfo, axis_of
from engine.figures.theme import CLEAR, Theme, axis, layout, theme_of

GL_BEYOND = 1000
INTERVALS_UP_TO = 150
SYMBOLS = {"grid": "square", "shipped": "diamond", "trial": "circle", "baseline": "triangle-down",
           "dense": "triangle-up", "teacher": "star"}  # fmt: skip
SIZES = {"grid": 5, "shipped": 8, "trial": 8, "baseline": 12, "dense": 12, "teacher": 15}
OPACITY = {"grid": 0.35, "shipped": 0.6, "trial": 0.6, "baseline": 1.0, "dense": 1.0, "teacher": 1.0}
LEAST, FAINT = 0.35, 0.3  # of its strength: what is hardly ever on the front, and one seed of several
REFERENCES = ("baseline", "dense", "teacher")

Figure = dict[str, Any]


def pareto_figure(
    info: ParetoInfo, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 440
) -> Figure:
    """The chart as ``{"data": [...], "layout": {...}}``; ``height`` in pixels. The page gives it its title."""
    colours, words = theme_of(theme), labels_of(labels)
    quick = "scattergl" if len(info.points) > GL_BEYOND else "scatter"
    traces = [_front_line(info, colours, words)]
    for group in GROUPS:
        marks = [p for p in info.points if p.group == group]
        traces += _group(group, marks, quick, colours, words)
    traces += [*_slower(info, quick, colours, words), *_hollow_key(info, colours, words)]
    traces += _selected(info, colours, words)
    return {"data": [t for t in traces if t["x"]], "layout": _layout(info, colours, words, height)}


def _group(group: str, marks: Sequence[Mark], quick: str, theme: Theme, words: Labels) -> list[Figure]:
    """A group's faded rest and, on top, those of it that are on the front. References are never faded."""
    front = [m for m in marks if m.front]
    rest = [m for m in marks if not m.front]
    kind = "scatter" if group in REFERENCES else quick
    quiet = _trace(rest, kind, group, words[group], _colour(group, theme), theme)
    loud = _trace(front, "scatter", group, words[group], _colour(group, theme), theme)
    if group not in REFERENCES:
        loud["marker"] |= {"size": 8 if group == "grid" else 11, "opacity": 1.0}
        loud["marker"]["color"] = shades(theme.front, strengths(front, 1.0))
        loud["showlegend"] = not rest
    elif rest:
        loud["showlegend"] = False
    return [quiet, loud]


def _colour(group: str, theme: Theme) -> str:
    named = {"shipped": theme.shipped, "baseline": theme.baseline, "dense": theme.dense, "teacher": theme.teacher}
    return named.get(group, theme.rest)


def _trace(marks: Sequence[Mark], kind: str, group: str, name: str, colour: str, theme: Theme) -> Figure:
    strong = group in REFERENCES
    found = strengths(marks, OPACITY[group])
    # Plotly fades by opacity what is not selected, and takes one number there: differing strengths lie in the colours
    opacity, fill = (1.0, shades(colour, found)) if isinstance(found, list) else (found, colour)
    trace: Figure = {
        "type": kind, "mode": "markers", "name": name, "legendgroup": group, "showlegend": True,
        "x": [m.x for m in marks], "y": [m.y for m in marks], "customdata": [[m.key] for m in marks],
        "hovertext": [m.hover for m in marks], "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"symbol": _symbols(marks, SYMBOLS[group]), "size": SIZES[group], "color": fill, "opacity": opacity,
                   "line": {"width": 1 if strong else 0.5, "color": shades(theme.text, found) if strong else fill}},
        # Plotly fades what is not selected; the selected point has its own ring instead
        "selected": {"marker": {"opacity": opacity}}, "unselected": {"marker": {"opacity": opacity}},
    }  # fmt: skip
    if 0 < len(marks) <= INTERVALS_UP_TO and group != "grid":
        trace |= _intervals(marks, theme.muted if not strong else colour)
    return trace


def strength(base: float, chance: float | None, replicate: bool, front: bool) -> float:
    """How strongly a point is drawn: the more, the likelier it is on the front; a single seed of several faintly."""
    if replicate:
        return base * FAINT
    if chance is None:
        return base
    return LEAST + (base - LEAST) * chance if front else base + (1 - base) * chance


def strengths(marks: Sequence[Mark], base: float) -> float | list[float]:
    """One opacity where all marks have the same."""
    found = [round(strength(base, m.chance, m.replicate, m.front), 3) for m in marks]
    return found if len(set(found)) > 1 else found[0] if found else base


def shades(colour: str, opacity: float | list[float]) -> str | list[str]:
    """``colour`` (#rrggbb), or one of it for each opacity."""
    if not isinstance(opacity, list):
        return colour if opacity == 1.0 else shades(colour, [opacity])[0]
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return [f"rgba({red},{green},{blue},{alpha:.3g})" for alpha in opacity]


def _symbols(marks: Sequence[Mark], symbol: str) -> str | list[str]:
    if not any(m.hollow for m in marks):
        return symbol
    return [f"{symbol}-open" if m.hollow else symbol for m in marks]


def _intervals(marks: Sequence[Mark], colour: str) -> Figure:
    """The 95 % intervals as thin bars."""
    style = {"type": "data", "symmetric": False, "thickness": 0.8, "width": 2, "color": colour}
    # the intervals of single seeds would hide the one of their mean
    marks = [m._replace(y_low=m.y, y_high=m.y, x_low=m.x, x_high=m.x) if m.replicate else m for m in marks]
    bars = {"error_y": style | {"array": [m.y_high - m.y for m in marks], "arrayminus": [m.y - m.y_low for m in marks]}}
    if any(m.x_high > m.x_low for m in marks):
        spans = {"array": [m.x_high - m.x for m in marks], "arrayminus": [m.x - m.x_low for m in marks]}
        bars["error_x"] = style | spans
    return bars


def _front_line(info: ParetoInfo, theme: Theme, words: Labels) -> Figure:
    """Steps: for each cost, the best quality that at most this cost buys."""
    marks = [info.points[i] for i in info.front]
    name = words["front_time" if axis_of(info.cost).timed else "front"]
    return {
        "type": "scatter", "mode": "lines", "name": name, "hoverinfo": "skip",
        "x": [m.x for m in marks], "y": [m.y for m in marks],
        "line": {"shape": "hv", "width": 2, "color": theme.front},
    }  # fmt: skip


def _slower(info: ParetoInfo, quick: str, theme: Theme, words: Labels) -> list[Figure]:
    """A cross over every point that is smaller and yet slower here."""
    marks = [p for p in info.points if p.slower]
    quiet = [m for m in marks if m.replicate or (m.group == "grid" and not m.front)]
    loud = [m for m in marks if not (m.replicate or (m.group == "grid" and not m.front))]
    return [
        {
            "type": quick if part is quiet else "scatter", "mode": "markers", "name": words["slower"],
            "legendgroup": "slower", "showlegend": part is loud or not loud, "hoverinfo": "skip",
            "x": [m.x for m in part], "y": [m.y for m in part], "customdata": [[m.key] for m in part],
            "marker": {"symbol": "x-thin", "size": 4 if part is quiet else 9, "color": theme.slower,
                       "opacity": 0.6 if part is quiet else 1.0, "line": {"width": 1.6, "color": theme.slower}},
            "selected": {"marker": {"opacity": 1.0}}, "unselected": {"marker": {"opacity": 1.0}},
        }
        for part in (quiet, loud)
    ]  # fmt: skip


def _hollow_key(info: ParetoInfo, theme: Theme, words: Labels) -> list[Figure]:
    """Only the legend's line that says what hollow means."""
    if not any(p.hollow for p in info.points):
        return []
    marker = {"symbol": "circle-open", "size": 9, "color": theme.muted}
    return [{"type": "scatter", "mode": "markers", "name": words["simulated"], "x": [None], "y": [None],
             "hoverinfo": "skip", "marker": marker}]  # fmt: skip


def _selected(info: ParetoInfo, theme: Theme, words: Labels) -> list[Figure]:
    if info.selected is None:
        return []
    mark = info.points[info.selected]
    ring = {"symbol": "circle-open", "size": 22, "color": theme.selected, "line": {"width": 2.5}}
    return [{"type": "scatter", "mode": "markers", "name": words["selected"], "x": [mark.x], "y": [mark.y],
             "customdata": [[mark.key]], "hoverinfo": "skip", "marker": ring,
             "unselected": {"marker": {"opacity": 1.0}}}]  # fmt: skip


def _layout(info: ParetoInfo, theme: Theme, words: Labels, height: int) -> Figure:
    metric = words[f"metric_{info.metric}"]
    values, texts = info.ticks
    x_axis = axis(theme, words[f"axis_{info.cost}"], type="log", range=[math.log10(v) for v in info.x_range],
                  tickmode="array", tickvals=values, ticktext=texts)  # fmt: skip
    more = info.direction == "maximize"
    y_title = words["axis_quality" if more else "axis_quality_low"].format(metric=metric[:1].upper() + metric[1:])
    # better is up, whichever way the measure goes
    ends = list(info.y_range if more else info.y_range[::-1])
    y_axis = axis(theme, y_title, range=ends, tickformat=".0%" if info.metric == "accuracy" else ".3~g")
    legend = {"orientation": "h", "x": 0, "y": -0.2, "yanchor": "top", "font": {"size": 12}, "bgcolor": CLEAR,
              "itemclick": "toggle", "itemdoubleclick": "toggleothers"}  # fmt: skip
    return layout(
        theme, height, xaxis=x_axis, yaxis=y_axis, showlegend=True, legend=legend, hovermode="closest",
        clickmode="event+select", dragmode="zoom", hoverdistance=12, annotations=_notes(info, theme, words),
        margin={"l": 60, "r": 16, "t": 12, "b": 90},
    )  # fmt: skip


def _notes(info: ParetoInfo, theme: Theme, words: Labels) -> list[Figure]:
    notes: list[Figure] = []
    if info.knee is not None:
        mark = info.points[info.knee]
        # annotations on a logarithmic axis are placed by the logarithm
        notes.append({"x": math.log10(mark.x), "y": mark.y, "text": words["knee"], "showarrow": True, "arrowhead": 0,
                      "arrowcolor": theme.muted, "ax": -26, "ay": -30, "font": {"color": theme.text}})  # fmt: skip
    if info.below:
        notes.append({"xref": "paper", "yref": "paper", "x": 0.005, "y": 0.01, "xanchor": "left", "yanchor": "bottom",
                      "showarrow": False, "text": "▾ " + words["below"].format(count=info.below),
                      "font": {"color": theme.muted, "size": 12}})  # fmt: skip
    return notes
