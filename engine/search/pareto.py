"""Pareto fronts of two quantities: a cost that should be low and a quality that should be high (or low).

Numpy at most and no torch: the command line, the pages and the figures use it. A point is one index into two equally
long sequences. Points whose cost or quality is missing (None), not a number or infinite take no part anywhere.
:func:`front_of` and :func:`ranking` give on arrays what :func:`front` and :func:`best_under` give on plain values, fast
enough for 20,000 points in each rerun of a page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Number = float | None
Numbers: TypeAlias = npt.NDArray[np.float64]
Indexes: TypeAlias = npt.NDArray[np.intp]
SIZES = ("packed_bytes", "latency_ms", "macs")


def dominates(cost_a: float, good_a: float, cost_b: float, good_b: float) -> bool:
    """Whether a is no worse than b in both and better in one; ``good`` is a quality where more is better."""
    return cost_a <= cost_b and good_a >= good_b and (cost_a < cost_b or good_a > good_b)


def front(costs: Sequence[Number], qualities: Sequence[Number], direction: str = "maximize") -> list[int]:
    """Indexes of the points that no other point dominates, by rising cost (and therefore rising quality).

    Exact duplicates do not dominate each other: all of them are kept, in their order, since each is a recipe that
    somebody may want to click. O(n log n).
    """
    good = _good(qualities, direction)
    order = sorted(_usable(costs, good), key=lambda i: (costs[i], -good[i], i))
    kept: list[int] = []
    for i in order:
        if not kept or good[i] > good[kept[-1]] or (good[i], costs[i]) == (good[kept[-1]], costs[kept[-1]]):
            kept.append(i)
    return kept


def front_of(costs: Numbers, qualities: Numbers, direction: str = "maximize") -> Indexes:
    """:func:`front` of two arrays [N] where NaN stands for what is missing: [F] indexes by rising cost."""
    good = -qualities if direction == "minimize" else qualities
    found = np.flatnonzero(np.isfinite(costs) & np.isfinite(good))
    order = found[np.lexsort((found, -good[found], costs[found]))]
    if not len(order):
        return order
    cost, value = costs[order], good[order]
    before = np.concatenate(([-np.inf], np.maximum.accumulate(value)[:-1]))
    # an exact duplicate follows right behind the point that it repeats and shares its fate
    same = np.concatenate(([False], (cost[1:] == cost[:-1]) & (value[1:] == value[:-1])))
    first = np.maximum.accumulate(np.where(same, 0, np.arange(len(order))))
    kept: Indexes = order[(value > before)[first]]
    return kept


def hypervolume(
    costs: Sequence[Number],
    qualities: Sequence[Number],
    reference: tuple[float, float],
    direction: str = "maximize",
    log: bool = False,
) -> float:
    """Area between the front and ``reference`` (a cost and a quality, both worse than what counts); 0 without a front.

    Points that are not better than the reference in both add nothing (Zitzler and Thiele 1998, PPSN V:292). In units
    of cost times quality; with ``log`` costs count by their decimal logarithm (costs of 0 or less are left out), which
    is how the charts are drawn. Raises :class:`ValueError` for a reference that is not finite, or whose cost is not
    above 0 with ``log``.
    """
    limit, floor = float(reference[0]), float(reference[1]) * (-1.0 if direction == "minimize" else 1.0)
    if not (math.isfinite(limit) and math.isfinite(floor) and (limit > 0 or not log)):
        raise ValueError(f"the reference must be finite, its cost above 0 on a logarithmic axis, got {reference}")
    good = _good(qualities, direction)
    usable = [c if _finite(c) and (not log or (c or 0) > 0) else None for c in costs]
    line = front(usable, good)
    area, height = 0.0, floor
    for i in line:
        width = _across(float(costs[i] or 0), limit, log)
        if width > 0 and good[i] > height:
            area += width * (good[i] - height)
            height = good[i]
    return area


def knee(costs: Sequence[Number], qualities: Sequence[Number], direction: str = "maximize") -> int | None:
    """The front's point farthest from the chord between its ends, log cost against quality.

    Only the better side of the chord counts: a point on the other side costs more than it brings. Stretching an axis
    scales all distances from one line alike, so no choice of units moves the knee. None without such a point: fewer
    than three distinct points, a straight or a sagging front. Costs must be above 0; others are left out.
    """
    good = _good(qualities, direction)
    line = [i for i in front(costs, good) if (costs[i] or 0) > 0]
    if len(line) < 3:
        return None
    xs = [math.log(float(costs[i] or 1)) for i in line]
    ys = [good[i] for i in line]
    width, height = xs[-1] - xs[0], ys[-1] - ys[0]
    if width <= 0 or height <= 0:
        return None
    above = [(y - ys[0]) / height - (x - xs[0]) / width for x, y in zip(xs, ys, strict=True)]
    best = max(range(len(line)), key=lambda k: above[k])
    return line[best] if above[best] > 1e-9 else None


def best_under(
    rows: Sequence[Mapping[str, Any]],
    limits: Mapping[str, float],
    at_least: float | None = None,
    quality: str = "quality",
    direction: str = "maximize",
) -> int | None:
    """Index of the row to recommend, or None when no row keeps to every limit.

    ``limits`` maps a cost's name to the most that it may be (inclusive); ``at_least`` is the worst quality that is
    good enough. With a limit the best quality wins, and equal qualities by the smaller costs; with ``at_least`` alone
    the smallest file that is good enough wins. A row that lacks a limited cost is never recommended.
    """
    good = _good([row.get(quality) for row in rows], direction)
    floor = -math.inf if at_least is None else (at_least if direction == "maximize" else -at_least)
    fits = [i for i in range(len(rows)) if _finite(good[i]) and good[i] >= floor and _within(rows[i], limits)]
    if not fits:
        return None

    def rank(i: int) -> tuple[Any, ...]:
        costs = tuple(_or_infinite(rows[i].get(name)) for name in (*limits, *SIZES))
        return (-good[i], *costs, i) if limits else (costs[0], -good[i], *costs, i)

    return min(fits, key=rank)


def ranking(
    columns: Mapping[str, Numbers],
    limits: Mapping[str, float],
    at_least: float | None = None,
    quality: str = "quality",
    direction: str = "maximize",
) -> Indexes:
    """Every row that keeps to the limits, the one to recommend first; the first is that of :func:`best_under`.

    ``columns`` maps names to arrays [N] with NaN for what is missing; a limited column must be there.
    """
    good = -columns[quality] if direction == "minimize" else columns[quality]
    fits = np.isfinite(good)
    if at_least is not None:
        fits &= good >= (-at_least if direction == "minimize" else at_least)
    for name, most in limits.items():
        fits &= np.isfinite(columns[name]) & (columns[name] <= most)
    found = np.flatnonzero(fits)
    missing = np.full(len(good), np.inf)
    costs = [columns.get(name, missing) for name in (*limits, *SIZES)]
    costs = [np.where(np.isfinite(c), c, np.inf) for c in costs]
    order = [-good, *costs] if limits else [costs[0], -good, *costs]
    ranked: Indexes = found[np.lexsort((found, *(c[found] for c in reversed(order))))]
    return ranked


def _across(cost: float, limit: float, log: bool) -> float:
    return math.log10(limit / cost) if log else limit - cost


def _within(row: Mapping[str, Any], limits: Mapping[str, float]) -> bool:
    return all(_finite(row.get(name)) and row[name] <= most for name, most in limits.items())


def _good(qualities: Sequence[Number], direction: str) -> list[float]:
    """Qualities where more is better; unusable ones become NaN."""
    sign = -1.0 if direction == "minimize" else 1.0
    return [sign * float(q) if _finite(q) and q is not None else math.nan for q in qualities]


def _usable(costs: Sequence[Number], good: Sequence[float]) -> list[int]:
    if len(costs) != len(good):
        raise ValueError(f"{len(costs)} costs and {len(good)} qualities; there must be one of each a point")
    return [i for i, cost in enumerate(costs) if _finite(cost) and good[i] == good[i]]


def _finite(value: Any) -> bool:
    if type(value) is float:
        return math.isfinite(value)
    # numbers.Real, not float: a row out of a table may hold numpy's own numbers
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _or_infinite(value: Any) -> float:
    return float(value) if _finite(value) else math.inf
