"""How likely each point is to be on the front, when what was measured is measured again: numpy only, no torch.

A bootstrap: the validation examples are drawn again, the same ones for all points, so that points which are right about
the same examples move together. Where a point is the mean of several seeds, its mean moves by Student's t (drawing five
seeds again would move it too little); where it was timed, its time moves as its interval says, the same for all that
share one reading. In each of these worlds the front is found anew; a point's chance is the share of worlds in which it
is on it. Efron and Tibshirani 1993, chapter 8; the front: :mod:`engine.search.pareto`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from engine import statistics

Numbers: TypeAlias = npt.NDArray[np.float64]
Indexes: TypeAlias = npt.NDArray[np.intp]
WORLDS = 500  # a chance is then known to 4 points
MOST = 150  # candidates: what is farther from the front does not get there
REACH = 3.5  # standard deviations of its quality that a candidate may lie below the front
COST_REACH = 3.0


@dataclass(frozen=True)
class Measured:
    """One point's quality: its ``value``, what it is right about, and how far seeds move it.

    ``right`` [N] is the share of its runs that are right about each example, None where no answers are kept: then
    ``spread``, the standard deviation behind its interval, moves it alone. ``seeds`` runs with ``seed_spread``, the
    standard deviation of their qualities (1 and 0 for a single run: another seed is not among its worlds).
    ``counted``: ``right`` is right or wrong; else it is a score, whose mean is the quality.
    """

    value: float
    right: npt.NDArray[np.float32] | None
    spread: float
    seeds: int = 1
    seed_spread: float = 0.0
    counted: bool = True


def candidates(costs: Numbers, good: Numbers, spreads: Numbers, cost_spreads: Numbers) -> Indexes:
    """Indexes of points [M] that may be on the front: at most MOST, the nearest first by their own spread.

    ``good`` is a quality where more is better, ``cost_spreads`` are standard deviations of the costs' logarithms.
    NaN costs or qualities take no part.
    """
    found = np.flatnonzero(np.isfinite(costs) & (costs > 0) & np.isfinite(good))
    if not len(found):
        return found
    cost, value = costs[found], good[found]
    order = np.argsort(cost, kind="stable")
    best = np.maximum.accumulate(value[order])
    cheaper = cost * np.exp(-COST_REACH * cost_spreads[found])
    place = np.searchsorted(cost[order], cheaper, side="right") - 1
    ahead = np.where(place >= 0, best[np.maximum(place, 0)], -np.inf)
    behind = (ahead - value) / np.maximum(spreads[found], 1e-9)
    near = np.flatnonzero(behind <= REACH)
    return found[near[np.argsort(behind[near], kind="stable")][:MOST]]


def worlds(points: Sequence[Measured], times: int = WORLDS, seed: int = 0) -> Numbers:
    """[times, K] qualities of the points in worlds that differ in examples and seeds; the same worlds for all."""
    rng = np.random.default_rng(seed)
    drawn = np.tile([p.value for p in points], (times, 1))
    sizes = {len(p.right) for p in points if p.right is not None}
    for size in sorted(sizes):
        own = [k for k, p in enumerate(points) if p.right is not None and len(p.right) == size]
        answers = np.stack([np.asarray(points[k].right, np.float32) for k in own], axis=1)
        drawn[:, own] += statistics.weights(size, times, seed) @ answers / size - answers.mean(0)
    for k, point in enumerate(points):
        if point.right is None:
            drawn[:, k] += point.spread * rng.normal(size=times)
        if point.seeds > 1:
            drawn[:, k] += point.seed_spread / np.sqrt(point.seeds) * rng.standard_t(point.seeds - 1, times)
    return np.asarray(drawn)


def cost_worlds(costs: Numbers, cost_spreads: Numbers, times: int = WORLDS, seed: int = 0) -> Numbers:
    """[times, K] costs; equal costs of equal spread are one reading and move together."""
    readings, which = np.unique(np.stack([costs, cost_spreads], axis=1), axis=0, return_inverse=True)
    moved = np.random.default_rng(seed + 1).normal(size=(times, len(readings))) * readings[:, 1]
    return np.asarray((readings[:, 0] * np.exp(moved))[:, which.ravel()])


def shares(costs: Numbers, good: Numbers) -> Numbers:
    """[K] in which share of the worlds [times, K] a point is dominated by none; equal points are all on the front."""
    order = np.argsort(costs, axis=1, kind="stable")
    cost, value = np.take_along_axis(costs, order, 1), np.take_along_axis(good, order, 1)
    best = np.maximum.accumulate(value, axis=1)
    # the best among strictly cheaper ones: the running best just before the first point of the same cost
    first = np.ones_like(cost, bool)
    first[:, 1:] = cost[:, 1:] > cost[:, :-1]
    places = np.broadcast_to(np.arange(cost.shape[1]), cost.shape)
    start = np.maximum.accumulate(np.where(first, places, 0), axis=1)
    before = np.where(start > 0, np.take_along_axis(best, np.maximum(start - 1, 0), 1), -np.inf)
    # and the best of the same cost: the running best at its last point
    last = np.ones_like(first)
    last[:, :-1] = first[:, 1:]
    end = np.minimum.accumulate(np.where(last, places, cost.shape[1] - 1)[:, ::-1], axis=1)[:, ::-1]
    on = (value > before) & (value >= np.take_along_axis(best, end, 1))
    found = np.zeros(costs.shape[1])
    np.add.at(found, order.ravel(), on.ravel().astype(float))
    return found / len(costs)
