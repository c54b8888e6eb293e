"""The arithmetic of rounds, when a campaign ends, and what a measuring process does with a model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine.measure.intervals import Round, interval, left_out, paired, pooled, precise, reading


def rounds_of(models: dict[str, Any]) -> list[Round]:
    """Rounds from seconds [rounds, calls] by name."""
    count = len(next(iter(models.values())))
    return [{n: {"times": list(t[i]), "cpu": float(t[i][0])} for n, t in models.items()} for i in range(count)]


def test_the_ratio_is_unmoved_by_a_slowdown_that_meets_both_models() -> None:
    rng, drift = np.random.default_rng(0), np.linspace(1, 3, 40)[:, None]
    a, b = drift * rng.normal(1.0, 0.02, (40, 5)), drift * rng.normal(1.5, 0.03, (40, 5))
    rounds = rounds_of({"a": a, "b": b})
    middle, low, high = paired(rounds, "b", "a")
    assert low <= middle <= high
    assert abs(middle - 1.5) < 0.03
    assert high - low < 0.05
    middle, low, high = pooled(rounds, "a")
    assert middle == pytest.approx(1e3 * np.median(a))
    assert high - low > 200
    row = reading(rounds, "b", "a")
    assert row["median_ms"] == pytest.approx(1e3 * np.median(b))
    assert row["cpu_ms"] == pytest.approx(1e3 * np.median(b[:, 0]))
    assert np.percentile(1e3 * b, 94) < row["p95_ms"] < np.percentile(1e3 * b, 96)
    assert reading(rounds, "a", "a")["ratio"] is None


@pytest.mark.parametrize(("count", "outside"), [(6, 0), (8, 0), (9, 1), (12, 2), (15, 3), (20, 5)])
def test_as_many_values_lie_outside_as_95_percent_allow(count: int, outside: int) -> None:
    """Against tables of the sign test: 12 values leave out 2 on each side (96.1 %), 20 leave out 5 (95.9 %)."""
    assert left_out(count) == outside


@pytest.mark.parametrize(("count", "noise"), [(4, "normal"), (12, "normal"), (12, "heavy"), (30, "heavy")])
def test_intervals_of_equal_models_hold_one_as_often_as_they_say(count: int, noise: str) -> None:
    rng, held = np.random.default_rng(count), 0
    for _ in range(600):
        values = rng.normal(0, 0.05, count) if noise == "normal" else 0.02 * rng.standard_t(1.5, count)
        _, low, high = interval(math.exp(float(np.median(values))), np.exp(np.clip(values, -9, 9)).tolist())
        held += low <= 1 <= high
    assert 0.925 <= held / 600 <= 0.985


def test_few_disturbed_rounds_hardly_move_an_interval() -> None:
    quiet = np.exp(np.random.default_rng(1).normal(0, 0.01, 12)).tolist()
    _, low, high = interval(float(np.median(quiet)), [*quiet[:10], 3.0, 5.0])
    assert 0.98 < low < high < 1.03
    assert interval(2.0, [2.0]) == (2.0, 2.0, 2.0)


def test_precise_asks_for_every_models_interval() -> None:
    steady, shaky = np.full((12, 5), 0.001), np.geomspace(0.001, 0.002, 12)[:, None] * np.ones(5)
    assert precise(rounds_of({"a": steady, "b": steady}), "a", 0.05)
    assert not precise(rounds_of({"a": steady, "b": shaky}), "a", 0.05)
    assert not precise(rounds_of({"b": shaky}), None, 0.05)
    assert precise(rounds_of({"a": shaky, "b": 2 * shaky}), "a", 0.05) is False  # the reference's own median, too
