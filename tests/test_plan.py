"""What a sweep would do: trainings that are shared, what is known, what is kept, seconds."""

from __future__ import annotations

from typing import Any

from api_tools import finish
from runner_tools import recipe

from engine import api_sweeps
from engine.api_home import store_of
from engine.home import Home
from engine.recipe import Recipe
from engine.search import plan as plans

TASK = "fashion_mnist"
TAUGHT = {"epochs": 2, "loss": {"name": "kd", "temperature": [2, 4]}, "teachers": ["teacher"]}
SHARED = {
    "task": TASK, "student": "plain_1k5",
    "phases": [TAUGHT, {"epochs": 0, "stages": [{"name": "quantize_linear", "bits": [8, 4, 2]}]}],
}  # fmt: skip


def keep(home: Home, made: Recipe) -> None:
    """A trained prefix, as far as a plan can tell."""
    (home.cache("prefix") / f"{made.key}.prefix").write_bytes(b"")


def plan(home: Home, spec: dict[str, Any]) -> plans.Plan:
    return plans.plan(home, spec, None, store_of(home))


def test_settings_that_come_after_training_share_it(home: Home) -> None:
    made = plan(home, SHARED)
    assert len(made.points) == 6
    assert len(made.trainings) == 2
    assert made.needed == list(made.trainings)
    assert {t.key for t in made.trainings} == {p.recipe.prefix(1).key for p in made.points}


def test_a_longer_kept_prefix_makes_the_shorter_one_needless(home: Home) -> None:
    phases = [{"epochs": 1}, {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"]}]
    made = Recipe.from_json({"task": TASK, "student": "plain_1k5", "phases": phases})
    spec = {"task": TASK, "student": "plain_1k5", "phases": phases}
    assert len(plan(home, spec).needed) == 2
    keep(home, made.prefix(1))
    assert [t.key for t in plan(home, spec).needed] == [made.key]
    (home.cache("prefix") / f"{made.prefix(1).key}.prefix").unlink()
    keep(home, made)
    assert plan(home, spec).needed == []


def test_a_teacher_that_is_a_recipe_is_a_training_too(home: Home) -> None:
    phases = [{"epochs": 1, "loss": {"name": "kd"}, "teachers": [{"task": TASK, "student": "plain_29k", "seed": [0, 1],
               "phases": [{"epochs": 3}]}]}]  # fmt: skip
    made = plan(home, {"task": TASK, "student": ["plain_1k5", "plain_5k"], "phases": phases})
    assert len(made.points) == 4
    assert sorted((t.student, t.epochs) for t in made.trainings) == [
        ("plain_1k5", 1), ("plain_1k5", 1), ("plain_29k", 3), ("plain_29k", 3), ("plain_5k", 1), ("plain_5k", 1),
    ]  # fmt: skip


def test_what_has_a_result_is_known_and_needs_no_training(home: Home) -> None:
    spec = {**recipe(), "seed": [0, 1, 2]}
    finish(home, recipe(1))
    told = api_sweeps.plan(home, spec)
    assert (told["trials"], told["known"], told["trainings"], told["trained"]) == (3, 1, 3, 1)
    assert told["seconds"] > 0


def test_grids_and_baselines_bring_their_trials(home: Home) -> None:
    made = plan(home, {**SHARED, "sweep": {"grids": True, "baselines": True}})
    assert len(made.dense) == 2  # one for each temperature
    assert len(made.baselines) == 1
    assert len(made.trainings) == 3
    told = api_sweeps.plan(home, {**SHARED, "sweep": {"grids": True}})
    assert told["grid_points"] == 2 * 72
    bare = api_sweeps.plan(home, SHARED)
    assert bare["grid_points"] == 0
    assert bare["seconds"] < told["seconds"]


def test_an_empty_home_is_planned_without_making_a_store(home: Home) -> None:
    assert len(plans.plan(home, SHARED).points) == 6
    assert not home.store.exists()


def test_fewer_trials_than_combinations(home: Home) -> None:
    told = api_sweeps.plan(home, SHARED, trials=4)
    assert (told["trials"], told["combinations"], told["spec"]["sweep"]["order"]) == (4, 6, "random")


def test_seconds_grow_with_epochs_and_halve_what_is_kept(home: Home) -> None:
    longer = {**SHARED, "phases": [{**TAUGHT, "epochs": 40}, SHARED["phases"][1]]}
    seconds = [api_sweeps.plan(home, spec)["seconds"] for spec in (SHARED, longer)]
    assert seconds[1] > 5 * seconds[0]
    keep(home, plan(home, longer).points[0].recipe.prefix(1))
    less = api_sweeps.plan(home, longer)["seconds"]
    assert 0.4 * seconds[1] < less < 0.65 * seconds[1]
