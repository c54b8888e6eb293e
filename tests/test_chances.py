"""The chance of being on the front, ties and means over seeds, against brute force and cases made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from figure_rows import many, row
from hypothesis import given, settings
from hypothesis import strategies as some

from engine import api_chances, api_front, api_points, api_statistics, figures
from engine.figures.pareto_info import free_of
from engine.search import likely, pareto
from engine.search.likely import Measured

COUNT = 2000
TASK = "fashion_mnist"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray[Any, Any]]:
    """Keys with what they are right about; nothing is kept of others."""
    kept: dict[str, np.ndarray[Any, Any]] = {}
    monkeypatch.setattr(api_statistics, "right", lambda _, key: kept.get(key))
    return kept


def point(key: str, right: np.ndarray[Any, Any] | None, size: float, **more: Any) -> dict[str, Any]:
    """A row with its accuracy and a plausible interval."""
    quality = more.pop("quality", 0.9) if right is None else float(right.mean())
    return row(0, key=key, quality=quality, quality_low=quality - 0.013, quality_high=quality + 0.013,
               packed_bytes=size, **more)  # fmt: skip


def right(count: int, start: int = 0) -> np.ndarray[Any, Any]:
    """``count`` right answers of COUNT, the first at ``start``."""
    return (np.arange(COUNT) >= start) & (np.arange(COUNT) < start + count)


@settings(max_examples=60, deadline=None)
@given(some.lists(some.tuples(some.integers(1, 4), some.integers(0, 3)), min_size=1, max_size=9), some.integers(0, 99))
def test_shares_count_the_fronts_of_all_worlds(pairs: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, good = np.array(pairs, float).T[:, None] + rng.integers(0, 2, (2, 12, len(pairs)))
    expected = np.zeros(len(pairs))
    for cost, value in zip(costs, good, strict=True):
        expected[pareto.front_of(cost, value)] += 1
    assert likely.shares(costs, good) == pytest.approx(expected / 12)


def test_worlds_keep_what_points_have_in_common() -> None:
    same = Measured(0.9, right(1800).astype(np.float32), 0.0)
    drawn = likely.worlds([same, same, Measured(0.9, right(1800, 200).astype(np.float32), 0.0)])
    assert np.array_equal(drawn[:, 0], drawn[:, 1])
    assert drawn[:, 0].std() == pytest.approx(np.sqrt(0.09 / COUNT), rel=0.15)
    assert np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1] < 0.3


def test_seeds_move_a_mean_by_students_t() -> None:
    quiet = Measured(0.9, right(1800).astype(np.float32), 0.0)
    moved = Measured(0.9, quiet.right, 0.0, seeds=5, seed_spread=0.02)
    gap = likely.worlds([quiet, moved], 20_000)
    extra = gap[:, 1] - gap[:, 0]
    assert np.percentile(extra, 97.5) == pytest.approx(2.776 * 0.02 / np.sqrt(5), rel=0.06)


def test_equal_readings_move_together() -> None:
    drawn = likely.cost_worlds(np.array([1.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.2]))
    assert np.array_equal(drawn[:, 0], drawn[:, 1])
    assert not np.array_equal(drawn[:, 0], drawn[:, 2])
    assert np.log(drawn[:, 0]).std() == pytest.approx(0.1, rel=0.15)


def test_candidates_are_the_front_and_what_is_near() -> None:
    costs, good = np.array([1.0, 2.0, 2.0, 3.0, np.nan]), np.array([0.8, 0.9, 0.899, 0.7, 1.0])
    found = likely.candidates(costs, good, np.full(5, 0.005), np.zeros(5))
    assert sorted(found.tolist()) == [0, 1, 2]
    timed = likely.candidates(costs, good, np.full(5, 0.005), np.full(5, 0.4))
    assert 3 not in likely.candidates(costs, good, np.full(5, 0.005), np.zeros(5))
    assert 3 in timed, "it may really be the fastest"


def test_a_clear_front_is_certain_and_a_tie_is_shared(home: Any, answers: Any) -> None:
    answers |= {"a": right(1500), "b": right(1800), "c": right(1800, 200), "d": right(1200)}
    rows = [point("a", answers["a"], 1000), point("b", answers["b"], 2000), point("c", answers["c"], 2001),
            point("d", answers["d"], 3000)]  # fmt: skip
    costs = np.array([r["packed_bytes"] for r in rows], float)
    found = api_chances.chances(home, rows, "packed_bytes", costs)
    assert found[0] == found[1] == 1.0
    assert found[2] == pytest.approx(0.5, abs=0.07), "as good on other images, but a byte larger"
    assert found[3] == 0.0
    costs[1] = np.nan
    again = api_chances.chances(home, rows, "packed_bytes", costs)
    assert np.isnan(again[1])
    assert again[2] == 1.0


def test_more_points_than_can_be_tried_are_far_away(home: Any) -> None:
    rows = many(3000)
    costs = np.array([r["packed_bytes"] for r in rows], float)
    found = api_chances.chances(home, rows, "packed_bytes", costs)
    assert np.isfinite(found).all()
    line = pareto.front([float(c) for c in costs], [r["quality"] for r in rows])
    assert found[line].min() > 0.02
    assert 0 < (found > 0).sum() <= likely.MOST


def test_a_tie_names_the_cheapest(home: Any, answers: Any) -> None:
    answers |= {"a": right(1600), "b": right(1800), "c": right(1806, 100), "d": right(1990)}
    rows = [point(k, answers[k], size) for k, size in (("d", 4e3), ("a", 1e3), ("c", 3e3), ("b", 2e3))]
    assert api_chances.ties(home, rows, [r["packed_bytes"] for r in rows]) == [None, None, 3, None]
    assert api_chances.tied(home, rows[2], rows[3])
    assert not api_chances.tied(home, rows[0], rows[1])


def test_without_answers_two_samples_are_compared(home: Any, answers: Any) -> None:
    near, far = point("x", None, 1e3, quality=0.9), point("y", None, 1e3, quality=0.93)
    assert not api_chances.tied(home, near, far)
    assert api_chances.tied(home, near, point("z", None, 1e3, quality=0.91))
    assert api_chances.better(home, near, far) is None


class TestSeeds:
    """Five runs of one recipe beside one run of another."""

    def rows(self, answers: dict[str, Any]) -> list[dict[str, Any]]:
        found = []
        for seed, count in enumerate((1700, 1720, 1740, 1760, 1840)):
            answers[f"s{seed}"] = right(count)
            found.append(point(f"s{seed}", answers[f"s{seed}"], 2000 + seed, seed=seed, family="f"))
        answers["other"] = right(1765)
        return [*found, point("other", answers["other"], 1900, seed=0, family="g")]

    def test_the_lucky_seed_does_not_stand_on_the_front(self, home: Any, answers: Any) -> None:
        table = api_points.table_of(self.rows(answers), TASK)
        view = api_points.view(table)
        assert len(table.rows) == 7
        counted = view.numbers("packed_bytes")
        assert np.isfinite(counted).tolist() == [False] * 5 + [True, True]
        line = pareto.front_of(counted, view.numbers("quality"))
        assert [view.rows[i]["key"] for i in line] == ["other"], "the mean, 87.6 %, is not better"

    def test_limits_recommend_means_and_say_how_sure(self, home: Any, answers: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(api_front, "_right", lambda _home, _task, key: answers[key])
        api_front._better.cache_clear()
        found = api_front.recommend(home, TASK, {"packed_bytes": 1e5}, 0.87, self.rows(answers))
        assert (found["best"]["key"], found["runner_up"]["seeds"], found["basis"]) == ("other", 5, "seeds")
        assert 0.5 < found["probability"] < 0.95
        assert found["tied"] is True
        assert api_chances.reaches(home, found["runner_up"], 0.87) == pytest.approx(0.65, abs=0.2)

    def test_filters_by_key_keep_the_mean_of_a_seed(self, answers: Any) -> None:
        table = api_points.table_of(self.rows(answers), TASK)
        view = api_points.view(table, keys=frozenset(["s3"]))
        assert [r.get("seeds") for r in view.rows] == [None, 5]

    def test_figures_draw_seeds_faintly_and_the_mean_on_the_front(self, answers: Any) -> None:
        rows = api_chances.together(self.rows(answers)[:5])
        assert free_of(rows, "packed_bytes") == [False] * 5 + [True]
        info = figures.pareto_info(rows, chances=[None] * 5 + [0.62])
        assert [m.replicate for m in info.points] == [True] * 5 + [False]
        assert info.front == (5,)
        assert "mean of 5 seeds" in info.points[5].hover
        assert "probability 62 %" in info.points[5].hover
        quiet, loud = (t for t in figures.pareto_figure(info)["data"] if t["mode"] == "markers")
        assert quiet["marker"]["opacity"] < 0.25 < 0.6
        assert loud["marker"]["color"].startswith("rgba(0,114,178,0.7")

    def test_the_front_page_chart_says_the_same(self, answers: Any) -> None:
        rows = api_chances.together(self.rows(answers)[:5])
        view = api_points.view(api_points.table_of(self.rows(answers)[:5], TASK))
        info = figures.front_info(rows, "packed_bytes", view.columns, counts=view.full,
                                  chances=np.array([np.nan] * 5 + [0.5]))  # fmt: skip
        rest, loud = (t for t in figures.front_figure(info)["data"] if t["mode"] == "markers")
        assert float(np.max(rest["marker"]["opacity"])) < 0.25
        assert float(np.max(loud["marker"]["opacity"])) == pytest.approx(0.675)
        assert "probability 50 %" in loud["hovertext"][0]
