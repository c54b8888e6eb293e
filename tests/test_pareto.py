"""The front, the knee and the recommendation against their definitions, by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.search.pareto import SIZES, best_under, dominates, front, front_of, hypervolume, knee, ranking

# few distinct values, so that ties and duplicates are common
COARSE = st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0])
ODD = st.sampled_from([None, math.nan, math.inf, -math.inf])
POINTS = st.lists(st.tuples(COARSE | ODD, COARSE | ODD), max_size=30)
CLEAN = st.lists(st.tuples(st.floats(0.1, 1e9), st.floats(-10, 10)), max_size=40)
DIRECTIONS = st.sampled_from(["maximize", "minimize"])


def split(points):
    return [p[0] for p in points], [p[1] for p in points]


def usable(value) -> bool:
    return value is not None and math.isfinite(value)


def by_definition(points, direction) -> set[int]:
    sign = 1 if direction == "maximize" else -1
    good = [(i, c, sign * q) for i, (c, q) in enumerate(points) if usable(c) and usable(q)]
    return {i for i, c, q in good if not any(dominates(c2, q2, c, q) for _, c2, q2 in good)}


@given(POINTS, DIRECTIONS)
def test_front_is_the_set_of_undominated_points(points, direction) -> None:
    assert set(front(*split(points), direction)) == by_definition(points, direction)


@given(CLEAN, DIRECTIONS)
def test_front_rises_in_cost_and_in_quality(points, direction) -> None:
    costs, qualities = split(points)
    line = front(costs, qualities, direction)
    assert [costs[i] for i in line] == sorted(costs[i] for i in line)
    assert [qualities[i] for i in line] == sorted((qualities[i] for i in line), reverse=direction == "minimize")


@given(CLEAN)
def test_front_of_the_front_is_itself_and_order_does_not_matter(points) -> None:
    costs, qualities = split(points)
    line = front(costs, qualities)
    assert front([costs[i] for i in line], [qualities[i] for i in line]) == list(range(len(line)))
    backwards = front(costs[::-1], qualities[::-1])
    assert {points[::-1][i] for i in backwards} == {points[i] for i in line}


def test_every_exact_duplicate_stays_and_a_tie_in_one_value_does_not() -> None:
    assert front([1, 1, 2, 2, 2], [5, 5, 7, 6, 7]) == [0, 1, 2, 4]
    assert front([1, 2], [5, 5]) == [0]
    assert front([1, 1], [4, 5]) == [1]


def test_front_of_nothing_and_of_only_unusable_points_is_empty() -> None:
    assert front([], []) == []
    assert front([math.nan, 1.0, None], [1.0, math.nan, 0.5]) == []


def test_unequal_lengths_are_a_programming_error() -> None:
    with pytest.raises(ValueError, match="2 costs and 1 qualities"):
        front([1, 2], [1])


def test_knee_is_where_the_curve_bends() -> None:
    costs = [1e3, 1e4, 1e5, 1e6]
    assert knee(costs, [0.5, 0.88, 0.90, 0.91]) == 1
    assert knee(costs, [0.5, 0.6, 0.90, 0.91]) == 2
    assert knee(costs, [-0.5, -0.88, -0.90, -0.91], "maximize") is None


def test_knee_is_measured_on_a_logarithmic_axis() -> None:
    # on a linear axis point 1 lies farthest from the chord, on the logarithmic one point 2 does
    costs, quality = [1.0, 100.0, 1000.0, 10000.0], [0.0, 0.55, 0.95, 1.0]
    assert knee(costs, quality) == 2


def test_no_knee_without_a_bend() -> None:
    assert knee([1, 10], [0.1, 0.9]) is None
    assert knee([1, 10, 100], [0.1, 0.2, 0.3]) is None
    assert knee([1, 10, 100], [0.1, 0.11, 0.3]) is None, "a sagging point is no knee"
    assert knee([], []) is None


@given(CLEAN, st.floats(0.01, 100), st.floats(0.01, 100))
def test_knee_is_on_the_front_and_the_farthest_in_perpendicular_distance(points, stretch_x, stretch_y) -> None:
    costs, qualities = split(points)
    found, line = knee(costs, qualities), front(costs, qualities)
    if found is None:
        return
    assert found in line
    xs = [stretch_x * math.log(costs[i]) for i in line]
    ys = [stretch_y * qualities[i] for i in line]
    dx, dy = xs[-1] - xs[0], ys[-1] - ys[0]
    side = [(dx * (y - ys[0]) - dy * (x - xs[0])) / math.hypot(dx, dy) for x, y in zip(xs, ys, strict=True)]
    assert side[line.index(found)] == pytest.approx(max(side), rel=1e-6, abs=1e-9 * math.hypot(dx, dy))


ROWS = [
    {"quality": 0.90, "packed_bytes": 9000, "latency_ms": 0.30},
    {"quality": 0.91, "packed_bytes": 40000, "latency_ms": 0.20},
    {"quality": 0.89, "packed_bytes": 5000, "latency_ms": None},
    {"quality": math.nan, "packed_bytes": 10, "latency_ms": 0.01},
    {"quality": 0.90, "packed_bytes": 8000, "latency_ms": 0.40},
]


@pytest.mark.parametrize(
    ("limits", "at_least", "expected"),
    [
        ({"packed_bytes": 100_000}, None, 1),
        ({"packed_bytes": 9000}, None, 4),
        ({"packed_bytes": 9000, "latency_ms": 0.3}, None, 0),
        ({"packed_bytes": 5000}, None, 2),
        ({"packed_bytes": 5000, "latency_ms": 1.0}, None, None),
        ({}, 0.9, 4),
        ({}, 0.905, 1),
        ({"packed_bytes": 10_000}, 0.905, None),
        ({"packed_bytes": 11}, None, None),
    ],
)
def test_best_under_budgets(limits, at_least, expected) -> None:
    assert best_under(ROWS, limits, at_least) == expected


def test_best_under_where_less_is_better() -> None:
    rows = [{"quality": 12.0, "packed_bytes": 10}, {"quality": 9.0, "packed_bytes": 20}]
    assert best_under(rows, {"packed_bytes": 20}, direction="minimize") == 1
    assert best_under(rows, {}, 13.0, direction="minimize") == 0


@given(st.lists(st.tuples(COARSE, COARSE), min_size=1, max_size=20), COARSE)
def test_the_recommendation_is_never_beaten_within_the_budget(points, most) -> None:
    rows = [{"quality": q, "packed_bytes": c} for c, q in points]
    found = best_under(rows, {"packed_bytes": most})
    fitting = [r for r in rows if r["packed_bytes"] <= most]
    if found is None:
        assert not fitting
        return
    best = rows[found]
    assert best in fitting
    assert not any(dominates(r["packed_bytes"], r["quality"], best["packed_bytes"], best["quality"]) for r in fitting)


def columns(rows):
    names = {name for row in rows for name in row}
    return {name: np.array([row.get(name) for row in rows], dtype=float) for name in names | {"quality", *SIZES}}


@given(POINTS, DIRECTIONS)
def test_the_front_of_arrays_is_the_front(points, direction) -> None:
    costs, qualities = (np.array(part, dtype=float) for part in split(points))
    assert front_of(costs, qualities, direction).tolist() == front(*split(points), direction)


ROW = st.fixed_dictionaries({"quality": COARSE | ODD, "packed_bytes": COARSE | ODD, "latency_ms": COARSE | ODD})
LIMITS = st.dictionaries(st.sampled_from(["packed_bytes", "latency_ms"]), COARSE)


@given(st.lists(ROW, min_size=1, max_size=25), LIMITS, st.none() | COARSE, DIRECTIONS)
def test_the_ranking_goes_on_where_the_best_is_taken_away(rows, limits, at_least, direction) -> None:
    order = ranking(columns(rows), limits, at_least, direction=direction).tolist()
    left = list(range(len(rows)))
    for expected in order:
        found = best_under([rows[i] for i in left], limits, at_least, direction=direction)
        assert found is not None
        assert left.pop(found) == expected
    assert best_under([rows[i] for i in left], limits, at_least, direction=direction) is None


class TestHypervolume:
    def test_by_hand(self) -> None:
        assert hypervolume([2.0], [3.0], (5.0, 1.0)) == 6.0
        assert hypervolume([1.0, 2.0, 4.0], [2.0, 1.5, 3.0], (5.0, 1.0)) == 5.0, "4 x 1 and 1 x 1, one is dominated"
        assert hypervolume([10.0, 100.0], [0.5, 1.0], (1000.0, 0.0), log=True) == pytest.approx(2 * 0.5 + 1 * 0.5)
        assert hypervolume([1.0], [-3.0], (5.0, -1.0)) == 0.0

    def test_nothing_better_than_the_reference_adds_nothing(self) -> None:
        inside = hypervolume([2.0], [3.0], (5.0, 1.0))
        assert hypervolume([2.0, 9.0, 1.0], [3.0, 9.0, 0.5], (5.0, 1.0)) == inside
        assert hypervolume([2.0, None, math.nan, 1.0], [3.0, 9.0, 9.0, None], (5.0, 1.0)) == inside
        assert hypervolume([2.0, 0.0, -1.0], [3.0, 9.0, 9.0], (5.0, 1.0), log=True) > 0, "no logarithm: left out"
        assert hypervolume([], [], (1.0, 0.0)) == 0.0

    @pytest.mark.parametrize("reference", [(math.nan, 0.0), (1.0, math.inf), (0.0, 1.0)])
    def test_a_reference_must_be_a_point(self, reference) -> None:
        with pytest.raises(ValueError, match="reference"):
            hypervolume([1.0], [1.0], reference, log=True)

    @settings(deadline=None)  # the first example imports both
    @given(POINTS, DIRECTIONS)
    def test_it_is_that_of_optuna_and_of_pymoo(self, points, direction) -> None:
        wfg = pytest.importorskip("optuna._hypervolume", reason="optuna is not installed")
        pymoo = pytest.importorskip("pymoo.indicators.hv", reason="pymoo is not installed")
        sign = -1.0 if direction == "maximize" else 1.0
        kept = np.array([(c, sign * q) for c, q in points if usable(c) and usable(q)]).reshape(-1, 2)
        reference = np.array([6.0, sign * 2.0 if direction == "maximize" else 6.0])
        better = kept[(kept < reference).all(1)]
        found = hypervolume(*split(points), (reference[0], sign * reference[1]), direction)
        assert found == pytest.approx(pymoo.HV(ref_point=reference)(kept) if len(kept) else 0.0)
        assert found == pytest.approx(wfg.compute_hypervolume(better, reference) if len(better) else 0.0)

    @settings(deadline=None)  # the first example imports both
    @given(POINTS, DIRECTIONS)
    def test_the_front_is_that_of_optuna_and_of_pymoo(self, points, direction) -> None:
        optuna = pytest.importorskip("optuna", reason="optuna is not installed")
        sorting = pytest.importorskip("pymoo.util.nds.non_dominated_sorting", reason="pymoo is not installed")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        kept = [i for i, (c, q) in enumerate(points) if usable(c) and usable(q)]
        study = optuna.create_study(directions=["minimize", direction])
        study.add_trials([optuna.trial.create_trial(values=list(points[i])) for i in kept])
        found = set(front(*split(points), direction))
        assert found == {kept[trial.number] for trial in study.best_trials}
        sign = -1.0 if direction == "maximize" else 1.0
        if kept:
            costs = np.array([(points[i][0], sign * points[i][1]) for i in kept])
            first = sorting.NonDominatedSorting().do(costs, only_non_dominated_front=True)
            assert found == {kept[i] for i in first}
