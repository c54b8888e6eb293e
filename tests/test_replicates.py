"""Seeds as replicates: which runs belong together, and what they say together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from api_tools import TASK, finish, none_shipped
from figure_rows import row
from runner_tools import recipe
from scipy import stats

from engine import api, api_home, api_statistics, store_read
from engine.errors import InputError, NotFoundError
from engine.recipe import MAX_SEED, Recipe
from engine.result import Quality
from engine.search import replicates

__all__ = ["none_shipped"]
pytestmark = pytest.mark.usefixtures("none_shipped")


def runs(*qualities: float, **more: Any) -> list[dict[str, Any]]:
    """One row a seed, of one recipe."""
    return [row(i, seed=i, family="f", quality=q, quality_low=q - 0.01, quality_high=q + 0.01, packed_bytes=8000 + i,
                **more) for i, q in enumerate(qualities)]  # fmt: skip


def test_a_family_is_a_recipe_without_its_own_seed() -> None:
    made = [Recipe.from_json(recipe(seed)).to_json() for seed in (0, 1)]
    assert replicates.family_of(made[0]) == replicates.family_of(made[1])
    assert replicates.family_of(made[0]) == replicates.family_of(dict(reversed(made[0].items())))
    other = Recipe.from_json(recipe(0, student="plain_5k")).to_json()
    assert replicates.family_of(made[0]) != replicates.family_of(other)
    taught = [{**made[0], "phases": [{**made[0]["phases"][0], "teachers": [m]}]} for m in made]
    assert replicates.family_of(taught[0]) != replicates.family_of(taught[1]), "a teacher's seed is another teacher"


def test_replicates_follow_the_seed_and_come_round() -> None:
    first = Recipe.from_json(recipe(MAX_SEED - 1))
    assert [r.seed for r in replicates.with_seeds(first, 4)] == [MAX_SEED - 1, MAX_SEED, 0, 1]
    assert replicates.with_seeds(first, 1) == [first]
    for wrong in (0, 21, 2.0, True):
        with pytest.raises(InputError, match="whole number from 1 to 20"):
            replicates.with_seeds(first, wrong)  # type: ignore[arg-type]


def test_families_take_the_last_run_of_each_seed_and_leave_previews_out() -> None:
    rows = [*runs(0.8, 0.9), row(7, seed=1, family="f", quality=0.85), row(8, seed=2, family="f", preview=True),
            row(9, seed=0, family="g"), row(10, seed=0)]  # fmt: skip
    found = replicates.families(rows)
    assert [(f.name, f.seeds) for f in found] == [("f", (0, 1))]
    assert found[0].rows[1]["quality"] == 0.85
    assert [f.name for f in replicates.families(rows, least=1)] == ["f", "g"]


def test_a_mean_row_has_the_t_interval_and_the_means() -> None:
    values = (0.88, 0.9, 0.89, 0.895, 0.885)
    (family,) = replicates.families(runs(*values, latency_ms=0.05, macro_f1=None))
    mean = replicates.mean_row(family)
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert (mean["quality"], mean["quality_low"], mean["quality_high"]) == pytest.approx((np.mean(values), low, high))
    assert (mean["seeds"], mean["seed"], mean["packed_bytes"], mean["latency_ms"]) == (5, None, 8002.0, 0.05)
    assert mean["macro_f1"] is None
    assert mean["members"] == tuple(f"{i:032x}" for i in range(5))
    assert mean["key"] == mean["members"][0]


def test_rows_of_a_home_know_their_family(home: Any) -> None:
    for seed in (1, 2, 3):
        finish(home, recipe(seed))
    finish(home, recipe(1, student="plain_5k"))
    (family,) = replicates.families(api.rows(home, TASK))
    assert family.seeds == (1, 2, 3)


def test_submit_asks_for_every_seed_and_one_grid(home: Any) -> None:
    sent = api_statistics.submit(home, recipe(4), 3)
    assert sent["keys"] == api_statistics.keys(home, recipe(4), 3)
    assert (sent["key"], sent["known"], len(set(sent["companions"]))) == (sent["keys"][0], False, 6)
    kinds = [work.kind for work in store_read.unfinished(api_home.store_of(home))]
    assert (kinds.count("trial"), kinds.count("grid")) == (9, api.GRID_PARTS)


def test_a_refused_submit_asks_for_nothing(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_CAP", "2")
    with pytest.raises(InputError):
        api_statistics.submit(home, recipe(4), 5, "somebody", companions=False)
    assert not store_read.busy(api_home.store_of(home))


def test_seeds_of_a_point_are_its_replicates_with_mean_and_interval(home: Any) -> None:
    values = (0.5, 0.52, 0.54)
    keys = [finish(home, recipe(seed), quality=Quality("accuracy", q, q - 0.1, q + 0.1))
            for seed, q in zip((1, 2, 3), values, strict=True)]  # fmt: skip
    finish(home, recipe(1, student="plain_5k"))
    found = api_statistics.seeds(home, keys[1])
    assert [r["key"] for r in found["seeds"]] == keys
    assert found["quality"]["value"] == pytest.approx(0.52)
    assert (found["quality"]["method"], found["quality"]["count"]) == ("t", 3)
    low, high = stats.t.interval(0.95, 2, 0.52, stats.sem(values))
    assert (found["quality"]["low"], found["quality"]["high"]) == pytest.approx((low, high), abs=1e-5)


def test_one_seed_has_no_mean(home: Any) -> None:
    key = finish(home, recipe(1))
    found = api_statistics.seeds(home, key)
    assert (len(found["seeds"]), found["quality"], found["differences"]) == (1, None, {})


def test_intervals_and_differences_come_from_kept_answers(home: Any) -> None:
    key = finish(home, recipe(1))
    dense, baseline = Recipe.from_json(recipe(1)).dense(), Recipe.from_json(recipe(1)).baseline()
    finish(home, dense.to_json())
    finish(home, baseline.to_json())
    found = api_statistics.intervals(home, key[:10])
    assert found["accuracy"]["method"] == "wilson"
    assert all(e["low"] <= e["value"] <= e["high"] for e in found.values())
    pairs = api_statistics.differences(home, key)
    assert {"dense", "baseline"} <= set(pairs)
    assert pairs["dense"]["key"] == dense.key
    expected = api.paired(home, key, dense.key)
    assert {n: pairs["dense"][n] for n in expected} == expected
    with pytest.raises(NotFoundError):
        api_statistics.intervals(home, "0123456789")
