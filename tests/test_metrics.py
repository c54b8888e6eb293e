"""Metrics against scikit-learn, closed forms and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from engine import metrics
from engine.errors import TrialFailedError


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits [500, 10], labels [500] that they predict about half of the time, and a teacher's logits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 500)
    logits = rng.normal(size=(500, 10)).astype(np.float32)
    logits[np.arange(500), labels] += 1.5
    return logits, labels, logits + rng.normal(size=(500, 10)).astype(np.float32)


def test_equals_scikit_learn(sample: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, labels, _ = sample
    exp = np.exp(logits.astype(np.float64))
    probabilities, answers = exp / exp.sum(1, keepdims=True), logits.argmax(1)
    assert metrics.accuracy(logits, labels).value == reference.accuracy_score(labels, answers)
    assert metrics.macro_f1(logits, labels) == pytest.approx(reference.f1_score(labels, answers, average="macro"))
    assert metrics.cross_entropy(logits, labels) == pytest.approx(reference.log_loss(labels, probabilities))
    assert np.array_equal(metrics.confusion(logits, labels), reference.confusion_matrix(labels, answers))
    for k in (1, 3, 5):
        expected = reference.top_k_accuracy_score(labels, logits, k=k)
        assert metrics.top_k(logits, labels, k) == pytest.approx(expected)


def test_macro_f1_leaves_out_classes_that_never_occur() -> None:
    logits = np.eye(10)[[0, 1, 1, 2]]
    labels = np.array([0, 1, 2, 2])
    expected = reference.f1_score(labels, logits.argmax(1), average="macro")
    assert metrics.macro_f1(logits, labels) == pytest.approx(expected)


def test_top_one_is_accuracy_even_with_equal_logits() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.integers(0, 3, (400, 10)).astype(float), rng.integers(0, 10, 400)
    assert metrics.top_k(logits, labels, 1) == metrics.accuracy(logits, labels).value


def test_wilson_known_values() -> None:
    assert metrics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I, method 3
    assert metrics.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert metrics.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert metrics.wilson(20, 20)[1] == 1.0


def test_calibration_error_by_hand() -> None:
    # two answers of confidence 0.9, one of them wrong: accuracy 0.5, gap 0.4
    logits = np.log(np.array([[0.9, 0.1], [0.9, 0.1]]))
    assert metrics.expected_calibration_error(logits, np.array([0, 1])) == pytest.approx(0.4)
    assert metrics.expected_calibration_error(logits, np.array([0, 0])) == pytest.approx(0.1)


def test_agreement_and_kl(sample: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, _, teacher = sample
    assert metrics.agreement(logits, logits) == 1.0
    assert metrics.kl_to_teacher(logits, logits + 7.0) == pytest.approx(0.0, abs=1e-9)
    assert metrics.kl_to_teacher(logits, teacher) > 0.01
    two = metrics.kl_to_teacher(np.log([[0.5, 0.5]]), np.log([[0.8, 0.2]]))
    assert two == pytest.approx(0.8 * np.log(1.6) + 0.2 * np.log(0.4))


def test_classification_names(sample: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    logits, labels, teacher = sample
    row = metrics.classification(logits, labels, teacher)
    assert set(row) - set(metrics.classification(logits, labels)) == {"agreement", "kl_to_teacher"}
    assert row["agreement"] == (logits.argmax(1) == teacher.argmax(1)).mean()
    assert all(np.isfinite(v) for v in row.values())


def test_huge_logits_do_not_overflow() -> None:
    logits = np.array([[1e6, -1e6], [-1e6, 1e6]])
    assert metrics.cross_entropy(logits, np.array([0, 1])) == 0.0
    assert metrics.expected_calibration_error(logits, np.array([0, 1])) == 0.0


def test_diverged_models_are_named() -> None:
    with pytest.raises(TrialFailedError, match="diverged"):
        metrics.accuracy(np.array([[np.nan, 1.0]]), np.array([0]))
    with pytest.raises(ValueError, match=r"\[N, C\]"):
        metrics.accuracy(np.zeros((2, 3)), np.zeros(3, int))


def test_paired_difference_by_hand() -> None:
    a = np.array([1] * 60 + [0] * 40, bool)
    b = np.array([1] * 50 + [0] * 10 + [1] * 4 + [0] * 36, bool)
    difference, low, high = metrics.paired_difference(a, b)
    assert difference == pytest.approx(0.06)
    centre = 6 / 102
    half = 1.96 * np.sqrt(15 / 102 - centre**2) / np.sqrt(102)
    assert (low, high) == pytest.approx((centre - half, centre + half), abs=1e-5)
    assert metrics.paired_difference(b, a) == pytest.approx((-difference, -high, -low))


def test_paired_difference_of_equal_models_is_not_certain() -> None:
    same = np.ones(50, bool)
    difference, low, high = metrics.paired_difference(same, same)
    assert difference == 0
    assert low < 0 < high


def test_paired_difference_covers() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(600):
        kind = rng.choice(4, size=300, p=[0.8, 0.07, 0.03, 0.1])  # both, only a, only b, none: difference 0.04
        _, low, high = metrics.paired_difference(kind <= 1, (kind == 0) | (kind == 2))
        hits += low <= 0.04 <= high
    assert 0.92 <= hits / 600 <= 0.985


def test_paired_over_seeds_covers_where_examples_alone_would_not() -> None:
    """True difference 0.02; each seed shifts it by 0.02: an interval over examples only is far too narrow."""
    rng = np.random.default_rng(3)
    hits = narrow = 0
    for _ in range(300):
        hardness, shift = rng.normal(0, 0.05, 400), rng.normal(0, 0.02, (5, 1))
        a = rng.random((5, 400)) < np.clip(0.8 + hardness + shift, 0, 1)
        b = rng.random((5, 400)) < 0.78
        _, low, high = metrics.paired_over_seeds(a, b)
        hits += low <= 0.02 <= high
        _, low, high = metrics.paired_difference(a[0], b[0])
        narrow += high - low
    assert 0.91 <= hits / 300 <= 1.0
    assert narrow / 300 > 0.05


def test_paired_over_seeds_uses_the_pairing() -> None:
    rng = np.random.default_rng(4)
    b = rng.random((5, 1000)) < 0.8
    a = b | (rng.random((5, 1000)) < 0.1)
    difference, low, high = metrics.paired_over_seeds(a, b)
    assert 0.015 < difference < 0.025
    assert 0 < low < difference < high
    assert high - low < 0.02


def test_over_seeds_is_students_interval() -> None:
    mean, low, high = metrics.over_seeds(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    half = 2.776445 * np.sqrt(2.5 / 5)
    assert (mean, low, high) == pytest.approx((3.0, 3.0 - half, 3.0 + half))


def test_t_table_meets_its_tail() -> None:
    assert metrics.t95(30) == pytest.approx(2.0423, abs=5e-5)
    assert metrics.t95(31) == pytest.approx(2.0395, abs=1e-4)
    assert metrics.t95(120) == pytest.approx(1.9799, abs=1e-4)
    assert metrics.t95(1e9) == pytest.approx(metrics.Z95)


@pytest.mark.parametrize("height", [8.0, 70_000.0])
def test_halving_keeps_every_answer(height: float) -> None:
    random = np.random.default_rng(0)
    logits = (random.normal(size=(2_000, 10)) * 0.02 + height).astype(np.float32)  # steps that half precision loses
    half = metrics.halved(logits)
    assert half.dtype == np.float16
    assert np.isfinite(half).all()
    assert (half.argmax(1) == logits.argmax(1)).all()
    assert (np.clip(logits, -65504, 65504).astype(np.float16).argmax(1) != logits.argmax(1)).any()
    np.testing.assert_allclose(half, np.minimum(logits, 65504), rtol=2e-3)
