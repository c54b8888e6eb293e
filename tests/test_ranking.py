"""Rank agreement: Spearman against a plain definition, ties, groups, units, regret, verdicts, coverage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine.search import ranking
from engine.search.ranking import agreement, spearman


def plain_ranks(values: list[float]) -> list[float]:
    return [1 + sum(o < v for o in values) + (sum(o == v for o in values) - 1) / 2 for v in values]


def plain_spearman(a: list[float], b: list[float]) -> float:
    return float(np.corrcoef(plain_ranks(a), plain_ranks(b))[0, 1])


def noisy(count: int, noise: float, seed: int = 0) -> tuple[list[float], list[float]]:
    chance = np.random.default_rng(seed)
    early = chance.normal(size=count)
    return early.tolist(), (early + noise * chance.normal(size=count)).tolist()


class TestSpearman:
    @given(some.lists(some.tuples(some.integers(0, 6), some.integers(0, 6)), min_size=3, max_size=25))
    @settings(max_examples=200, deadline=None)
    def test_equals_the_definition_with_ties_at_their_mean_rank(self, pairs: list[tuple[int, int]]) -> None:
        a, b = ([float(p[i]) for p in pairs] for i in (0, 1))
        if len(set(a)) > 1 and len(set(b)) > 1:
            assert spearman(a, b) == pytest.approx(plain_spearman(a, b), abs=1e-12)
        else:
            assert np.isnan(spearman(a, b))

    def test_only_the_order_counts(self) -> None:
        a, b = noisy(20, 0.5)
        assert spearman([np.exp(3 * x) for x in a], b) == pytest.approx(spearman(a, b))
        assert spearman(a, [-x for x in a]) == pytest.approx(-1)

    def test_weights_are_repetitions(self) -> None:
        a, b = noisy(9, 1.0)
        times = np.array([0, 1, 2, 0, 3, 1, 1, 2, 1])
        repeated = [[x for x, n in zip(v, times, strict=True) for _ in range(n)] for v in (a, b)]
        found = ranking._spearman(np.array(a), np.array(b), times[None].astype(float))[0]
        assert found == pytest.approx(plain_spearman(*repeated))


class TestAgreement:
    def test_a_clear_case_and_a_weak_one(self) -> None:
        good, bad = agreement(*noisy(40, 0.2)), agreement(*noisy(40, 3.0, seed=3))
        assert (good.verdict, good.advised) == ("clear", True)
        assert good.spearman is not None
        assert good.low is not None
        assert good.low <= good.spearman <= (good.high or 0)
        assert (bad.verdict, bad.advised) == ("weak", False)

    def test_too_few_pairs_or_too_few_units_say_nothing(self) -> None:
        a, b = noisy(20, 0.1)
        assert agreement(a[:7], b[:7]).verdict == "few"
        assert agreement(a, b, units=[i % 4 for i in range(20)]).verdict == "few"
        assert agreement(a, b, units=[i % 4 for i in range(20)]).spearman is None
        assert agreement([], []).pairs == 0

    def test_what_belongs_together_widens_the_interval(self) -> None:
        a, b = noisy(12, 0.7, seed=5)
        many = [x for x in a for _ in range(6)], [x for x in b for _ in range(6)]
        alone, together = agreement(*many), agreement(*many, units=[i // 6 for i in range(72)])
        assert together.units == 12
        assert None not in (alone.low, alone.high, together.low, together.high)
        assert (together.high or 0) - (together.low or 0) > 1.5 * ((alone.high or 0) - (alone.low or 0))

    def test_groups_take_out_what_differs_between_them(self) -> None:
        chance = np.random.default_rng(1)
        size, groups = np.repeat(np.arange(6.0), 5), np.repeat(np.arange(6), 5)
        early, late = size + 0.01 * chance.normal(size=30), size + 0.01 * chance.normal(size=30)
        assert (agreement(early, late).spearman or 0) > 0.9
        inside = agreement(early, late, groups=groups)
        assert inside.groups == 6
        assert abs(inside.spearman or 1) < 0.5

    def test_regret_by_hand_and_what_the_best_three_leave_of_it(self) -> None:
        early = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
        late = [0.80, 0.81, 0.85, 0.7, 0.90, 0.1, 0.1, 0.1]
        found = agreement(early, late)
        assert found.regret == pytest.approx(0.10)
        assert dict(found.tops) == pytest.approx({1: 0.10, 3: 0.05, 5: 0.0})
        assert (found.regret_low or 0) <= (found.regret or 0) <= (found.regret_high or 0)

    def test_a_tie_for_the_early_best_counts_at_its_worst(self) -> None:
        for order in itertools.permutations(range(3)):
            late = [0.5, 0.7, 0.9]
            found = agreement([0.9, 0.9, 0.9, *[0.1] * 6], [*(late[i] for i in order), *[0.2] * 6])
            assert found.regret == pytest.approx(0.4)

    def test_regret_is_the_mean_over_groups(self) -> None:
        early = [1.0, 0.0] * 6
        late = [1.0, 0.0] * 3 + [0.0, 0.6] * 3
        found = agreement(early, late, groups=[i // 2 for i in range(12)], units=[i // 2 for i in range(12)])
        assert found.regret == pytest.approx(0.3)

    def test_the_direction_turns_both(self) -> None:
        a, b = noisy(20, 0.4)
        up, down = agreement(a, b), agreement([-x for x in a], [-x for x in b], "minimize")
        assert up == down

    def test_nothing_varies(self) -> None:
        assert agreement([0.5] * 10, [0.4] * 10).verdict == "unsure"

    def test_same_numbers_same_answer(self) -> None:
        assert agreement(*noisy(15, 0.5)) == agreement(*noisy(15, 0.5))

    @pytest.mark.parametrize("bad", [([1.0], [1.0, 2.0]), ([float("nan")] * 9, [1.0] * 9)])
    def test_refuses_what_cannot_be_compared(self, bad: tuple[list[float], list[float]]) -> None:
        with pytest.raises(ValueError, match="N"):
            agreement(*bad)


def test_the_interval_holds_the_true_correlation_about_as_often_as_it_says() -> None:
    """Bivariate normal readings of 40 units; Spearman's true value is 6/pi asin(r/2) (Kruskal 1958)."""
    chance, r, hits, rounds = np.random.default_rng(11), 0.8, 0, 200
    true = 6 / np.pi * np.arcsin(r / 2)
    for _ in range(rounds):
        a, b = chance.multivariate_normal([0, 0], [[1, r], [r, 1]], 40).T
        found = agreement(a, b)
        hits += (found.low or 0) <= true <= (found.high or 0)
    assert 0.88 <= hits / rounds <= 0.99
