"""How likely points are to be on the front, and which of them cannot be told apart. Plain data, no torch.

Rows are those of :func:`engine.api.rows`, or of :func:`together` with the mean of several seeds among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine import api_statistics, catalogue, metrics, scores, statistics
from engine.home import Home
from engine.metrics import t95
from engine.search import likely, replicates
from engine.search.likely import Measured, Numbers

__all__ = ["better", "chances", "chances_of", "reaches", "tied", "ties", "together"]

TIMED = {"latency_ms": ("latency_low_ms", "latency_high_ms")}
Row = Mapping[str, Any]
together = replicates.together


def chances(home: Home, rows: Sequence[Row], cost: str, costs: Numbers, direction: str = "maximize") -> Numbers:
    """[M] the probability that each row is on the front of quality against ``costs`` [M]; NaN where it takes no part.

    ``costs`` are NaN for rows that may not be on a front (previews, single seeds, times of other machines). 0 stands
    for what is too far from the front to be tried (see :mod:`engine.search.likely`).
    """
    sign = -1.0 if direction == "minimize" else 1.0
    good = sign * _column(rows, "quality")
    found = np.where(np.isfinite(costs) & np.isfinite(good), 0.0, np.nan)
    spreads = (_column(rows, "quality_high") - _column(rows, "quality_low")) / (2 * statistics.Z95)
    low, high = TIMED.get(cost, ("", ""))
    cost_spreads = np.zeros(len(rows))
    if low:
        ends = _column(rows, low), _column(rows, high)
        known = np.isfinite(ends[0]) & np.isfinite(ends[1]) & (ends[0] > 0)
        cost_spreads[known] = np.log(ends[1][known] / ends[0][known]) / (2 * statistics.Z95)
    near = likely.candidates(costs, good, np.nan_to_num(spreads), cost_spreads)
    if len(near):
        drawn = sign * likely.worlds([measured(home, rows[i]) for i in near.tolist()])
        found[near] = likely.shares(likely.cost_worlds(costs[near], cost_spreads[near]), drawn)
    return found


def chances_of(home: Home, task: str, rows: Sequence[Row], cost: str, free: Sequence[bool]) -> list[float | None]:
    """:func:`chances` of plain rows; ``free`` says which of them may be on the front."""
    costs = np.where(np.asarray(free, bool), _column(rows, cost), np.nan) if len(rows) else np.zeros(0)
    direction = str(catalogue.current().row("tasks", task, "task")["direction"])
    return [None if np.isnan(c) else float(c) for c in chances(home, rows, cost, costs, direction)]


def better(home: Home, first: Row, second: Row, direction: str = "maximize") -> float | None:
    """The probability that ``first`` is really better than ``second``: other examples, other seeds where several ran.

    None where the answers of one of them are not kept.
    """
    pair = [measured(home, row) for row in (first, second)]
    if any(p.right is None for p in pair) or len({len(p.right) for p in pair if p.right is not None}) > 1:
        return None
    drawn = likely.worlds(pair, 4 * likely.WORLDS)
    gap = (drawn[:, 0] - drawn[:, 1]) * (-1.0 if direction == "minimize" else 1.0)
    return float((gap > 1e-9).mean() + 0.5 * (np.abs(gap) <= 1e-9).mean())


def ties(
    home: Home, rows: Sequence[Row], costs: Sequence[float | None], direction: str = "maximize"
) -> list[int | None]:
    """For each row the cheapest other one whose quality cannot be told from its own: positions in ``rows``, or None.

    ``rows`` are points of a front. Two are told apart when the 95 % interval of their difference leaves zero out: the
    paired one where both answers are kept, else that of two independent samples.
    """
    order = np.argsort([np.inf if c is None else c for c in costs], kind="stable").tolist()
    points = [measured(home, row) for row in rows]
    found: list[int | None] = [None] * len(rows)
    for place, i in enumerate(order):
        found[i] = next(
            (j for j in order[:place] if told_apart(points[i], points[j], direction) == statistics.TIED), None
        )
    return found


def tied(home: Home, first: Row, second: Row) -> bool:
    """Whether the 95 % interval of the difference of two rows' qualities holds zero."""
    return told_apart(measured(home, first), measured(home, second)) == statistics.TIED


def reaches(home: Home, row: Row, at_least: float) -> float | None:
    """The probability that a row's quality really is ``at_least`` or better; None where its answers are not kept."""
    point = measured(home, row)
    if point.right is None:
        return None
    ways = {t["name"]: t["direction"] for t in catalogue.current().rows["tasks"].values()}
    sign = -1.0 if ways.get(str(row.get("task"))) == "minimize" else 1.0
    return float((sign * likely.worlds([point], 4 * likely.WORLDS)[:, 0] >= sign * at_least - 1e-9).mean())


def told_apart(a: Measured, b: Measured, direction: str = "maximize") -> str:
    """``above``, ``below`` or ``tied``: ``a`` against ``b``."""
    if a.right is not None and b.right is not None and len(a.right) == len(b.right):
        gap, count = np.asarray(a.right, float) - b.right, len(a.right)
        if a.seeds == b.seeds == 1:
            first, second = (a.right > 0.5, b.right > 0.5) if a.counted else (a.right, b.right)
            return statistics.difference(first, second, direction).verdict
        difference, variance = float(gap.mean()), float(gap.var(ddof=1)) / count
    else:
        difference, variance = a.value - b.value, a.spread**2 + b.spread**2
    half = statistics.Z95 * np.sqrt(variance)
    several = [p for p in (a, b) if p.seeds > 1]
    if several:  # seeds are few: Student's t with the freedom of the fewest
        variance += sum(p.seed_spread**2 / p.seeds for p in several)
        half = t95(min(p.seeds for p in several) - 1) * np.sqrt(variance)
    return statistics.Difference(difference, difference - half, difference + half, 0, 1, direction).verdict


def measured(home: Home, row: Row) -> Measured:
    """A row's quality with what moves it; a mean row's answers are the share of its seeds that are right."""
    value, spread = float(row["quality"]), statistics.spread_of(row.get("quality_low"), row.get("quality_high"))
    members = row.get("members") or (row["key"],)
    answers = [api_statistics.right(home, key) for key in members] if row.get("metric") in scores.PAIRED else []
    kept = [a for a in answers if a is not None]
    if not kept or len(kept) < len(members) or len({len(a) for a in kept}) > 1:
        return Measured(value, None, spread)
    share = np.asarray(np.mean(kept, axis=0), np.float32)
    own = [float(a.mean()) for a in kept]
    moved = float(np.std(own, ddof=1)) if len(own) > 1 else 0.0
    return Measured(value, share, spread, len(own), moved, row.get("metric") in metrics.COUNTED)


def _column(rows: Sequence[Row], name: str) -> Numbers:
    return np.array([row.get(name) for row in rows], dtype=np.float64)
