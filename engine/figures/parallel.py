"""Parallel coordinates: one line a point across settings, quality and cost; drag along an axis to keep a part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.figures.front_info import Numbers
from engine.figures.hover import quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.pareto_info import axis_of, cost_words
from engine.figures.theme import CIVIDIS, Theme, layout, theme_of
from engine.units import decade_ticks, format_share

Row = Mapping[str, Any]
KNOBS = ("student", "loss", "temperature", "weight", "labels", "epochs", "pruning", "schedule", "sparsity", "bits")
MOST_LINES, MOST_TICKS, MOST_WORDS = 2000, 9, 18


class Across(NamedTuple):
    """One axis: ``values`` [N] as numbers, ticks with their words, and whether it is a measured one."""

    name: str
    values: tuple[float, ...]
    ticks: tuple[float, ...]
    words: tuple[str, ...]
    measured: bool


class ParallelInfo(NamedTuple):
    """The lines: ``colours`` [N] is each one's place between worst (0) and best (1); ``left_out`` were too many."""

    axes: tuple[Across, ...]
    colours: tuple[float, ...]
    best: str
    metric: str
    shown: int
    left_out: int


def parallel_info(
    rows: Sequence[Row], cost: str, columns: Mapping[str, Numbers], *, quality: str = "quality",
    direction: str = "maximize", metric: str = "accuracy", labels: Labels | None = None,
) -> ParallelInfo:  # fmt: skip
    """Lines of the best MOST_LINES of ``rows`` [N]; only settings that differ get an axis.

    ``columns`` hold costs and qualities [N] as in front_info.
    """
    words, timed = labels_of(labels), axis_of(cost)
    taught = np.array([row.get("role") != "teacher" for row in rows], dtype=bool)  # a teacher has no settings
    usable = np.flatnonzero(taught & np.isfinite(columns[cost]) & (columns[cost] > 0) & np.isfinite(columns[quality]))
    good = columns[quality][usable] * (1.0 if direction == "maximize" else -1.0)
    order = usable[np.argsort(-good, kind="stable")][:MOST_LINES]
    chosen = [rows[i] for i in order.tolist()]
    name = metric if quality == "quality" else quality
    ys, xs = columns[quality][order], columns[cost][order]
    axes = [axis for knob in KNOBS if (axis := _knob(chosen, knob, words))]
    if len(order):
        axes += [_quality(ys, name, words), _cost(xs, cost, timed.steps, words)]
    best = f"{quality_words(float(ys[0]), name)}, {cost_words(float(xs[0]), cost)}" if len(order) else ""
    return ParallelInfo(tuple(axes), tuple(_places(ys, direction)), best, name, len(order), len(usable) - len(order))


def parallel_figure(info: ParallelInfo, theme: Theme | str = "light", *, labels: Labels | None = None,
                    height: int = 420) -> dict[str, Any]:  # fmt: skip
    """The lines as a plain plotly dict, yellow (dark blue in the light theme) for the best."""
    colours = theme_of(theme)
    scale = CIVIDIS if colours.name == "dark" else tuple(reversed(CIVIDIS))
    line = {"color": list(info.colours), "cmin": 0, "cmax": 1,
            "colorscale": [[i / (len(scale) - 1), colour] for i, colour in enumerate(scale)]}  # fmt: skip
    dimensions = [{"label": a.name, "values": list(a.values), "tickvals": list(a.ticks), "ticktext": list(a.words),
                   "range": _range(a)} for a in info.axes]  # fmt: skip
    text = {"color": colours.text, "size": 12}
    trace = {"type": "parcoords", "dimensions": dimensions, "line": line, "labelfont": text | {"size": 13},
             "tickfont": text, "rangefont": {"color": "rgba(0,0,0,0)", "size": 1},
             "unselected": {"line": {"color": colours.grid, "opacity": 0.4}}}  # fmt: skip
    return {"data": [trace] if info.shown else [],
            "layout": layout(colours, height, margin={"l": 120, "r": 64, "t": 46, "b": 24})}  # fmt: skip


def alt_text(info: ParallelInfo, labels: Labels | None = None) -> str:
    """The lines for those who cannot see them."""
    words = labels_of(labels)
    if not info.shown:
        return words["alt_parallel_empty"]
    return words["alt_parallel"].format(count=info.shown, axes=", ".join(a.name for a in info.axes), best=info.best)


def _knob(rows: Sequence[Row], knob: str, words: Labels) -> Across | None:
    """A setting's axis: numbers at their place, words one below the other; None where all rows agree."""
    found = [row.get(knob) for row in rows]
    different = set(found)
    if len(different - {None} if knob != "labels" else different) < 2:
        return None
    numbers = sorted(v for v in different if isinstance(v, (int, float)))
    even = len(numbers) < len(different) or (len(numbers) > 2 and numbers[0] > 0 and numbers[-1] / numbers[0] >= 4)
    order: list[Any] = [*sorted((v for v in different if isinstance(v, str)), reverse=True), *numbers]
    order = [*order, None] if knob == "labels" else [*([None] if None in different else []), *order]
    order = [v for v in order if v in different]
    place = {v: float(i if even else v) for i, v in enumerate(order)}
    most = MOST_TICKS if numbers else MOST_WORDS
    kept = order if len(order) <= most else [order[round(i)] for i in np.linspace(0, len(order) - 1, most)]
    ticks = tuple(place[v] for v in kept)
    said = tuple(_word(knob, v, words) for v in kept)
    return Across(words[f"knob_{knob}"], tuple(place[v] for v in found), ticks, said, False)


def _word(knob: str, value: Any, words: Labels) -> str:
    if value is None:
        return words["parallel_all" if knob == "labels" else "parallel_none"]
    if knob == "sparsity":
        return format_share(value).replace(".0 ", " ")
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return words.get(f"{knob}_{value}") or str(value).replace("_", " ")


def _quality(ys: Numbers, metric: str, words: Labels) -> Across:
    ticks = np.linspace(ys.min(), ys.max(), 5) if ys.max() > ys.min() else ys[:1]
    said = tuple(quality_words(float(t), metric) for t in ticks)
    return Across(words[f"metric_{metric}"], tuple(ys.tolist()), tuple(ticks.tolist()), said, True)


def _cost(xs: Numbers, cost: str, steps: tuple[tuple[float, str], ...], words: Labels) -> Across:
    """On a logarithmic axis, which parallel coordinates have to be given as such."""
    values, said = decade_ticks(float(xs.min()), float(xs.max()), steps)
    inside = [(v, s) for v, s in zip(values, said, strict=True) if xs.min() <= v <= xs.max()]
    ends = inside if len(inside) > 1 else [(float(v), cost_words(float(v), cost)) for v in (xs.min(), xs.max())]
    ticks = tuple(math.log10(v) for v, _ in ends)
    return Across(words[f"short_{cost}"], tuple(np.log10(xs).tolist()), ticks, tuple(s for _, s in ends), True)


def _places(ys: npt.NDArray[np.float64], direction: str) -> list[float]:
    """Ranks from 0 (worst) to 1 (best): ruined points would take all of a linear scale."""
    if not len(ys):
        return []
    rank = np.argsort(np.argsort(ys if direction == "maximize" else -ys, kind="stable"), kind="stable")
    return [float(r) for r in rank / max(len(ys) - 1, 1)]


def _range(axis: Across) -> list[float]:
    low, high = min(axis.values), max(axis.values)
    margin = 0.04 * (high - low) or 0.5
    return [low - margin, high + margin]
