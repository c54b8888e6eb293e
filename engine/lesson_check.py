"""Whether a prediction held: the measure of the first run against that of the second, with its 95 % interval. No torch.

A measure of answers is compared example by example, first minus second, on the same validation examples; a cost as a
ratio, first over second. Against the ``margin`` an interval lies on one side (``more``, ``less``), inside (``same``),
or across it, and then nothing is decided: that is said, never rounded to an answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine import metrics
from engine.errors import InputError, unknown_name
from engine.lesson_words import OUTCOMES, UNDECIDED

Array = npt.NDArray[Any]
QUALITY, LATENCY = "quality", "latency"
COSTS = ("packed_bytes", "onnx_bytes", "macs", "parameters", LATENCY)
Z95 = 1.959964


class Examples(NamedTuple):
    """What one run answers on validation: logits [N, C] (or scores [N, 1]), beside labels [N] and the teacher's."""

    logits: Array
    labels: Array
    teacher: Array | None = None


class Finding(NamedTuple):
    """A difference (of a cost: a ratio) with its 95 % interval and what follows; ``examples``: how many are paired.

    ``first`` and ``second`` are what the two runs have by themselves: a mean, a count, milliseconds.
    """

    value: float
    low: float
    high: float
    outcome: str
    examples: int
    first: float
    second: float


def _log(logits: Array) -> Array:
    shifted = logits - logits.max(1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def _taught(seen: Examples) -> Array:
    if seen.teacher is None:
        raise InputError("measure", None, "one that needs no teacher: this task ships no answers of one")
    return seen.teacher[: len(seen.logits)]


def _kl(seen: Examples) -> Array:
    own, teacher = _log(seen.logits), _log(_taught(seen))
    return np.asarray((np.exp(teacher) * (teacher - own)).sum(1))


def _cross_entropy(seen: Examples) -> Array:
    return np.asarray(-_log(seen.logits)[np.arange(len(seen.labels)), seen.labels])


def _entropy(seen: Examples) -> Array:
    own = _log(seen.logits)
    return np.asarray(-(np.exp(own) * own).sum(1))


# a number for each example, from what a run answers; all with numpy's softmax at temperature 1, in nats
ANSWERS: dict[str, Callable[[Examples], Array]] = {
    "kl_to_teacher": _kl,
    "cross_entropy": _cross_entropy,
    "entropy": _entropy,
    "confidence": lambda seen: np.asarray(np.exp(_log(seen.logits)).max(1)),
    "agreement": lambda seen: seen.logits.argmax(1) == _taught(seen).argmax(1),
    "recall": lambda seen: metrics.correct(seen.logits, seen.labels),
}
MEASURES = (QUALITY, *ANSWERS, *COSTS)


@dataclass(frozen=True)
class Check:
    """``measure`` of the first run against the second; ``claim`` is the outcome that the lesson expects.

    ``margin``: what counts as a difference, in the measure's own unit (0.02 of a share is 2 points), for a cost as a
    share of the ratio (0.15: from 1.15 times on). ``of``: the class whose recall is meant. ``answers``: the outcomes
    that a learner can choose from.
    """

    measure: str
    claim: str
    margin: float = 0.0
    of: str = ""
    answers: tuple[str, ...] = OUTCOMES

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", tuple(self.answers))
        if self.measure not in MEASURES:
            raise unknown_name("measure", self.measure, MEASURES)
        for outcome in self.answers:
            if outcome not in OUTCOMES:
                raise unknown_name("answers", outcome, OUTCOMES)
        if len(set(self.answers)) < 2:
            raise InputError("answers", list(self.answers), f"two or three of {', '.join(OUTCOMES)}")
        if self.claim not in self.answers:
            raise unknown_name("claim", self.claim, self.answers)
        if isinstance(self.margin, bool) or not 0 <= self.margin < 10:
            raise InputError("margin", self.margin, "a number of at least 0 and below 10")
        if not self.margin and "same" in self.answers:
            raise InputError("margin", self.margin, "a number above 0 where 'same' is an answer")
        if (self.measure == "recall") != bool(self.of):
            raise InputError("of", self.of, "the name of a class for recall, and nothing for other measures")

    @property
    def is_ratio(self) -> bool:
        """Whether the finding is a ratio of costs, not a difference."""
        return self.measure in COSTS


def decide(low: float, high: float, margin: float, answers: tuple[str, ...] = OUTCOMES) -> str:
    """Which outcome an interval of a difference means; both ends not finite or an interval across the margin: none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return UNDECIDED
    fits = {"more": low > margin, "less": high < -margin, "same": -margin < low and high < margin}
    return next((o for o in answers if fits[o]), UNDECIDED)


def decide_ratio(low: float, high: float, margin: float, answers: tuple[str, ...] = OUTCOMES) -> str:
    """The same of a ratio: from (1 + margin) on it is more, below its inverse less."""
    if not 0 < low <= high or not math.isfinite(high):
        return UNDECIDED
    edge = math.log1p(margin)
    return decide(math.log(low), math.log(high), edge, answers)


def of_scores(check: Check, first: Array, second: Array) -> Finding:
    """The finding of scores [N] that two runs have on the same examples, right or wrong (bool) or numbers."""
    count = min(len(first), len(second))
    pair = metrics.paired_difference if first.dtype == bool else metrics.paired_means
    value, low, high = pair(first[:count], second[:count])
    outcome = decide(low, high, check.margin, check.answers)
    return Finding(value, low, high, outcome, count, float(first[:count].mean()), float(second[:count].mean()))


def of_answers(check: Check, first: Examples, second: Examples, label: int | None = None) -> Finding:
    """The finding of a measure in ``ANSWERS``; ``label`` is the class that ``check.of`` names."""
    sides = []
    for seen in (first, second):
        if label is not None:
            mine = seen.labels == label
            seen = Examples(seen.logits[mine], seen.labels[mine], None if seen.teacher is None else seen.teacher[mine])
        sides.append(ANSWERS[check.measure](seen))
    return of_scores(check, *sides)


def of_costs(check: Check, first: Mapping[str, Any], second: Mapping[str, Any]) -> Finding:
    """The finding of two results' ``cost``: exact counts, or times that each has beside the same dense student."""
    if check.measure != LATENCY:
        ratio = first[check.measure] / second[check.measure]
        outcome = decide_ratio(ratio, ratio, check.margin, check.answers)
        return Finding(ratio, ratio, ratio, outcome, 0, first[check.measure], second[check.measure])
    value, low, high = _times(first["latency"], second["latency"])
    medians = (float(side["latency"]["median_ms"]) for side in (first, second))
    return Finding(value, low, high, decide_ratio(low, high, check.margin, check.answers), 0, *medians)


def _times(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[float, float, float]:
    """The ratio of two ratios to one reference: their errors are independent, so squares of log widths add up."""
    logs, width = [], 0.0
    for side in (first, second):
        value, low, high = (side[name] for name in ("ratio", "ratio_low", "ratio_high"))
        logs.append(math.log(value))
        width += (math.log(high / low) / (2 * Z95)) ** 2
    middle, half = logs[0] - logs[1], Z95 * math.sqrt(width)
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)
