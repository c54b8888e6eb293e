"""How well one reading ranks things as another one does: Spearman with a bootstrap interval, and what choosing costs.

``early`` [N] are readings that are cheap (short runs), ``late`` [N] those that count (long runs) of the same N things.
Things that belong together (students cut from one training) are drawn together, as a unit: they are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.float64]
Whole: TypeAlias = npt.NDArray[np.intp]

TRUSTED = 0.6  # below this rank correlation no advice is given
FEWEST_PAIRS, FEWEST_UNITS = 8, 5
RESAMPLES = 4000
TOPS = (1, 3, 5)
DECIMALS = 9  # what differs only behind these is a tie: differences of equal readings are not exactly equal
VERDICTS = ("clear", "likely", "weak", "unsure", "few")


@dataclass(frozen=True)
class Agreement:
    """How well early readings ranked late ones, over ``pairs`` things in ``units`` independent units.

    ``spearman`` with its 95 % interval ``low`` to ``high`` (None where there are too few). ``regret``: what taking the
    early winner costs, in units of the reading, with its interval. ``tops``: pairs of m and what is left of that cost
    when the m early best are all tried late. ``groups``: things were only compared within each of so many groups.
    ``verdict``: ``clear`` (the whole interval at TRUSTED or above), ``likely`` (the estimate is, and the interval
    excludes 0), ``weak`` (the estimate is below), ``unsure`` (the interval holds 0), ``few``.
    """

    pairs: int
    units: int
    groups: int
    spearman: float | None
    low: float | None
    high: float | None
    regret: float | None
    regret_low: float | None
    regret_high: float | None
    tops: tuple[tuple[int, float], ...]
    verdict: str

    @property
    def advised(self) -> bool:
        """Whether these readings are good enough for advice."""
        return self.verdict in VERDICTS[:2]


def agreement(early: Sequence[float], late: Sequence[float], direction: str = "maximize",
              groups: Sequence[Any] | None = None, units: Sequence[Any] | None = None) -> Agreement:  # fmt: skip
    """Compare two readings of the same things; ``groups`` None compares all with all, ``units`` None draws each alone.

    Within groups (one setting varies, all else equal) each group's mean is taken off both readings, so that only
    differences inside groups are ranked; regret is then the mean over groups. Ties share the mean rank; a tie for the
    early best counts at its worst. Percentile bootstrap over units (Efron and Tibshirani 1993, chapter 13).
    """
    sign = 1.0 if direction == "maximize" else -1.0
    a, b = sign * np.asarray(early, float), sign * np.asarray(late, float)
    if a.shape != b.shape or a.ndim != 1 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"both must be [N] of finite numbers, got {a.shape} and {b.shape}")
    group = _codes(groups, len(a), 0)
    unit = _codes(units, len(a), None)
    count, clusters = (int(group.max()) + 1, int(unit.max()) + 1) if len(a) else (0, 0)
    if len(a) < FEWEST_PAIRS or clusters < FEWEST_UNITS:
        return Agreement(len(a), clusters, count, None, None, None, None, None, None, (), "few")
    return _agreement(a, b, group, unit)


def _agreement(a: Numbers, b: Numbers, group: Whole, unit: Whole) -> Agreement:
    x, y = _centred(a, group), _centred(b, group)
    ones = np.ones((1, len(a)))
    rho = float(_spearman(x, y, ones)[0])
    drawn = _draws(unit)
    low, high = _interval(_spearman(x, y, drawn))
    lost = [_regrets(a, b, group, w) for w in (ones, drawn)]
    regret, (below, above) = float(lost[0][0]), _interval(lost[1])
    below, above = min(below, regret), max(above, regret)
    tops = tuple((m, _top(a, b, group, m)) for m in TOPS)
    groups, units = int(group.max()) + 1, int(unit.max()) + 1
    said = _verdict(rho, low)
    if not np.isfinite(rho):  # nothing differs, so nothing is ranked
        return Agreement(len(a), units, groups, None, None, None, regret, below, above, tops, "unsure")
    return Agreement(len(a), units, groups, rho, min(low, rho), max(high, rho), regret, below, above, tops, said)


def _verdict(rho: float, low: float) -> str:
    if low >= TRUSTED:
        return "clear"
    if rho < TRUSTED:
        return "weak"
    return "likely" if low > 0 else "unsure"


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation of two lists, ties at their mean rank; NaN where one of them does not vary."""
    x, y = np.asarray(a, float), np.asarray(b, float)
    return float(_spearman(x, y, np.ones((1, len(x))))[0])


def _spearman(x: Numbers, y: Numbers, weights: Numbers) -> Numbers:
    """[B] for readings [N] of which row b of ``weights`` [B, N] says how often each was drawn."""
    ranks = [_ranks(np.round(values, DECIMALS), weights) for values in (x, y)]
    total = weights.sum(1, keepdims=True)
    first, second = (r - (weights * r).sum(1, keepdims=True) / total for r in ranks)
    over = (weights * first * second).sum(1)
    under = np.sqrt((weights * first**2).sum(1) * (weights * second**2).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Numbers = over / under
    return found


def _ranks(values: Numbers, weights: Numbers) -> Numbers:
    """[B, N] mean rank of each value among what was drawn."""
    unique, place = np.unique(values, return_inverse=True)
    counts = weights @ (place[:, None] == np.arange(len(unique))).astype(float)
    ranks: Numbers = (counts.cumsum(1) - (counts - 1) / 2)[:, place]
    return ranks


def _regrets(a: Numbers, b: Numbers, group: Whole, weights: Numbers) -> Numbers:
    """[B] best late reading less that of the early winner, the mean over groups as often as each was drawn."""
    lost, total = np.zeros(len(weights)), np.zeros(len(weights))
    for g in range(int(group.max()) + 1):
        inside = group == g
        there = weights[:, inside] > 0
        early, late = np.where(there, a[inside], -np.inf), np.where(there, b[inside], -np.inf)
        winner = there & (early == early.max(1, keepdims=True))
        # of equal early winners the worst: nobody can tell them apart
        taken = np.where(winner, b[inside], np.inf).min(1)
        share = weights[:, inside].sum(1) / inside.sum()
        lost += share * np.where(there.any(1), late.max(1) - taken, 0.0)
        total += share
    found: Numbers = lost / total
    return found


def _top(a: Numbers, b: Numbers, group: Whole, most: int) -> float:
    """What is lost when the ``most`` early best of each group are tried late, the mean over groups."""
    lost = []
    for g in range(int(group.max()) + 1):
        early, late = a[group == g], b[group == g]
        order = np.lexsort((late, -early))
        lost.append(late.max() - late[order[:most]].max())
    return float(np.mean(lost))


def _draws(unit: Whole) -> Numbers:
    """[RESAMPLES, N] how often each thing was drawn, whole units with replacement; always the same draws."""
    units = int(unit.max()) + 1
    chance = np.random.default_rng(units)
    drawn = chance.multinomial(units, np.full(units, 1 / units), RESAMPLES)
    weights: Numbers = drawn[:, unit].astype(float)
    return weights


def _interval(values: Numbers) -> tuple[float, float]:
    """The middle 95 % of what can be counted."""
    kept = values[np.isfinite(values)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, (0.025, 0.975))
    return float(low), float(high)


def _centred(values: Numbers, group: Whole) -> Numbers:
    means = np.bincount(group, values) / np.bincount(group)
    centred: Numbers = values - means[group]
    return centred


def _codes(names: Sequence[Any] | None, count: int, alone: int | None) -> Whole:
    """Names as whole numbers from 0; None: all the same (``alone`` 0) or each its own."""
    if names is None:
        return np.zeros(count, np.intp) if alone == 0 else np.arange(count, dtype=np.intp)
    if len(names) != count:
        raise ValueError(f"{len(names)} names for {count} things")
    known: dict[Any, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.intp)
