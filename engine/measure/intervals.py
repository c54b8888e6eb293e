"""What rounds of timings say: medians, paired ratios, their 95 % intervals. The standard library only.

A round maps each model's name to a block: {"times": [seconds of each timed call], "cpu": processor seconds a call}.
Intervals are those of a median over rounds by order statistics (the sign test; Hollander and Wolfe 1999, 3.4):
right whatever the noise is like, and the two most disturbed rounds of twelve on either side move them by nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from statistics import median
from typing import Any

STUDENT_T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # by the number of values: too few for ranks
Round = dict[str, dict[str, Any]]


def precise(rounds: Sequence[Round], reference: str | None, half_width: float) -> bool:
    """Whether every ratio, or median where there is none, is known to +- ``half_width``."""
    for name in rounds[0]:
        alone = reference is None or name == reference
        middle, low, high = pooled(rounds, name) if alone else paired(rounds, name, str(reference))
        if high - low > 2 * half_width * middle:
            return False
    return True


def reading(rounds: Sequence[Round], name: str, reference: str | None) -> dict[str, Any]:
    """One model's numbers, times in milliseconds; ``cpu_ms`` is processor time a call."""
    times = sorted(1e3 * t for r in rounds for t in r[name]["times"])
    middle, low, high = pooled(rounds, name)
    row: dict[str, Any] = {
        "median_ms": middle,
        "low_ms": low,
        "high_ms": high,
        "p95_ms": times[math.ceil(0.95 * len(times)) - 1],
    }
    row |= {"cpu_ms": 1e3 * median(r[name]["cpu"] for r in rounds), "rounds": len(rounds)}
    ratio = (None,) * 3 if reference is None or name == reference else paired(rounds, name, reference)
    return row | dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True))


def pooled(rounds: Sequence[Round], name: str) -> tuple[float, float, float]:
    """Median of all calls in milliseconds with its 95 % interval over rounds."""
    middle = median(t for r in rounds for t in r[name]["times"])
    return interval(1e3 * middle, [1e3 * median(r[name]["times"]) for r in rounds])


def paired(rounds: Sequence[Round], name: str, reference: str) -> tuple[float, float, float]:
    """Median over rounds of the ratio of a round's medians, with its 95 % interval."""
    ratios = [median(r[name]["times"]) / median(r[reference]["times"]) for r in rounds]
    return interval(median(ratios), ratios)


def interval(middle: float, values: Sequence[float]) -> tuple[float, float, float]:
    """``middle`` and a 95 % interval that holds it: of the median, or Student's of the mean of fewer than six logs."""
    count = len(values)
    if count < 2:
        return middle, middle, middle
    if count in STUDENT_T:
        logs = [math.log(value) for value in values]
        mean = sum(logs) / count
        half = STUDENT_T[count] * math.sqrt(sum((x - mean) ** 2 for x in logs) / (count - 1) / count)
        low, high = math.exp(mean - half), math.exp(mean + half)
    else:
        ordered, outside = sorted(values), left_out(count)
        low, high = ordered[outside], ordered[-1 - outside]
    return middle, min(low, middle), max(high, middle)


@functools.cache
def left_out(count: int) -> int:
    """How many of the smallest and of the largest values lie outside: the most that leave 95 % or more between them.

    Each value lies above the true median as a coin falls: 2 of 12 on each side leave 96.1 %.
    """
    number, tail = 0, 1  # of the 2^count ways in which ``number`` values or fewer lie on one side
    while 40 * (tail + math.comb(count, number + 1)) <= 2**count:
        number += 1
        tail += math.comb(count, number)
    return number
