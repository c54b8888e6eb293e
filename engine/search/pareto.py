"""Pareto fronts of two quantities: a cost that should be low and a quality that should be high (or low).

Plain Python and no torch: the command line, the pages and the figures use it. A point is one index into two equally
long sequences. Points whose cost or quality is missing (None), not a number or infinite take no part anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

Number = float | None
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
