"""What two runs say about a prediction: closed forms, edges of the margin, and what must stay undecided."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy

from engine import lesson_check
from engine.errors import InputError
from engine.lesson_check import ANSWERS, Check, Examples, decide, decide_ratio

ENDS = st.floats(-1, 1).flatmap(lambda low: st.tuples(st.just(low), st.floats(low, 2)))


@pytest.mark.parametrize(
    ("low", "high", "margin", "outcome"),
    [
        (0.03, 0.05, 0.02, "more"), (-0.05, -0.03, 0.02, "less"), (-0.01, 0.01, 0.02, "same"),
        (0.01, 0.03, 0.02, "undecided"), (-0.03, 0.03, 0.02, "undecided"), (0.001, 0.01, 0.0, "more"),
        (-0.001, 0.01, 0.0, "undecided"), (math.nan, 1.0, 0.0, "undecided"), (-math.inf, math.inf, 0.1, "undecided"),
    ],
)  # fmt: skip
def test_an_interval_against_the_margin(low: float, high: float, margin: float, outcome: str) -> None:
    assert decide(low, high, margin) == outcome


@given(ENDS, st.floats(0.001, 0.5))
def test_exactly_one_answer_or_none(ends: tuple[float, float], margin: float) -> None:
    outcome = decide(*ends, margin)
    mirrored = decide(-ends[1], -ends[0], margin)
    assert {"more": "less", "less": "more"}.get(outcome, outcome) == mirrored
    assert (outcome == "same") == (max(abs(ends[0]), abs(ends[1])) < margin)


@given(ENDS)
def test_an_interval_that_holds_zero_is_undecided(ends: tuple[float, float]) -> None:
    if ends[0] <= 0 <= ends[1]:
        assert decide(*ends, 0.0) == "undecided"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(1.3, 1.5, "more"), (0.4, 0.5, "less"), (0.95, 1.05, "same"), (1.1, 1.3, "undecided"), (0, 1, "undecided")],
)
def test_ratios(low: float, high: float, outcome: str) -> None:
    assert decide_ratio(low, high, 0.2) == outcome


def test_only_answers_that_were_offered() -> None:
    assert decide(-0.001, 0.001, 0.01, ("more", "less")) == "undecided"


@pytest.fixture
def seen() -> tuple[Examples, Examples]:
    made = np.random.default_rng(0)
    labels, teacher = made.integers(0, 4, 60), made.normal(size=(60, 4)) * 3
    return Examples(teacher + made.normal(size=(60, 4)), labels, teacher), Examples(
        made.normal(size=(60, 4)), labels, teacher
    )


def test_measures_agree_with_scipy(seen: tuple[Examples, Examples]) -> None:
    one = seen[0]
    own, taught = softmax(one.logits, 1), softmax(one.teacher, 1)
    assert ANSWERS["kl_to_teacher"](one) == pytest.approx(entropy(taught, own, axis=1))
    assert ANSWERS["entropy"](one) == pytest.approx(entropy(own, axis=1))
    assert ANSWERS["cross_entropy"](one) == pytest.approx(-np.log(own[np.arange(60), one.labels]))
    assert ANSWERS["confidence"](one) == pytest.approx(own.max(1))
    assert ANSWERS["agreement"](one).tolist() == (own.argmax(1) == taught.argmax(1)).tolist()


def test_a_student_near_its_teacher_is_found_nearer(seen: tuple[Examples, Examples]) -> None:
    check = Check("kl_to_teacher", "less", 0.05)
    found = lesson_check.of_answers(check, *seen)
    differences = ANSWERS["kl_to_teacher"](seen[0]) - ANSWERS["kl_to_teacher"](seen[1])
    assert found.value == pytest.approx(differences.mean())
    assert (found.outcome, found.examples) == ("less", 60)
    assert found.first - found.second == pytest.approx(found.value)
    assert lesson_check.of_answers(check, seen[0], seen[0]).outcome == "same"


def test_recall_looks_at_one_class(seen: tuple[Examples, Examples]) -> None:
    labels = seen[0].labels
    never = Examples(np.where(np.arange(4) == 2, -9.0, seen[0].logits), labels, seen[0].teacher)
    always = Examples(np.eye(4)[labels], labels, seen[0].teacher)
    found = lesson_check.of_answers(Check("recall", "less", 0.1, of="Shirt"), never, always, label=2)
    assert (found.value, found.outcome, found.examples) == (-1.0, "less", int((labels == 2).sum()))


def test_a_measure_beside_a_teacher_needs_one(seen: tuple[Examples, Examples]) -> None:
    alone = seen[0]._replace(teacher=None)
    with pytest.raises(InputError, match="needs no teacher"):
        lesson_check.of_answers(Check("agreement", "less", 0.1), alone, alone)


def latency(value: float, spread: float = 0.02) -> dict[str, dict[str, float]]:
    return {
        "latency": {
            "median_ms": 2 * value,
            "ratio": value,
            "ratio_low": value / (1 + spread),
            "ratio_high": value * (1 + spread),
        }
    }


def test_times_beside_one_reference() -> None:
    check = Check("latency", "less", 0.15)
    found = lesson_check.of_costs(check, latency(0.5), latency(1.0, 0.0))
    assert (found.value, found.outcome, found.first, found.second) == (0.5, "less", 1.0, 2.0)
    assert (found.low, found.high) == (pytest.approx(0.5 / 1.02), pytest.approx(0.5 * 1.02))
    both = lesson_check.of_costs(check, latency(0.5, 0.03), latency(1.0, 0.04))
    assert both.high / both.value == pytest.approx(math.exp(math.hypot(math.log(1.03), math.log(1.04))))
    assert lesson_check.of_costs(check, latency(1.0), latency(1.0)).outcome == "same"
    assert lesson_check.of_costs(check, latency(1.1, 0.2), latency(1.0)).outcome == "undecided"


def test_counts_are_exact() -> None:
    check = Check("macs", "same", 0.01)
    assert lesson_check.of_costs(check, {"macs": 500}, {"macs": 500}) == (1, 1, 1, "same", 0, 500, 500)
    assert lesson_check.of_costs(check, {"macs": 250}, {"macs": 500}).outcome == "less"
