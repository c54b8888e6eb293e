"""What a person chooses: from a URL and from widgets into values, back into the URL, and into a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import catalogue
from engine.recipe import Recipe
from pages.parts import choices, points, runbar

TASK = "fashion_mnist"
LABELS = st.none() | st.integers(10, 20_000)


def _recipe(**values: Any) -> Recipe:
    return Recipe.from_json(choices.to_recipe(choices.read({"task": TASK, **values})))


def test_an_empty_url_is_the_default_run() -> None:
    form = choices.read({}, parse=True)
    assert form.problems == []
    assert choices.to_url(form) == {}
    default = catalogue.current().row("tasks", TASK)["default"]
    assert Recipe.from_json(choices.to_recipe(form)).key == Recipe.from_json(default).key


def test_every_knob_of_the_chosen_parts_is_a_field_with_its_help() -> None:
    form = choices.read({})
    rows = catalogue.current()
    knobs = [
        *rows.knobs("losses", "kd"),
        *rows.knobs("stages", "prune_magnitude"),
        *rows.knobs("stages", "quantize_linear"),
    ]
    helps = {f.knob.help for f in form.fields}
    assert {k.help for k in knobs} <= helps
    assert all(f.knob.help for f in form.fields)
    assert len({f.name for f in form.fields}) == len(form.fields)


@settings(max_examples=60, deadline=None)
@given(
    student=st.sampled_from(catalogue.current().students(TASK)),
    loss=st.sampled_from(catalogue.current().suited("losses", TASK)), temperature=st.floats(0.5, 20),
    weight=st.floats(0.02, 0.98), labels=LABELS, epochs=st.integers(1, 200), sparsity=st.floats(0, 0.95),
    pruning=st.sampled_from(["none", "magnitude", "channels"]), seed=st.integers(0, 2**32 - 1),
    schedule=st.sampled_from(["one_shot", "gradual"]), training=st.sampled_from(["post", "qat"]),
    bits=st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 32]), rounding=st.sampled_from(list(choices.ROUNDING)),
    centroids=st.sampled_from(["fixed", "trained"]), finetune=st.integers(0, 3),
)  # fmt: skip
def test_whatever_the_controls_say_survives_the_url_and_is_a_recipe(**values: Any) -> None:
    form = choices.read({"task": TASK, **values})
    # trained bits need an epoch after pruning, and not every way of rounding can make every number of bits
    assert all(p.startswith(("finetune: 0", "rounding: ")) for p in form.problems)
    again = choices.read(choices.to_url(form), parse=True)
    assert again.problems == []
    assert again.values == form.values
    recipe = Recipe.from_json(choices.to_recipe(form))
    shown = choices.read(
        {k: v for k, v in choices.values_of(recipe.to_json()).items() if v is not None or k == "labels"}
    )
    assert Recipe.from_json(choices.to_recipe(shown)).key == recipe.key


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"student": "plain_10"}, "did you mean 'plain_10k'"),
        ({"temperature": "hot"}, "a number from 0.5 to 20"),
        ({"temperature": "nan"}, "a number from 0.5 to 20"),
        ({"temperature": "1e99"}, "did you mean '20.0'"),
        ({"sparsity": "2"}, "did you mean '0.99'"),
        ({"bits": "9"}, "1, 2, 3, 4, 5, 6, 7, 8, 32"),
        ({"bits": "eight"}, "a whole number"),
        ({"labels": "3"}, "a whole number from 10 to 20000"),
        ({"seed": "-1"}, "a whole number from 0"),
        ({"epochs": "1.5"}, "a whole number from 1 to 200"),
        ({"task": "<script>"}, "fashion_mnist"),
        ({"temprature": "4"}, "did you mean 'temperature'"),
        ({"point": "x" * 600}, "text"),
    ],
)
def test_a_bad_value_in_the_url_is_one_line_and_the_default(address: Mapping[str, str], said: str) -> None:
    form = choices.read(address, parse=True)
    assert len(form.problems) == 1
    assert "\n" not in form.problems[0]
    assert said in form.problems[0]
    assert form.values == choices.read({}).values


def test_a_knob_of_a_part_that_is_not_chosen_is_no_mistake() -> None:
    form = choices.read({"pruning": "none", "sparsity": "0.7", "loss": "cross_entropy", "temperature": "2"}, parse=True)
    assert form.problems == []
    assert "sparsity" not in form.values


def test_a_loss_gives_way_where_a_stage_has_a_knob_of_its_name() -> None:
    """Links made before the loss existed keep their meaning."""
    form = choices.read(
        {"loss": "attention", "teaching_scope": "local", "pruning": "magnitude", "scope": "layer"}, True
    )
    assert not form.problems
    assert (form.values["teaching_scope"], form.values["scope"]) == ("local", "layer")
    train = choices.to_recipe(form)["phases"][0]
    assert train["loss"]["scope"] == "local"


def test_stages_act_where_they_can() -> None:
    gradual = _recipe(pruning="magnitude", schedule="gradual", bits=8)
    assert [[s.name for s in p.stages] for p in gradual.phases] == [
        ["prune_magnitude"],
        ["quantize_linear", "recalibrate"],
    ]
    at_once = _recipe(pruning="magnitude", schedule="one_shot", bits=4)
    assert at_once.key == at_once.dense().with_one_shot(0.5, 4).key
    repaired = _recipe(pruning="channels", finetune=2, bits=8)
    assert [p.epochs for p in repaired.phases] == [3, 2, 0]
    trained = _recipe(schedule="one_shot", training="qat")
    assert [[s.name for s in p.stages] for p in trained.phases] == [
        [],
        ["prune_magnitude", "quantize_linear"],
        ["recalibrate"],
    ]
    assert trained.phases[1].epochs == 1
    plain = _recipe(pruning="none", bits=32)
    assert plain.key == plain.dense().key


@pytest.mark.parametrize(
    ("bits", "ways"),
    [(1, ("linear", "codebook")), (2, ("linear", "codebook", "learned")), (8, ("linear", "learned"))],
)
def test_only_ways_of_rounding_that_can_make_so_many_bits_are_offered(bits: int, ways: tuple[str, ...]) -> None:
    form = choices.read({"bits": bits})
    assert next(f for f in form.fields if f.name == "rounding").knob.choices == ways
    refused = set(choices.ROUNDING) - set(ways)
    for name in refused:
        fallen = choices.read({"bits": str(bits), "rounding": name}, parse=True)
        assert fallen.values["rounding"] == "linear"
        assert len(fallen.problems) == 1


def test_levels_are_even_steps_a_table_or_learned_steps() -> None:
    assert "rounding" not in choices.read({"bits": 32}).values
    assert "rounding" not in choices.to_url(choices.read({"bits": 4}))  # links made before keep their meaning
    shared = _recipe(pruning="none", bits=3, rounding="codebook")
    assert [[s.name for s in p.stages] for p in shared.phases] == [[], ["share_codebook", "recalibrate"]]
    assert dict(shared.phases[1].stages[0].values)["bits"] == 3
    trained = _recipe(pruning="none", bits=3, rounding="codebook", centroids="trained")
    assert [[s.name for s in p.stages] for p in trained.phases] == [["share_codebook"], ["recalibrate"]]
    learned = _recipe(pruning="none", bits=2, rounding="learned", granularity="tensor")
    assert [[s.name for s in p.stages] for p in learned.phases] == [["quantize_lsq"], ["recalibrate"]]
    assert dict(learned.phases[0].stages[0].values)["granularity"] == "tensor"
    repaired = _recipe(pruning="magnitude", schedule="one_shot", bits=2, rounding="learned")
    assert [p.epochs for p in repaired.phases] == [3, 1, 0]  # masks first, then an epoch for the steps


def test_labels_alone_need_no_teacher() -> None:
    recipe = _recipe(loss="cross_entropy", pruning="none", bits=32)
    assert recipe.key == recipe.baseline().key


@pytest.mark.parametrize("name", list(runbar.PRESETS))
def test_presets_are_recipes_of_their_own(name: str) -> None:
    values = runbar.preset(name, TASK)
    form = choices.read(values)
    assert form.problems == []
    assert Recipe.from_json(choices.to_recipe(form))
    assert runbar.active_preset(form) == name


def _row(key: str, **more: Any) -> dict[str, Any]:
    usual = {"origin": "trial", "role": "trial", "quality": 0.9, "sparsity": 0.5, "bits": 8, "dense_key": "dense"}
    return {"key": key, **usual, **more}


def test_focus_is_what_was_clicked_else_the_settings_else_their_grid_point() -> None:
    grid = [_row("cell", origin="grid", sparsity=0.4), _row("far", origin="grid", sparsity=0.9)]
    rows = [_row("mine"), *grid]

    def found(point: str, key: str, sparsity: float = 0.4, bits: int = 8) -> tuple[str, str] | None:
        focus = points.focus(rows, point, key, grid, sparsity, bits)
        return (focus.row["key"], focus.reason) if focus else None

    assert found("cell", "mine") == ("cell", "clicked")
    assert found("gone", "mine") == ("mine", "measured")
    assert found("", "other", 0.45) == ("cell", "what_if")
    assert found("", "other", 0.65) is None
    assert found("", "other", 0.4, 3) is None


def test_the_grid_holds_one_shot_points_of_this_dense_student_only() -> None:
    recipe = _recipe()
    dense = recipe.dense()
    cell = dense.with_one_shot(0.5, 4)
    rows = [
        _row(cell.key, origin="shipped", bits=4, dense_key=dense.key),
        _row(recipe.key, origin="shipped", dense_key=dense.key),
        _row("other", origin="grid", dense_key="elsewhere"),
        _row("here", origin="grid", sparsity=0.2, dense_key=dense.key),
    ]
    assert [r["key"] for r in points.grid_of(rows, dense)] == ["here", cell.key]


def test_the_stamp_follows_what_a_chart_shows() -> None:
    rows = [_row("a", latency_ms=1.0)]
    assert points.stamp(rows) == points.stamp([dict(rows[0])])
    assert points.stamp(rows) != points.stamp([{**rows[0], "latency_ms": 2.0}])
    assert points.stamp(rows) != points.stamp([{**rows[0], "preview": True}])
