"""What the chart of the page *Front* shows: any cost against any quality, one front a series, limits, the best point.

Works on arrays, so that 20,000 points are ready in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.figures.hover import hover_text, quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.pareto_info import FAR, GROUPS, SHOWN_BELOW_BEST, axis_of, cost_words, group_of, told
from engine.search import pareto
from engine.units import decade_ticks

Row = Mapping[str, Any]
Numbers: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
Indexes: TypeAlias = npt.NDArray[np.intp]
HOVER_UP_TO = 1500  # beyond, only points of a front have their whole text: a page must stay light to send
SHORT_KEY = 12


class Group(NamedTuple):
    """Points that look alike, as positions; ``style`` is one of GROUPS or ``series0`` ..., ``rest`` is on no front."""

    name: str
    style: str
    rest: Indexes
    front: Indexes


class Line(NamedTuple):
    """One series' front by rising cost, its knee, and the share of the box that it dominates (see :func:`box_of`)."""

    name: str
    style: str
    points: Indexes
    knee: int | None
    share: float


class FrontInfo(NamedTuple):
    """The chart. Positions refer to ``xs``, ``ys``, ``keys``; ``inside`` points keep to every limit (None: no limits).

    ``chance`` is the probability of being on the front, NaN where unknown; ``replicate`` marks single seeds of several.
    ``limit`` is the most that the drawn cost may be, ``at_least`` the worst quality that is good enough; ``beyond``
    points lie outside ``y_range``, ``left_out`` rows lack the cost or the quality.
    """

    cost: str
    quality: str
    metric: str
    direction: str
    xs: Numbers
    ys: Numbers
    keys: tuple[str, ...]
    hover: tuple[str, ...]
    groups: tuple[Group, ...]
    lines: tuple[Line, ...]
    inside: Mask | None
    hollow: Mask
    slower: Mask
    best: int | None
    runner_up: int | None
    limit: float | None
    at_least: float | None
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    ticks: tuple[list[float], list[str]]
    beyond: int
    left_out: int
    spread: tuple[Numbers, Numbers] | None
    chance: Numbers | None = None
    replicate: Mask | None = None


def front_info(
    rows: Sequence[Row], cost: str, columns: Mapping[str, Numbers], *, quality: str = "quality",
    direction: str = "maximize", counts: Mask | None = None, series: Sequence[tuple[str, Mask]] = (),
    limit: float | None = None, at_least: float | None = None, inside: Mask | None = None, best: str | None = None,
    runner_up: str | None = None, box: tuple[float, float, float, float] | None = None, metric: str = "accuracy",
    labels: Labels | None = None, chances: Numbers | None = None,
) -> FrontInfo:  # fmt: skip
    """The chart of ``rows`` [M]; ``columns`` hold their costs and qualities [M], NaN where missing.

    ``counts`` marks the points that may be on a front (others are drawn only), ``inside`` those that keep to every
    limit, of which ``limit`` is the one on the drawn cost and ``at_least`` the one on the task's own quality.
    ``series`` are names with masks [M], each drawn alike with a front of its own; without them points are grouped by
    what they are and share one front, on which they are with probability ``chances`` [M]. ``best`` and ``runner_up``
    are keys, ``box`` is what :func:`box_of` gives. Raises :class:`InputError` for an unknown ``cost``.
    """
    axis, words = axis_of(cost), labels_of(labels)
    x, y = columns[cost], columns[quality]
    kept = np.flatnonzero(np.isfinite(x) & (x > 0) & np.isfinite(y))
    xs, ys, chosen = x[kept], y[kept], [rows[i] for i in kept.tolist()]
    free = np.ones(len(kept), bool) if counts is None else counts[kept]
    sure = None if chances is None else chances[kept]
    parts = [(name, f"series{i}", mask[kept]) for i, (name, mask) in enumerate(series)]
    box = box or box_of(xs, ys, direction)
    lines = _lines(xs, ys, free, parts, direction, box)
    keys = tuple(str(row["key"])[:SHORT_KEY] for row in chosen)
    place = {key: i for i, key in enumerate(keys)}
    marked = [place.get((key or "")[:SHORT_KEY]) for key in (best, runner_up)]
    seen = [i for i in marked if i is not None]
    y_range, beyond = _y_range(ys, direction, quality == "quality", at_least, ys[seen])
    x_range = _x_range(xs[(ys >= y_range[0]) & (ys <= y_range[1])], limit)
    return FrontInfo(
        cost, quality, metric if quality == "quality" else quality, direction, xs, ys, keys,
        _hovers(chosen, lines, words, metric, sure), _groups(chosen, parts, lines), lines,
        None if inside is None else inside[kept], _flag(chosen, "simulated" if axis.timed else ""),
        _flag(chosen, "slower_here"), marked[0], marked[1], limit, at_least if quality == "quality" else None,
        x_range, y_range, decade_ticks(*x_range, axis.steps), beyond, len(rows) - len(kept),
        _spread(chosen, quality), sure, _flag(chosen, "replicate"),
    )  # fmt: skip


def box_of(xs: Numbers, ys: Numbers, direction: str) -> tuple[float, float, float, float]:
    """(smallest cost, largest cost, worst quality, best quality) of finite points: what a share is a share of."""
    usable = np.isfinite(xs) & (xs > 0) & np.isfinite(ys)
    if not usable.any():
        return 1.0, 1.0, 0.0, 0.0
    low, high = float(ys[usable].min()), float(ys[usable].max())
    worst, best = (low, high) if direction == "maximize" else (high, low)
    return float(xs[usable].min()), float(xs[usable].max()), worst, best


def alt_text(info: FrontInfo, labels: Labels | None = None) -> str:
    """The chart for those who cannot see it."""
    words = labels_of(labels)
    if not len(info.xs):
        return words["alt_pareto_empty"]
    said = [words["alt_front"].format(count=len(info.xs), metric=words[f"metric_{info.metric}"],
                                      axis=words[f"axis_{info.cost}"])]  # fmt: skip
    said += [_alt_line(info, line, words) for line in info.lines if len(line.points)]
    if info.limit is not None:
        said.append(words["alt_limit"].format(cost=cost_words(info.limit, info.cost)))
    for name, position in (("alt_best", info.best), ("alt_runner_up", info.runner_up)):
        if position is not None:
            said.append(words[name].format(**_at(info, position)))
    return " ".join(said)


def _alt_line(info: FrontInfo, line: Line, words: Labels) -> str:
    first, last = _at(info, int(line.points[0])), _at(info, int(line.points[-1]))
    ends = {"low_quality": first["quality"], "low_cost": first["cost"], "high_quality": last["quality"],
            "high_cost": last["cost"]}  # fmt: skip
    text = words["alt_ends" if len(line.points) > 1 else "alt_one"].format(**ends)
    said = words["alt_line"].format(
        name=words["alt_the_front"] if line.style == "front" else line.name, count=len(line.points), ends=text
    )
    return said if line.knee is None else said + " " + words["alt_knee"].format(**_at(info, line.knee))


def _at(info: FrontInfo, position: int) -> dict[str, str]:
    quality = quality_words(float(info.ys[position]), info.metric)
    return {"quality": quality, "cost": cost_words(float(info.xs[position]), info.cost)}


def _lines(xs: Numbers, ys: Numbers, free: Mask, parts: Sequence[tuple[str, str, Mask]], direction: str,
           box: tuple[float, float, float, float]) -> tuple[Line, ...]:  # fmt: skip
    everything = [("front", "front", np.ones(len(xs), bool))]
    found = []
    for name, style, mask in parts or everything:
        line = pareto.front_of(np.where(mask & free, xs, np.nan), ys, direction)
        costs, goods = xs[line].tolist(), ys[line].tolist()
        bend = pareto.knee(costs, goods, direction)
        found.append(
            Line(name, style, line, None if bend is None else int(line[bend]), _share(costs, goods, direction, box))
        )
    return tuple(found)


def _share(
    costs: Sequence[float], goods: Sequence[float], direction: str, box: tuple[float, float, float, float]
) -> float:
    low, high, worst, best = box
    whole = math.log10(high / low) * abs(best - worst)
    return pareto.hypervolume(costs, goods, (high, worst), direction, log=True) / whole if whole > 0 else 0.0


def _groups(rows: Sequence[Row], parts: Sequence[tuple[str, str, Mask]], lines: Sequence[Line]) -> tuple[Group, ...]:
    if not parts:
        named = np.array([group_of(row) for row in rows], dtype=np.str_)
        parts = [(name, name, named == name) for name in GROUPS]
    on_front = np.zeros(len(rows), bool)
    for line in lines:
        on_front[line.points] = True
    found = (Group(name, style, np.flatnonzero(mask & ~on_front), np.flatnonzero(mask & on_front))
             for name, style, mask in parts)  # fmt: skip
    return tuple(g for g in found if len(g.rest) or len(g.front))


def _hovers(rows: Sequence[Row], lines: Sequence[Line], words: Labels, metric: str,
            chances: Numbers | None) -> tuple[str, ...]:  # fmt: skip
    wanted = range(len(rows)) if len(rows) <= HOVER_UP_TO else {int(i) for line in lines for i in line.points}
    found = [""] * len(rows)
    for i in wanted:
        sure = None if chances is None or math.isnan(chances[i]) else float(chances[i])
        found[i] = told(hover_text(rows[i], words, metric), sure, words)
    return tuple(found)


def _flag(rows: Sequence[Row], name: str) -> Mask:
    return np.array([bool(name and row.get(name)) for row in rows], dtype=bool)


def _spread(rows: Sequence[Row], quality: str) -> tuple[Numbers, Numbers] | None:
    """The ends of the 95 % intervals, where the quality has them."""
    if quality != "quality":
        return None
    low, high = (
        np.array([row.get(name) for row in rows], dtype=np.float64) for name in ("quality_low", "quality_high")
    )
    return low, high


def _y_range(ys: Numbers, direction: str, own: bool, at_least: float | None,
             seen: Numbers) -> tuple[tuple[float, float], int]:  # fmt: skip
    """Ruined points would squeeze the interesting part: they start out of sight, counted; what is marked is seen."""
    if not len(ys):
        return (0.0, 1.0), 0
    sign = 1.0 if direction == "maximize" else -1.0
    good = sign * ys
    top, low = float(good.max()), float(good.min())
    reach = SHOWN_BELOW_BEST if own and direction == "maximize" else FAR * (top - float(np.median(good)))
    if reach > 0:
        low = max(low, top - reach)
    marked = [float(sign * v) for v in seen]
    floor = min([low, *marked, *([sign * at_least] if at_least is not None else [])])
    floor = float(good[good >= floor].min()) if at_least is None or floor != sign * at_least else floor
    margin = max(0.06 * (top - floor), 0.005 if direction == "maximize" else 0.02 * abs(top))
    ends = sorted((sign * (floor - margin), sign * (top + margin)))
    return (ends[0], ends[1]), int((good < floor).sum())


def _x_range(xs: Numbers, limit: float | None) -> tuple[float, float]:
    if not len(xs):
        return 1.0, 10.0
    low, high = float(xs.min()), float(xs.max())
    if limit is not None:  # a limit out of sight is brought into it, as far as a decade
        low, high = min(low, max(limit, low / 10)), max(high, min(limit, high * 10))
    factor = max((high / low) ** 0.06, 1.2)
    return low / factor, high * factor
