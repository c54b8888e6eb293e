"""Recipes that cannot run are refused in one line that says where, what is allowed and what was probably meant."""

from __future__ import annotations

import math
from typing import Any

import pytest
from small_recipes import CHANNELS, PRUNE, QUANTIZE, RECALIBRATE, ROWS, changed, recipe

from engine.errors import InputError
from engine.recipe import Recipe


def refusal(row: Any) -> str:
    with pytest.raises(InputError) as caught:
        Recipe.from_json(row)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("task", "shaps", "did you mean 'shapes'"),
        ("task", None, "recipe.task"),
        ("task", ["shapes"], "recipe.task"),
        ("student", "smal", "did you mean 'small'"),
        ("student", "listener", "recipe.student"),
        ("student", "teacher", "recipe.student"),
        ("data", "fll", "did you mean 'full'"),
        ("data", ["full"], "recipe.data"),
        ("colour", 1, "colour"),
        ("sead", 1, "did you mean 'seed'"),
        ("seed", True, "a whole number from 0 to 4294967295"),
        ("seed", -1, "recipe.seed"),
        ("seed", 2**32, "recipe.seed"),
        ("seed", math.nan, "recipe.seed"),
        ("seed", "0", "recipe.seed"),
        ("labels", 3, "from 4 to 200"),
        ("labels", 201, "from 4 to 200"),
        ("labels", False, "recipe.labels"),
        ("labels", 10.5, "recipe.labels"),
        ("phases", [], "1 to 20 phases"),
        ("phases", {}, "a list"),
        ("phases", "all", "a list"),
        ("phases", [{"epochs": 1}] * 21, "1 to 20 phases"),
        ("phases.0", 3, "an object"),
        ("phases.0.epoch", 3, "did you mean 'epochs'"),
        ("phases.0.epochs", math.inf, "phases[0].epochs"),
        ("phases.0.epochs", True, "phases[0].epochs"),
        ("phases.0.epochs", 201, "from 0 to 200"),
        ("phases.0.epochs", "3", "phases[0].epochs"),
        ("phases.0.loss", {"name": "kdd"}, "did you mean 'kd'"),
        ("phases.0.loss", {"temperature": 2}, '"name"'),
        ("phases.0.loss", {"name": "kd", "temprature": 2}, "did you mean 'temperature'"),
        ("phases.0.loss", {"name": "kd", "temperature": math.nan}, "from 0.1 to 20"),
        ("phases.0.loss", {"name": "kd", "temperature": True}, "temperature"),
        ("phases.0.loss", {"name": "kd", "temperature": "4"}, "temperature"),
        ("phases.0.loss", {"name": "kd", "temperature": 0}, "did you mean '0.1'"),
        ("phases.0.loss", [{"name": "kd", "factor": -1}], "factor"),
        ("phases.0.loss", [{"name": "kd", "factor": math.nan}], "factor"),
        ("phases.0.loss", 5, "loss"),
        ("phases.0.teachers", "teacher", "a list"),
        ("phases.0.teachers", ["techer"], "did you mean 'teacher'"),
        ("phases.0.teachers", ["large"], "teachers"),
        ("phases.0.teachers", [4], "an object"),
        ("phases.0.teachers", 0, "a list"),
        ("phases.0.stages", "", "a list"),
        ("phases.0.loss", 0, "loss"),
        ("phases.0.teachers", [], "at least one teacher, which kd needs"),
        ("phases.0.stages", {"name": "recalibrate"}, "a list"),
        ("phases.0.stages.0", {"name": "prune_magnitud"}, "did you mean 'prune_magnitude'"),
        ("phases.0.stages.0.sparsity", 1.0, "from 0 to 0.99"),
        ("phases.0.stages.0.sparsity", -0.1, "from 0 to 0.99"),
        ("phases.0.stages.0.schedule", "gradually", "did you mean 'gradual'"),
        ("phases.1.stages.0.bits", 4.5, "a whole number from 1 to 8"),
        ("phases.1.stages.0.bits", True, "a whole number from 1 to 8"),
        ("phases.1.stages.0.per_channel", 1, "true or false"),
        ("phases.1.stages.1.limit", 0, "limit"),
        ("phases.1.stages.1.factor", 2, "factor"),
    ],
)
def test_bad_fields_are_refused_in_one_line(tiny_recipe: dict[str, Any], path: str, value: Any, said: str) -> None:
    assert said in refusal(changed(tiny_recipe, path, value))


@pytest.mark.parametrize("row", [None, [], "recipe", 3, {}, {"task": "shapes"}, {"task": "shapes", "student": "small"}])
@ROWS
def test_what_is_no_recipe_is_refused(row: Any) -> None:
    assert refusal(row).startswith("recipe")


@ROWS
def test_a_teacher_of_another_task_is_refused() -> None:
    inner = {"task": "sounds", "student": "listener", "phases": [{"epochs": 1}]}
    said = refusal({"task": "shapes", "student": "small",
                    "phases": [{"epochs": 1, "loss": {"name": "kd"}, "teachers": [inner]}]})  # fmt: skip
    assert "a teacher of the task shapes" in said


@pytest.mark.parametrize(
    "stages",
    [
        [QUANTIZE, PRUNE],
        [PRUNE, CHANNELS],
        [RECALIBRATE, QUANTIZE],
        [QUANTIZE, CHANNELS],
    ],
)
@ROWS
def test_impossible_orders_are_refused_within_a_phase_and_across_phases(stages: list[Any]) -> None:
    base = {"task": "shapes", "student": "small"}
    for phases in ([{"epochs": 1, "stages": stages}], [{"epochs": 1, "stages": [s]} for s in stages]):
        said = refusal({**base, "phases": phases})
        assert "shape before mask before quantizer before recalibration" in said
        assert f"move {stages[1]['name']} in front of {stages[0]['name']}" in said


@ROWS
def test_the_right_order_and_repeated_stages_are_accepted() -> None:
    phases = [{"epochs": 1, "stages": [CHANNELS, PRUNE]}, {"epochs": 1, "stages": [{**PRUNE, "sparsity": 0.8}]},
              {"epochs": 0, "stages": [QUANTIZE, RECALIBRATE]}]  # fmt: skip
    assert [s.name for s in recipe(phases).stages] == [
        "prune_channels", "prune_magnitude", "prune_magnitude", "quantize_linear", "recalibrate",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({**PRUNE, "schedule": "gradual"}, "at least 1 with prune_magnitude:schedule=gradual"),
        ({**QUANTIZE, "mode": "qat"}, "at least 1 with quantize_linear:mode=qat"),
    ],
)
@ROWS
def test_what_acts_while_training_needs_epochs(stage: dict[str, Any], said: str) -> None:
    base = {"task": "shapes", "student": "small"}
    message = refusal({**base, "phases": [{"epochs": 1}, {"epochs": 0, "stages": [stage]}]})
    assert said in message
    assert "put it into a phase that trains" in message
    assert recipe([{"epochs": 1, "stages": [stage]}]).stages[0].name == stage["name"]


@pytest.mark.parametrize("extra", [{"loss": {"name": "cross_entropy"}}, {"teachers": ["teacher"]}])
@ROWS
def test_a_phase_that_does_not_train_has_no_objective(extra: dict[str, Any]) -> None:
    said = refusal({"task": "shapes", "student": "small", "phases": [{"epochs": 1}, {"epochs": 0, **extra}]})
    assert "give it epochs of at least 1" in said


@ROWS
def test_deep_nesting_is_refused_not_crashed() -> None:
    row: dict[str, Any] = {"task": "shapes", "student": "small", "phases": [{"epochs": 1}]}
    for _ in range(400):
        row = {
            "task": "shapes",
            "student": "small",
            "phases": [{"epochs": 1, "loss": {"name": "kd"}, "teachers": [row]}],
        }
    refusal(row)
