"""Trying finalists for longer, and what short runs are worth, from the store and the atlas."""

from __future__ import annotations

import json
from pathlib import Path

import figure_rows
import pytest
from api_tools import TASK
from longer_tools import both, home, measured, no_atlas, none_shipped, ten
from runner_tools import recipe

from engine import api, api_longer, api_points
from engine.api_home import store_of
from engine.errors import InputError, NotFoundError
from engine.home import Home
from engine.recipe import Recipe
from engine.search import atlas
from engine.search.longer import longer

pytestmark = pytest.mark.usefixtures("none_shipped", "no_atlas")
__all__ = ["home", "no_atlas", "none_shipped"]


class TestFinalists:
    def view(self) -> api_points.View:
        sizes, values = (500, 1000, 2000, 4000, 8000, 16000, 3000), (0.1, 0.7, 0.8, 0.85, 0.88, 0.89, 0.5)
        rows = [
            figure_rows.row(i, packed_bytes=s, quality=q) for i, (s, q) in enumerate(zip(sizes, values, strict=True))
        ]
        rows += [figure_rows.row(20, packed_bytes=9, quality=0.99, role="teacher", student="teacher", epochs=0),
                 figure_rows.row(21, packed_bytes=9, quality=0.98, preview=True)]  # fmt: skip
        return api_points.view(api_points.table_of(rows, TASK))

    def numbers(self, keys: list[str]) -> list[int]:
        return [int(key, 16) for key in keys]

    def test_from_the_knee_to_the_best_point_of_the_front(self) -> None:
        assert self.numbers(api_longer.finalists(self.view(), 9)) == [1, 2, 3, 4, 5]
        assert self.numbers(api_longer.finalists(self.view(), 3)) == [1, 3, 5]
        assert api_longer.finalists(self.view(), 0) == []

    def test_the_best_ones_cheapest_first(self) -> None:
        assert self.numbers(api_longer.finalists(self.view(), 3, "best")) == [3, 4, 5]
        assert self.numbers(api_longer.finalists(self.view(), 2, "best", direction="minimize")) == [0, 6]

    def test_no_points_no_finalists(self) -> None:
        empty = api_points.view(api_points.table_of([], TASK))
        assert api_longer.finalists(empty, 5) == api_longer.finalists(empty, 5, "best") == []


class TestTrying:
    def test_a_plan_says_what_is_there_what_is_under_way_and_what_it_takes(self, home: Home) -> None:
        done, _ = both(home, recipe(1), 0.8, 0.9)
        fresh = measured(home, recipe(2), 0.7)
        plan = api_longer.plan(home, [done, fresh], 4)
        assert [t["state"] for t in plan["trials"]] == ["done", None]
        assert [t["epochs"] for t in plan["trials"]] == [4, 4]
        assert (plan["known"], plan["open"], plan["refused"]) == (1, 0, [])
        assert plan["low"] < plan["seconds"] < plan["high"]
        assert api_longer.plan(home, [fresh], 16)["seconds"] > 1.3 * api_longer.plan(home, [fresh], 4)["seconds"]
        assert api_longer.plan(home, [done], 4)["seconds"] == 0
        (started,) = api_longer.start(home, [fresh], 4)
        assert started == plan["trials"][1]["longer"]
        assert api_longer.plan(home, [done, fresh], 4)["open"] == 1

    def test_one_training_that_several_share_is_counted_once(self, home: Home) -> None:
        dense = Recipe.from_json(recipe(1)).dense()
        keys = [measured(home, dense.with_one_shot(s, 8).to_json(), 0.8) for s in (0.0, 0.3, 0.6)]
        one, three = (api_longer.plan(home, some, 16)["seconds"] for some in (keys[:1], keys))
        assert three < 2.5 * one

    def test_start_asks_for_the_same_recipes_for_longer_and_nothing_twice(self, home: Home) -> None:
        keys = [measured(home, recipe(seed), 0.8) for seed in (1, 2)]
        started = api_longer.start(home, [*keys, keys[0]], 4, who="me")
        assert started == api_longer.start(home, keys, 4, who="other")
        works = [api.status(home, key) for key in started]
        assert [w["recipe"]["phases"][0]["epochs"] for w in works] == [4, 4]
        assert {w["state"] for w in works} == {"queued"}
        assert api_longer.cancel(home, started, who="me") == 2
        assert api.status(home, started[0])["state"] == "queued", "somebody else wants it still"
        assert api_longer.cancel(home, started, who="other") == 2
        assert api.status(home, started[0])["state"] == "cancelled"

    def test_what_cannot_run_for_longer_is_refused_in_words(self, home: Home) -> None:
        long = measured(home, longer(Recipe.from_json(recipe(1)), 60).to_json(), 0.9)
        plan = api_longer.plan(home, [long, "0" * 32], 8)
        assert [r["key"] for r in plan["refused"]] == [long, "0" * 32]
        assert "200 is the most" in plan["refused"][0]["reason"]
        with pytest.raises(InputError, match="200 is the most"):
            api_longer.start(home, [long], 8)
        with pytest.raises(NotFoundError):
            api_longer.start(home, ["0" * 32], 8)
        for keys in ([], [f"{n:032x}" for n in range(30)]):
            with pytest.raises(InputError, match="1 to 24 trials"):
                api_longer.start(home, keys, 8)

    def test_a_persons_cap_holds_and_nothing_is_entered(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        keys = [measured(home, recipe(seed), 0.8) for seed in (1, 2, 3)]
        monkeypatch.setenv("STILLHOUSE_CAP", "2")
        with pytest.raises(InputError, match="2"):
            api_longer.start(home, keys, 4, who="guest")
        assert not store_of(home).rows("SELECT 1 FROM work WHERE state = 'queued'")
        assert len(api_longer.start(home, keys, 4, who="host", host=True)) == 3


class TestShortAndLong:
    def test_pairs_of_the_store_are_ranked_by_lengths(self, home: Home) -> None:
        made = ten(home)
        both(home, recipe(9, student="plain_1k5"), 0.5, 0.9, times=2)
        found = api_longer.short_and_long(home, TASK)
        assert [(s["short"], s["long"], s["pairs"], s["here"]) for s in found["steps"]] == [
            (1, 4, 10, 10),
            (1, 2, 1, 1),
        ]
        whole = found["steps"][0]["whole"]
        assert whole["spearman"] == pytest.approx(1)
        assert (whole["advised"], whole["tries"], whole["verdict"]) == (True, 1, "clear")
        assert {(p["short_key"], p["long_key"]) for p in found["steps"][0]["points"]} == set(made)
        few = found["steps"][1]["whole"]
        assert (few["verdict"], few["advised"], few["tries"], few["spearman"]) == ("few", False, None, None)
        json.dumps(found, allow_nan=False)

    def test_advice_is_withheld_where_long_runs_rank_otherwise(self, home: Home) -> None:
        ten(home, turned=True)
        whole = api_longer.short_and_long(home, TASK)["steps"][0]["whole"]
        assert whole["spearman"] == pytest.approx(-1)
        assert (whole["verdict"], whole["advised"], whole["tries"]) == ("weak", False, None)
        assert whole["regret"] == pytest.approx(0.21)

    def test_the_answer_is_kept_until_a_point_is_new(self, home: Home) -> None:
        ten(home)
        first = api_longer.short_and_long(home, TASK)
        assert api_longer.short_and_long(home, TASK) is first
        both(home, recipe(5), 0.5, 0.6)
        assert api_longer.short_and_long(home, TASK)["steps"][0]["pairs"] == 11

    def test_the_atlas_and_the_home_make_pairs_together_and_the_homes_own_count_first(
        self, home: Home, no_atlas: Path
    ) -> None:
        rows = [{"recipe": Recipe.from_json(recipe(seed)).to_json(), "times": 4, "short": {"quality": 0.1},
                 "long": {"quality": 0.2}} for seed in range(6)]  # fmt: skip
        atlas.write(no_atlas, rows, {"task": TASK, "machine": "m", "date": "2026-01-01"})
        before = api_longer.short_and_long(home, TASK)
        assert (before["steps"][0]["pairs"], before["steps"][0]["here"]) == (6, 0)
        assert before["atlas"] == {"machine": "m", "date": "2026-01-01"}
        both(home, recipe(0), 0.7, 0.8)
        (step,) = api_longer.short_and_long(home, TASK)["steps"]
        assert (step["pairs"], step["here"]) == (6, 1)
        assert max(p["long"] for p in step["points"]) == pytest.approx(0.8)

    def test_an_empty_home_has_no_steps(self, home: Home) -> None:
        found = api_longer.short_and_long(home, TASK)
        assert (found["steps"], found["atlas"]) == ([], None)
        with pytest.raises(InputError):
            api_longer.short_and_long(home, "nothing")

    def test_many_results_without_pairs_read_no_recipes(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        for seed in range(3):
            measured(home, recipe(seed), 0.5)
        monkeypatch.setattr(api_longer, "_canonical", lambda _text: pytest.fail("a recipe was read"))
        assert api_longer.runs(home, TASK) == []
