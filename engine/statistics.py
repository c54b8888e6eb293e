"""How far a measured number may be off, and whether two differ: numpy in, plain numbers out, no torch.

Every interval is a 95 % interval with the name of its method: ``wilson`` for shares, ``bootstrap`` over examples for
everything else that examples add up to, ``t`` over seeds. :mod:`engine.metrics` holds the closed forms.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from engine import metrics

Numbers: TypeAlias = npt.NDArray[np.float64]
Z95 = metrics.Z95
WILSON, BOOTSTRAP, STUDENT = "wilson", "bootstrap", "t"
TIMES = 2000  # bootstrap samples: the ends of an interval are then known to a few percent of its width
CHUNK = 100  # samples that are drawn at once, which bounds the memory
ABOVE, BELOW, TIED = "above", "below", "tied"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; ``method`` made it, ``count`` examples or seeds carry it."""

    value: float
    low: float
    high: float
    method: str
    count: int

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Difference:
    """One quality minus another, with its 95 % interval: on the same examples, or by seeds.

    ``better`` is positive whenever the first one is better, whatever direction the metric has. ``seeds`` pairs of runs
    (1: one run each, so that another seed is not in the interval) on ``examples`` examples.
    """

    difference: float
    low: float
    high: float
    examples: int
    seeds: int = 1
    direction: str = "maximize"

    @property
    def verdict(self) -> str:
        """``above`` (the first is better), ``below``, or ``tied``: the interval holds zero."""
        if self.low <= 0 <= self.high:
            return TIED
        return ABOVE if (self.low > 0) == (self.direction == "maximize") else BELOW

    def to_json(self) -> dict[str, Any]:
        """Plain data with the verdict."""
        return dataclasses.asdict(self) | {"verdict": self.verdict}


def share(right: npt.NDArray[Any]) -> Estimate:
    """The share of true ones among [N] with Wilson's interval."""
    hits, count = int(np.count_nonzero(right)), len(right)
    low, high = metrics.wilson(hits, count)
    return Estimate(hits / count, low, high, WILSON, count)


def mean(scores: npt.NDArray[Any], times: int = TIMES, seed: int = 0) -> Estimate:
    """The mean of [N] scores, one an example (or a block of dependent ones), with a bootstrap interval."""
    values = np.asarray(scores, np.float64)
    return _between(float(values.mean()), redrawn(values[:, None], times, seed)[:, 0], len(values))


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one number a seed with Student's t interval; one seed has no interval and gives its own value.

    A bootstrap of five numbers covers 84 % of the time only; t covers 95 % for two of them already, if they are normal.
    """
    numbers = np.asarray(values, np.float64)
    if len(numbers) == 1:
        return Estimate(float(numbers[0]), float(numbers[0]), float(numbers[0]), STUDENT, 1)
    value, low, high = metrics.over_seeds(numbers)
    return Estimate(value, low, high, STUDENT, len(numbers))


def difference(a: npt.NDArray[Any], b: npt.NDArray[Any], direction: str = "maximize") -> Difference:
    """``a`` minus ``b``: right or wrong, or scores, of the same examples [N], or [S, N] of the same S seeds."""
    first, second = np.atleast_2d(a), np.atleast_2d(b)
    if first.shape != second.shape:
        raise ValueError(f"both must have the same shape, got {first.shape} and {second.shape}")
    seeds, count = first.shape
    one = metrics.paired_difference if first.dtype == bool else metrics.paired_means
    found = one(first[0], second[0]) if seeds == 1 else metrics.paired_over_seeds(first, second)
    return Difference(*found, count, seeds, direction)


def classification(
    logits: npt.NDArray[Any], labels: npt.NDArray[Any], teacher: npt.NDArray[Any] | None = None, times: int = TIMES
) -> dict[str, Estimate]:
    """Every measure of :func:`engine.metrics.classification` with its interval.

    Shares have Wilson's. The others are functions of sums over examples (of the counts in the confusion matrix, of the
    gaps in the bins of confidence), so all of them are read from the same redrawn examples. The calibration error is
    never negative and therefore drawn too high by chance: its interval is turned around the value (basic bootstrap).
    """
    values = metrics.classification(logits, labels, teacher)
    found = {name: share(column) for name, column in _shares(logits, labels, teacher).items()}
    columns, readers = _sums(np.asarray(logits, np.float64), np.asarray(labels, np.int64), teacher)
    drawn = redrawn(np.concatenate(columns, axis=1), times)
    start = 0
    for part, (name, read) in zip(columns, readers, strict=True):
        taken = read(drawn[:, start : start + part.shape[1]])
        found[name] = _between(values[name], taken, len(logits), turned=name == "calibration_error")
        start += part.shape[1]
    return {name: found[name] for name in values}


def redrawn(columns: npt.NDArray[Any], times: int = TIMES, seed: int = 0) -> Numbers:
    """[times, K] means of the columns [N, K] over N examples drawn again with replacement (Efron 1979).

    Equal N and ``seed`` draw equal examples, so that differences of two calls are paired.
    """
    values = np.asarray(columns, np.float32)
    count = len(values)
    found = [weights @ values for weights in _draws(count, times, seed)]
    return np.concatenate(found).astype(np.float64) / count


def quantiles(drawn: Numbers) -> tuple[float, float]:
    """The 2.5 % and 97.5 % points of what was drawn."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def weights(count: int, times: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """[times, count] how often each example was drawn, for those who read many columns from the same samples."""
    return _weights(count, times, seed)


@functools.lru_cache(maxsize=2)
def _weights(count: int, times: int, seed: int) -> npt.NDArray[np.float32]:
    found = np.concatenate(list(_draws(count, times, seed)))
    found.setflags(write=False)
    return found


def _draws(count: int, times: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """How often each of ``count`` examples is drawn, a chunk of samples at a time."""
    generator = np.random.default_rng(seed)
    for start in range(0, times, CHUNK):
        rows = min(CHUNK, times - start)
        chosen = generator.integers(0, count, (rows, count), dtype=np.int32) + count * np.arange(rows)[:, None]
        yield np.bincount(chosen.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float32)


def _between(value: float, drawn: Numbers, count: int, turned: bool = False) -> Estimate:
    low, high = quantiles(drawn)
    if turned:
        low, high = max(0.0, 2 * value - high), 2 * value - low
    return Estimate(value, min(low, value), max(high, value), BOOTSTRAP, count)


def _shares(logits: npt.NDArray[Any], labels: npt.NDArray[Any], teacher: Any) -> dict[str, npt.NDArray[np.bool_]]:
    own = np.take_along_axis(logits, labels[:, None].astype(np.int64), 1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    rank = (logits > own).sum(1) + ((logits == own) & earlier).sum(1)
    found = {"accuracy": metrics.correct(logits, labels), "top5": rank < 5}
    if teacher is not None:
        found["agreement"] = logits.argmax(1) == teacher.argmax(1)
    return found


Reader: TypeAlias = Callable[[Numbers], Numbers]


def _sums(
    logits: Numbers, labels: npt.NDArray[np.int64], teacher: Any
) -> tuple[list[Numbers], list[tuple[str, Reader]]]:
    """Columns [N, K] whose means carry a measure, and how it is read from redrawn means [times, K]."""
    rows, classes = np.arange(len(labels)), logits.shape[1]
    logs = _log_softmax(logits)
    cells = np.zeros((len(labels), classes * classes))
    cells[rows, labels * classes + logits.argmax(1)] = 1
    confidence = np.exp(logs).max(1)
    gaps = np.zeros((len(labels), metrics.ECE_BINS))
    place = np.clip(np.ceil(confidence * metrics.ECE_BINS).astype(int) - 1, 0, metrics.ECE_BINS - 1)
    gaps[rows, place] = (logits.argmax(1) == labels) - confidence
    columns = [cells, -logs[rows, labels][:, None], gaps]
    readers: list[tuple[str, Reader]] = [
        ("macro_f1", functools.partial(_f1, classes)), ("cross_entropy", _first), ("calibration_error", _absolute)
    ]  # fmt: skip
    if teacher is not None:
        taught = _log_softmax(np.asarray(teacher, np.float64))
        columns.append((np.exp(taught) * (taught - logs)).sum(1, keepdims=True))
        readers.append(("kl_to_teacher", _first))
    return columns, readers


def _f1(classes: int, drawn: Numbers) -> Numbers:
    table = drawn.reshape(-1, classes, classes)
    hits, total = np.diagonal(table, axis1=1, axis2=2), table.sum(1) + table.sum(2)
    known = total > 0
    scores = np.divide(2 * hits, total, out=np.zeros_like(total), where=known)
    return np.asarray(scores.sum(1) / known.sum(1))


def _first(drawn: Numbers) -> Numbers:
    return drawn[:, 0]


def _absolute(drawn: Numbers) -> Numbers:
    return np.asarray(np.abs(drawn).sum(1))


def _log_softmax(logits: Numbers) -> Numbers:
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def spread_of(low: float | None, high: float | None, log: bool = False) -> float:
    """The standard deviation behind a 95 % interval (of the logarithm); 0 where there is none."""
    if low is None or high is None or (log and not 0 < low <= high):
        return 0.0
    width = math.log(high / low) if log else high - low
    return width / (2 * metrics.Z95)


__all__ = [
    "ABOVE", "BELOW", "TIED", "Z95", "Difference", "Estimate", "classification", "difference", "mean", "over_seeds",
    "quantiles", "redrawn", "share", "spread_of", "weights",
]  # fmt: skip
