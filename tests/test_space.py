"""A sweep's file: lists, ranges, labels, combinations, orders, and what is refused or left out."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_recipes import ROWS, changed

from engine.errors import InputError
from engine.recipe import Recipe
from engine.search import space
from engine.search.space_values import values_of

pytestmark = ROWS


def spec(recipe: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"sweep": options, **copy.deepcopy(recipe)}


def test_a_plain_recipe_is_a_sweep_of_one(tiny_recipe: dict[str, Any]) -> None:
    read = space.read(tiny_recipe)
    assert read.combinations == 1
    assert read.axes == ()
    assert read.points() == [space.Point(Recipe.from_json(tiny_recipe), {})]


def test_lists_make_a_product_in_the_order_of_the_file(tiny_recipe: dict[str, Any]) -> None:
    row = changed(tiny_recipe, "phases.0.loss", {"name": "kd", "temperature": [1, 4]})
    row = changed(row, "phases.1.stages.0.bits", [8, 4, 2])
    points = space.read(row).points()
    assert [tuple(p.setting.values()) for p in points] == list(itertools.product((1, 4), (8, 4, 2)))
    assert [tuple(p.setting) for p in points] == [("temperature", "bits")] * 6
    for point in points:
        single = changed(row, "phases.0.loss.temperature", point.setting["temperature"])
        single = changed(single, "phases.1.stages.0.bits", point.setting["bits"])
        assert point.recipe == Recipe.from_json(single)


@pytest.mark.parametrize(
    ("node", "whole", "values"),
    [
        ({"low": 0, "high": 1, "count": 5}, False, [0, 0.25, 0.5, 0.75, 1]),
        ({"low": 1, "high": 100, "count": 3, "scale": "log"}, False, [1, 10, 100]),
        ({"low": 0, "high": 0.3, "step": 0.1}, False, [0, 0.1, 0.2, 0.3]),
        ({"low": 0, "high": 1, "step": 0.3}, False, [0, 0.3, 0.6, 0.9]),
        ({"low": 1, "high": 8, "count": 15}, True, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"low": 1, "high": 20, "count": 4, "scale": "log"}, True, [1, 3, 7, 20]),
        ({"values": [3, 1]}, True, [3, 1]),
    ],
)
def test_ranges(node: Any, whole: bool, values: list[float]) -> None:
    found = values_of(node, "here", whole)
    assert found == values
    assert all(isinstance(v, int) for v in found) or not whole


@pytest.mark.parametrize(
    "node",
    [
        {"low": 1, "high": 1, "count": 2},
        {"low": 1, "high": 2},
        {"low": 1, "high": 2, "count": 2, "step": 1},
        {"low": 0, "high": 2, "count": 2, "scale": "log"},
        {"low": 1, "high": 2, "step": 1, "scale": "log"},
        {"low": 1, "high": 2, "count": 1},
        {"low": 1, "high": 2, "count": True},
        {"low": 1, "high": 2, "count": 10**9},
        {"low": 1, "high": 2, "step": 1e-9},
        {"low": 1, "high": 2, "step": 3},
        {"low": "1", "high": 2, "count": 2},
        {"low": float("nan"), "high": 2, "count": 2},
        {"low": 1, "high": 2, "count": 2, "scale": "cubic"},
        {"low": 1, "high": 2, "count": 2, "steps": 2},
        {"values": []},
        {"values": 3},
        {"values": [1, 2], "label": 3},
        {"values": [1, 2], "labels": ["a"]},
        {"values": [1, 2], "labels": ["a", "a"]},
        [[1, 2], 3],
        [],
        {"name": "kd"},
    ],
)
def test_what_is_no_list_and_no_range_is_refused(node: Any, tiny_recipe: dict[str, Any]) -> None:
    row = changed(tiny_recipe, "phases.0.stages.0.sparsity", node)
    with pytest.raises(InputError) as told:
        space.read(row).points()
    assert "sparsity" in told.value.where


def test_whole_phases_losses_stages_and_teachers_may_be_several(tiny_recipe: dict[str, Any]) -> None:
    plain = {"epochs": 1, "loss": "cross_entropy"}
    taught = tiny_recipe["phases"][0]
    several = {"values": [[plain], [taught], [plain, taught]], "labels": ["a", "b", "c"], "label": "order"}
    points = space.read({**tiny_recipe, "phases": several}).points()
    assert [p.setting for p in points] == [{"order": "a"}, {"order": "b"}, {"order": "c"}]
    assert [len(p.recipe.phases) for p in points] == [1, 1, 2]

    stages = {"values": [[], taught["stages"]]}
    row = changed(changed(tiny_recipe, "phases.0.stages", stages), "phases.0.loss", {"values": ["kd", "cross_entropy"]})
    assert [p.setting["stages"] for p in space.read(row).points()][:2] == ["none", "prune_magnitude sparsity 0.5, "
                                                                         "schedule gradual"]  # fmt: skip
    assert len(space.read(changed(tiny_recipe, "phases.0.teachers", [["teacher", {**tiny_recipe}]])).points()) == 2


def test_an_axis_inside_a_value_varies_only_with_it(tiny_recipe: dict[str, Any]) -> None:
    losses = {"values": [{"name": "cross_entropy"}, {"name": "kd", "temperature": [1, 2, 3]}]}
    read = space.read(changed(tiny_recipe, "phases.0.loss", losses))
    assert read.combinations == 4
    assert [p.setting.get("temperature") for p in read.points()] == [None, 1, 2, 3]


def test_labels_of_axes_are_short_and_different(tiny_recipe: dict[str, Any]) -> None:
    row = changed(tiny_recipe, "phases.0.stages.0.sparsity", [0.1, 0.2])
    assert [a.label for a in space.read(row).axes] == ["sparsity"]
    second = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"],
              "stages": [{"name": "prune_magnitude", "sparsity": [0.6, 0.7], "schedule": "gradual"}]}  # fmt: skip
    row["phases"].insert(1, second)
    assert [a.label for a in space.read(row).axes] == ["phase 1 sparsity", "phase 2 sparsity"]


def test_impossible_combinations_are_left_out_with_the_reason(tiny_recipe: dict[str, Any]) -> None:
    row = changed(tiny_recipe, "phases.0.epochs", [0, 1])
    points, skipped = space.read(row).choose()
    assert [p.setting for p in points] == [{"epochs": 1}]
    assert [s.setting for s in skipped] == [{"epochs": 0}]
    assert "phase that trains" in skipped[0].reason
    with pytest.raises(InputError, match="phase that trains"):
        space.read(changed(row, "phases.0.epochs", [0])).points()


def test_equal_trials_are_taken_once(tiny_recipe: dict[str, Any]) -> None:
    row = changed(tiny_recipe, "phases.1.stages.0.bits", [8, 8.0, 4])
    points, skipped = space.read(row).choose()
    assert [p.setting["bits"] for p in points] == [8, 4]
    assert [s.reason for s in skipped] == [space.TWICE]


def test_a_random_part_is_seeded_and_extended_by_the_same_order(tiny_recipe: dict[str, Any]) -> None:
    row = changed(tiny_recipe, "seed", {"low": 0, "high": 19, "step": 1})
    part = space.read({**row, "sweep": {"trials": 5, "seed": 3}})
    keys = [p.recipe.key for p in part.points()]
    assert len(set(keys)) == 5
    again = space.read(part.spec)  # as the store keeps it
    assert [p.recipe.key for p in again.points()] == keys
    assert [p.recipe.key for p in again.points(12)][:5] == keys
    assert len({p.recipe.key for p in again.points(20)}) == 20
    assert [p.recipe.key for p in again.points(20)][:12] == [p.recipe.key for p in again.points(12)]
    other = space.read({**row, "sweep": {"trials": 5, "seed": 4}})
    assert [p.recipe.key for p in other.points()] != keys


def test_a_very_large_sweep_costs_no_more_than_its_part(tiny_recipe: dict[str, Any]) -> None:
    row = changed(tiny_recipe, "seed", {"low": 0, "high": 499, "step": 1})
    row = changed(row, "phases.0.stages.0.sparsity", {"low": 0.1, "high": 0.9, "count": 400})
    row = changed(row, "phases.0.loss", {"name": "kd", "temperature": {"low": 1, "high": 10, "count": 400}})
    assert space.read(row).combinations == 500 * 400 * 400
    assert len(space.read({**row, "sweep": {"trials": 10}}).points()) == 10
    with pytest.raises(InputError, match="80000000 combinations"):
        space.read(row).points()


@given(count=st.integers(1, 60), seed=st.integers(0, 9), part=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_shuffled_is_a_permutation_whose_beginning_is_stable(count: int, seed: int, part: int) -> None:
    whole = list(space.shuffled(count, seed))
    assert sorted(whole) == list(range(count))
    assert list(itertools.islice(space.shuffled(count, seed), part)) == whole[:part]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"trials": 0}, "sweep.trials"),
        ({"trials": True}, "sweep.trials"),
        ({"trials": 10**6}, "sweep.trials"),
        ({"budget_seconds": 0}, "sweep.budget_seconds"),
        ({"budget_seconds": float("inf")}, "sweep.budget_seconds"),
        ({"grids": 1}, "sweep.grids"),
        ({"baselines": "yes"}, "sweep.baselines"),
        ({"order": "sorted"}, "sweep.order"),
        ({"seed": -1}, "sweep.seed"),
        ({"name": "a\nb"}, "sweep.name"),
        ({"name": "n" * 81}, "sweep.name"),
        ({"gridz": True}, "sweep: field"),
    ],
)
def test_options_are_checked(options: Any, where: str, tiny_recipe: dict[str, Any]) -> None:
    with pytest.raises(InputError) as told:
        space.read(spec(tiny_recipe, **options))
    assert told.value.where == where


@pytest.mark.parametrize("wrong", [[], None, "a", {"task": "shapes"}, {"task": ["shapes"], "student": 1, "phases": []}])
def test_what_is_no_sweep_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError):
        space.read(wrong).points()


def test_a_name_is_made_from_what_varies(tiny_recipe: dict[str, Any]) -> None:
    row = changed(changed(tiny_recipe, "seed", [1, 2]), "phases.1.stages.0.bits", [8, 4])
    assert space.read(row).options.name == "bits x seed"
    assert space.read(spec(row, name=" mine ")).options.name == "mine"
