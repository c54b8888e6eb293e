"""Intervals and differences against closed forms, scikit-learn and simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from benchmarks import coverage
from engine import metrics, statistics


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits [800, 10], labels [800], a teacher's logits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 800)
    logits = rng.normal(size=(800, 10))
    logits[np.arange(800), labels] += 2.0
    return logits, labels, logits + 0.5 * rng.normal(size=(800, 10))


def test_a_redrawn_mean_spreads_as_the_standard_error_says() -> None:
    values = np.random.default_rng(1).normal(size=(1000, 2)) * [1.0, 3.0]
    drawn = statistics.redrawn(values, 2000)
    assert drawn.mean(0) == pytest.approx(values.mean(0), abs=0.01)
    assert drawn.std(0) == pytest.approx(values.std(0) / np.sqrt(1000), rel=0.08)


def test_equal_seeds_draw_equal_examples() -> None:
    values = np.random.default_rng(2).normal(size=300)
    both = statistics.redrawn(np.stack([values, values + 1], axis=1), 200)
    assert both[:, 1] - both[:, 0] == pytest.approx(1.0, abs=1e-5)
    alone = statistics.redrawn(values[:, None], 200)
    assert alone[:, 0] == pytest.approx(both[:, 0], abs=1e-6)
    assert not np.array_equal(alone, statistics.redrawn(values[:, None], 200, seed=1))


def test_weights_count_every_example_of_every_sample() -> None:
    weights = statistics.weights(50, 30)
    assert weights.shape == (30, 50)
    assert np.array_equal(weights.sum(1), np.full(30, 50))


def test_the_bootstrap_of_a_share_is_close_to_wilson() -> None:
    right = np.random.default_rng(3).random(2000) < 0.9
    drawn, closed = statistics.mean(right), statistics.share(right)
    assert drawn.value == closed.value
    assert (drawn.low, drawn.high) == pytest.approx((closed.low, closed.high), abs=0.002)
    assert (drawn.method, closed.method, drawn.count) == ("bootstrap", "wilson", 2000)


def test_every_measure_has_an_interval_that_holds_it(sample: tuple[np.ndarray, ...]) -> None:
    found = statistics.classification(*sample)
    assert {n: e.value for n, e in found.items()} == metrics.classification(*sample)
    for name, estimate in found.items():
        assert estimate.low <= estimate.value <= estimate.high, name
        assert estimate.high > estimate.low, name
        assert estimate.method == ("wilson" if name in ("accuracy", "top5", "agreement") else "bootstrap")
    without = statistics.classification(*sample[:2])
    assert set(found) - set(without) == {"agreement", "kl_to_teacher"}


def test_redrawn_f1_is_scikit_learns_on_the_same_examples(sample: tuple[np.ndarray, ...]) -> None:
    """The columns are linear, so weights of one draw give what the drawn examples themselves give."""
    logits, labels, teacher = sample
    weights = statistics.weights(800, 1)[0].astype(int)
    chosen = np.repeat(np.arange(800), weights)
    columns, readers = statistics._sums(logits, labels, teacher)
    drawn = {n: read((weights @ c / 800)[None])[0] for c, (n, read) in zip(columns, readers, strict=True)}
    expected = reference.f1_score(labels[chosen], logits[chosen].argmax(1), average="macro")
    assert drawn["macro_f1"] == pytest.approx(expected)
    again = metrics.classification(logits[chosen], labels[chosen], teacher[chosen])
    for name in ("cross_entropy", "calibration_error", "kl_to_teacher"):
        assert drawn[name] == pytest.approx(again[name]), name


def test_seeds_have_students_t() -> None:
    values = [0.89, 0.9, 0.885, 0.893, 0.899]
    found = statistics.over_seeds(values)
    expected = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-6)
    assert (found.method, found.count) == ("t", 5)
    assert statistics.over_seeds([0.9]) == statistics.Estimate(0.9, 0.9, 0.9, "t", 1)


@pytest.mark.parametrize(("gap", "verdict"), [(200, "above"), (0, "tied"), (-200, "below")])
def test_a_difference_says_who_is_better(gap: int, verdict: str) -> None:
    a, b = np.arange(5000) < 4300 + gap, np.arange(5000) >= 5000 - 4300
    found = statistics.difference(a, b)
    assert found.difference == pytest.approx(gap / 5000)
    assert (found.verdict, found.examples, found.seeds) == (verdict, 5000, 1)
    assert found.to_json()["verdict"] == verdict
    less = statistics.Difference(found.difference, found.low, found.high, 5000, direction="minimize")
    assert less.verdict == {"above": "below", "below": "above"}.get(verdict, verdict)


def test_several_seeds_widen_a_difference() -> None:
    rng = np.random.default_rng(4)
    luck = rng.normal(0, 0.1, (5, 1))
    a, b = rng.random((5, 2000)) < 0.9 + 0.3 * luck, rng.random((5, 2000)) < 0.9
    found = statistics.difference(a, b)
    assert (found.seeds, found.examples) == (5, 2000)
    one = statistics.difference(a.mean(0) > 0.5, b.mean(0) > 0.5)
    assert found.high - found.low > one.high - one.low
    with pytest.raises(ValueError, match="same shape"):
        statistics.difference(a, b[:, :100])


def test_the_spread_behind_an_interval() -> None:
    assert statistics.spread_of(1 - 1.96, 1 + 1.96) == pytest.approx(1.0, abs=1e-4)
    assert statistics.spread_of(np.exp(-1.96), np.exp(1.96), log=True) == pytest.approx(1.0, abs=1e-4)
    assert statistics.spread_of(None, 1.0) == statistics.spread_of(0.0, 1.0, log=True) == 0.0


@pytest.mark.parametrize("name", ["Wilson", "paired (Agresti and Min)", "t over seeds", "paired, seeds and examples"])
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    """The benchmark's own simulations, few of them; 2,000 of each are in docs/figures.md."""
    case = next(c for c in coverage.cases(100) if c.method == name)
    rng = np.random.default_rng(5)
    held = [case.simulate(rng)[0] for _ in range(300)]
    assert 0.91 <= np.mean(held) <= 0.985
