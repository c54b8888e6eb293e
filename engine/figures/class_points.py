"""A class's points, quality against one cost, with who asked for each; one's own stand out by colour and symbol."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.hover import SHARES, hover_text, quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.pareto_info import axis_of, cost_words
from engine.figures.theme import CLEAR, Theme, axis, layout, theme_of
from engine.units import decade_ticks

NAMED = 8  # people whose names a point's text holds
INTERVALS_UP_TO = 60  # points; more would hide each other
SMALL, GROWTH, LARGE = 10.0, 2.2, 26.0  # pixels of a marker, by the root of its people
LEAST_SPAN = 2.6
SPOKEN = 5  # of one's own points, in the alt text
GROUPS = {"other": "circle", "several": "square", "mine": "diamond"}

Row = Mapping[str, Any]
Figure = dict[str, Any]


class Dot(NamedTuple):
    """One point: ``people`` asked for it; ``hollow``: its time is simulated."""

    key: str
    x: float
    y: float
    y_low: float
    y_high: float
    people: int
    mine: bool
    hollow: bool
    hover: str

    @property
    def group(self) -> str:
        """One of GROUPS."""
        return "mine" if self.mine else "several" if self.people > 1 else "other"


class ClassInfo(NamedTuple):
    """A class's points; ``left_out`` lacked the cost. ``teacher`` is the teacher's own quality, None where unknown."""

    cost: str
    metric: str
    direction: str
    points: tuple[Dot, ...]
    people: int
    left_out: int
    teacher: float | None
    x_range: tuple[float, float]
    y_range: tuple[float, float]


def class_info(
    rows: Sequence[Row], names: Sequence[Sequence[str]], mine: Sequence[bool], cost: str = "packed_bytes", *,
    people: int = 0, metric: str = "accuracy", direction: str = "maximize", teacher: float | None = None,
    labels: Labels | None = None,
) -> ClassInfo:  # fmt: skip
    """What to draw of ``rows``; ``names``: what those who asked for each are called, ``mine``: whether the reader did.

    Raises :class:`InputError` for a cost that no chart shows.
    """
    axis_of(cost)
    words = labels_of(labels)
    known = zip(rows, names, mine, strict=True)
    dots = tuple(_dot(row, who, own, cost, metric, words) for row, who, own in known if (row.get(cost) or 0) > 0)
    y_range = _y_range([*dots], teacher)
    return ClassInfo(cost, metric, direction, dots, people, len(rows) - len(dots), teacher, _x_range(dots), y_range)


def asked_by(names: Sequence[str], words: Labels) -> str:
    """The names in one line, the first few written out; as they were typed."""
    told = ", ".join(names[:NAMED])
    return words["class_more"].format(names=told, count=len(names) - NAMED) if len(names) > NAMED else told


def alt_text(info: ClassInfo, labels: Labels | None = None) -> str:
    """The chart for those who cannot see it."""
    words = labels_of(labels)
    if not info.points:
        return words["class_empty"]
    sign = 1 if info.direction == "maximize" else -1
    best = max(info.points, key=lambda p: sign * p.y)
    own = [_spoken(p, info, words) for p in info.points if p.mine][-SPOKEN:]
    return words["alt_class"].format(
        count=len(info.points), people=info.people, metric=words[f"metric_{info.metric}"],
        axis=words[f"axis_{info.cost}"], best=quality_words(best.y, info.metric),
        best_cost=cost_words(best.x, info.cost),
        mine=words["alt_class_mine"].format(points=", ".join(own)) if own else "",
    ).strip()  # fmt: skip


def class_figure(
    info: ClassInfo, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 380, size: int = 13
) -> Figure:
    """The chart as ``{"data": [...], "layout": {...}}``; ``size``: of its letters in pixels, larger for a projector."""
    colours, words = theme_of(theme), labels_of(labels)
    data = [_trace(group, [p for p in info.points if p.group == group], info, colours, words) for group in GROUPS]
    return {"data": [t for t in data if t["x"]], "layout": _layout(info, colours, words, height, size)}


def _dot(row: Row, names: Sequence[str], mine: bool, cost: str, metric: str, words: Labels) -> Dot:
    y, low, high = row["quality"], row.get("quality_low"), row.get("quality_high")
    told = html.escape(asked_by(names, words), quote=False)  # Plotly reads a little HTML
    hover = hover_text(row, words, metric) + ("<br>" + words["class_asked"].format(names=told) if names else "")
    hollow = axis_of(cost).timed and bool(row.get("simulated"))
    ends = (float(y if low is None else low), float(y if high is None else high))
    return Dot(str(row["key"]), float(row[cost]), float(y), *ends, max(1, len(names)), mine, hollow, hover)


def _spoken(dot: Dot, info: ClassInfo, words: Labels) -> str:
    return words["alt_class_point"].format(quality=quality_words(dot.y, info.metric), cost=cost_words(dot.x, info.cost))


def _y_range(dots: Sequence[Dot], teacher: float | None) -> tuple[float, float]:
    """All points with their intervals: in a class the ruined network is as interesting as the good one."""
    ends = [v for p in dots for v in (p.y_low, p.y_high)] + ([teacher] if teacher is not None else [])
    if not ends:
        return 0.0, 1.0
    margin = max(0.06 * (max(ends) - min(ends)), 0.005)
    return min(ends) - margin, max(ends) + margin


def _x_range(dots: Sequence[Dot]) -> tuple[float, float]:
    if not dots:
        return 1.0, 10.0
    low, high = min(p.x for p in dots), max(p.x for p in dots)
    # points of nearly one cost: wide enough that one of the ticks 1, 2, 5 lies inside and names the unit
    factor = max((high / low) ** 0.08, 1.25, math.sqrt(LEAST_SPAN * low / high))
    return low / factor, high * factor


def _trace(group: str, dots: Sequence[Dot], info: ClassInfo, theme: Theme, words: Labels) -> Figure:
    colour = {"mine": theme.front, "several": theme.dense, "other": theme.rest}[group]
    symbol = GROUPS[group]
    trace: Figure = {
        "type": "scatter", "mode": "markers+text", "name": words[f"class_{group}"],
        "x": [p.x for p in dots], "y": [p.y for p in dots], "customdata": [[p.key] for p in dots],
        "text": [f"×{p.people}" if p.people > 1 else "" for p in dots], "textposition": "middle right",
        "textfont": {"color": theme.text}, "hovertext": [p.hover for p in dots],
        "hovertemplate": "%{hovertext}<extra></extra>", "cliponaxis": False,
        "marker": {"symbol": [f"{symbol}-open" if p.hollow else symbol for p in dots], "color": colour,
                   "size": [min(LARGE, SMALL + GROWTH * math.sqrt(p.people)) for p in dots],
                   "opacity": 1.0 if group == "mine" else 0.85,
                   "line": {"width": 2 if group == "mine" else 1,
                            "color": theme.selected if group == "mine" else theme.muted}},
    }  # fmt: skip
    if len(info.points) <= INTERVALS_UP_TO:
        above, below = [p.y_high - p.y for p in dots], [p.y - p.y_low for p in dots]
        trace["error_y"] = {"type": "data", "symmetric": False, "array": above, "arrayminus": below,
                            "color": theme.muted, "thickness": 1, "width": 0}  # fmt: skip
    return trace


def _layout(info: ClassInfo, theme: Theme, words: Labels, height: int, size: int) -> Figure:
    metric, values_texts = words[f"metric_{info.metric}"], decade_ticks(*info.x_range, axis_of(info.cost).steps)
    x_axis = axis(theme, words[f"axis_{info.cost}"], type="log", range=[math.log10(v) for v in info.x_range],
                  tickmode="array", tickvals=values_texts[0], ticktext=values_texts[1])  # fmt: skip
    more = info.direction == "maximize"
    title = words["axis_quality" if more else "axis_quality_low"].format(metric=metric[:1].upper() + metric[1:])
    tick = ".0%" if info.metric in SHARES else ".3~g"
    # better is up, whichever way the measure goes
    y_axis = axis(theme, title, range=list(info.y_range if more else info.y_range[::-1]), tickformat=tick)
    for one in (x_axis, y_axis):
        one["title"]["font"]["size"], one["tickfont"]["size"] = size, size - 1
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": size}, "bgcolor": CLEAR}
    base = layout(
        theme, height, xaxis=x_axis, yaxis=y_axis, legend=legend, showlegend=True, dragmode=False, hovermode="closest",
        margin={"l": 8, "r": 12, "t": 10, "b": 8}, **_teacher(info, theme, words),
    )  # fmt: skip
    base["font"]["size"] = base["hoverlabel"]["font"]["size"] = size
    return base


def _teacher(info: ClassInfo, theme: Theme, words: Labels) -> Figure:
    """A dotted line where the teacher is; what is in the middle of an empty chart."""
    if not info.points:
        middle = {"text": words["class_empty"], "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
        return {"annotations": [{**middle, "showarrow": False}]}
    if info.teacher is None:
        return {}
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": info.teacher, "y1": info.teacher,
            "line": {"color": theme.teacher, "width": 1.5, "dash": "dot"}}  # fmt: skip
    text = words["class_teacher"].format(quality=quality_words(info.teacher, info.metric))
    note = {"xref": "paper", "x": 0.005, "y": info.teacher, "xanchor": "left", "yanchor": "top", "text": text,
            "showarrow": False, "font": {"color": theme.text}}  # fmt: skip
    return {"shapes": [line], "annotations": [note]}
