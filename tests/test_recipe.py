"""Recipes: one meaning, one key; the recipes derived from one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_recipes import PRUNE, QUANTIZE, RECALIBRATE, ROWS, changed, recipe

from engine import catalogue
from engine.recipe import Recipe

# ---- keys


def test_defaults_filled_in_or_left_out_give_one_key(tiny_recipe: dict[str, Any]) -> None:
    short = Recipe.from_json(tiny_recipe)
    full = short.to_json()
    assert full["phases"][0]["loss"] == {"name": "kd", "temperature": 4.0, "weight": 0.9}
    assert full["phases"][1]["stages"][0]["per_channel"] is True
    assert full["labels"] is None
    assert full["data"] == "sample"
    assert Recipe.from_json(full).key == short.key


def test_a_key_is_32_hexadecimal_digits(tiny_recipe: dict[str, Any]) -> None:
    key = Recipe.from_json(tiny_recipe).key
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


def test_a_key_is_the_same_in_another_process(tiny_recipe: dict[str, Any]) -> None:
    code = (
        "import json, sys, pathlib; from engine import catalogue; catalogue.PATH = pathlib.Path(sys.argv[1]);"
        "from engine.recipe import Recipe; print(Recipe.from_json(json.loads(sys.argv[2])).key)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(catalogue.PATH), json.dumps(tiny_recipe)],
        capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7", "PATH": ""},
    )  # fmt: skip
    assert done.stdout.strip() == Recipe.from_json(tiny_recipe).key


def test_float_noise_does_not_change_a_key(tiny_recipe: dict[str, Any]) -> None:
    noisy = changed(tiny_recipe, "phases.0.stages.0.sparsity", 0.1 + 0.2)
    exact = changed(tiny_recipe, "phases.0.stages.0.sparsity", 0.3)
    assert Recipe.from_json(noisy).key == Recipe.from_json(exact).key
    assert Recipe.from_json(noisy).to_json() == Recipe.from_json(exact).to_json()


def test_whole_numbers_written_as_floats_do_not_change_a_key(tiny_recipe: dict[str, Any]) -> None:
    floats = {"phases.0.epochs": 1.0, "phases.1.stages.0.bits": 8.0, "seed": 3.0, "labels": 40.0}
    whole = changed(tiny_recipe, "labels", 40)
    other = tiny_recipe
    for path, value in floats.items():
        other = changed(other, path, value)
    assert Recipe.from_json(other).key == Recipe.from_json(whole).key
    assert type(Recipe.from_json(other).to_json()["labels"]) is int


def test_the_order_of_fields_does_not_matter(tiny_recipe: dict[str, Any]) -> None:
    backwards = json.loads(json.dumps(tiny_recipe), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(backwards) != list(tiny_recipe)
    assert Recipe.from_json(backwards).key == Recipe.from_json(tiny_recipe).key


@ROWS
def test_the_order_of_stages_does() -> None:
    first, second = {**PRUNE, "layers": "a*"}, {**PRUNE, "layers": "b*"}
    one = recipe([{"epochs": 1, "stages": [first, second]}])
    two = recipe([{"epochs": 1, "stages": [second, first]}])
    assert [s.get("layers") for s in one.stages] == ["a*", "b*"]
    assert one.key != two.key


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", 4),
        ("student", "large"),
        ("labels", 40),
        ("data", "full"),
        ("phases.0.epochs", 2),
        ("phases.0.loss", {"name": "kd", "temperature": 4.5}),
        ("phases.0.stages.0.sparsity", 0.500001),
        ("phases.1.stages.0.bits", 7),
        ("phases.1.stages", []),
    ],
)
def test_everything_that_a_trial_depends_on_changes_the_key(tiny_recipe: dict[str, Any], path: str, value: Any) -> None:
    assert Recipe.from_json(changed(tiny_recipe, path, value)).key != Recipe.from_json(tiny_recipe).key


@pytest.mark.parametrize(
    ("kind", "number", "field", "value"),
    [
        ("tasks", 0, "version", 2),
        ("tasks", 0, "hashes", {"sample": "changed", "full": "bb"}),
        ("models", 0, "version", 2),
        ("models", 3, "weights_sha256", "changed"),
        ("losses", 1, "version", 2),
        ("stages", 1, "version", 2),
    ],
)
def test_versions_data_and_shipped_weights_are_in_the_key(
    tiny_recipe: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    kind: str,
    number: int,
    field: str,
    value: Any,
) -> None:
    before = Recipe.from_json(tiny_recipe).key
    rows = json.loads(catalogue.PATH.read_text())
    rows[kind][number][field] = value
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    monkeypatch.setattr(catalogue, "PATH", tmp_path / "rows.json")
    assert Recipe.from_json(tiny_recipe).key != before


def test_words_are_not_in_the_key(tiny_recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    before = Recipe.from_json(tiny_recipe).key
    text = catalogue.PATH.read_text().replace("Soft targets.", "Andere Worte.").replace("Tell shapes apart.", "Neu.")
    (tmp_path / "rows.json").write_text(text)
    monkeypatch.setattr(catalogue, "PATH", tmp_path / "rows.json")
    assert Recipe.from_json(tiny_recipe).key == before


@ROWS
def test_a_recipe_can_be_a_teacher_and_its_key_counts() -> None:
    inner = {"task": "shapes", "student": "large", "phases": [{"epochs": 1}]}
    outer = recipe([{"epochs": 1, "loss": {"name": "kd"}, "teachers": [inner]}])
    other = recipe([{"epochs": 1, "loss": {"name": "kd"}, "teachers": [{**inner, "seed": 1}]}])
    assert outer.phases[0].teachers == (Recipe.from_json(inner),)
    assert Recipe.from_json(outer.to_json()) == outer
    assert outer.key != other.key


# ---- canonical form


@ROWS
def test_a_training_phase_without_a_loss_learns_from_labels() -> None:
    assert recipe([{"epochs": 2}]).to_json()["phases"][0]["loss"] == {"name": "cross_entropy"}


@ROWS
def test_a_sum_of_losses_keeps_its_factors() -> None:
    losses = [{"name": "cross_entropy", "factor": 0.5}, {"name": "kd", "temperature": 2.0}]
    phase = {"epochs": 1, "loss": losses, "teachers": ["teacher"]}
    written = recipe([phase]).to_json()["phases"][0]["loss"]
    assert written == [{"name": "cross_entropy", "factor": 0.5}, {"name": "kd", "temperature": 2.0, "weight": 0.9}]
    assert recipe([{**phase, "loss": written}]).key == recipe([phase]).key


def test_canonical_json_is_plain_and_complete(tiny_recipe: dict[str, Any]) -> None:
    row = Recipe.from_json(tiny_recipe).to_json()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert set(row) == {"task", "data", "labels", "student", "phases", "seed"}


# ---- derived recipes


def test_the_dense_student_keeps_the_training_and_drops_the_stages(tiny_recipe: dict[str, Any]) -> None:
    dense = Recipe.from_json(tiny_recipe).dense()
    assert dense.stages == []
    assert len(dense.phases) == 1
    assert dense.phases[0].loss[0].name == "kd"
    assert dense.phases[0].teachers == ("teacher",)
    assert dense.dense() == dense
    assert dense.seed == 3


def test_the_baseline_learns_from_labels_for_as_long(tiny_recipe: dict[str, Any]) -> None:
    long = Recipe.from_json(changed(changed(tiny_recipe, "phases.0.epochs", 5), "labels", 40))
    baseline = long.baseline()
    assert [(p.epochs, [x.name for x in p.loss], p.teachers) for p in baseline.phases] == [(5, ["cross_entropy"], ())]
    assert (baseline.labels, baseline.seed, baseline.student) == (40, 3, "small")
    assert baseline.key != long.dense().key


@ROWS
def test_a_recipe_on_labels_alone_is_its_own_baseline() -> None:
    plain = recipe([{"epochs": 2}])
    assert plain.key == plain.dense().key == plain.baseline().key


@ROWS
def test_a_recipe_that_never_trains_still_has_a_dense_student() -> None:
    assert recipe([{"epochs": 0, "stages": [PRUNE]}]).dense().phases[0].trains


def test_a_prefix_holds_the_first_phases(tiny_recipe: dict[str, Any]) -> None:
    whole = Recipe.from_json(tiny_recipe)
    assert whole.prefix(2) == whole
    assert whole.prefix(2).key == whole.key
    assert whole.prefix(1).phases == whole.phases[:1]
    assert whole.prefix(1).key != whole.key


def test_a_grid_point_is_an_ordinary_recipe(tiny_recipe: dict[str, Any]) -> None:
    dense = Recipe.from_json(tiny_recipe).dense()
    point = dense.with_one_shot(0.6, 4)
    stages = [{"name": "prune_magnitude", "sparsity": 0.6, "schedule": "one_shot"}, QUANTIZE, RECALIBRATE]
    typed = Recipe.from_json(
        {**dense.to_json(), "phases": [*dense.to_json()["phases"], {"epochs": 0, "stages": stages}]}
    )
    assert point.key == typed.key
    assert point.dense().key == dense.key
    assert point.prefix(1) == dense
    assert [s.name for s in dense.with_one_shot(0.0, 8).stages] == ["quantize_linear", "recalibrate"]


# ---- anything valid survives the round trip

floats = st.floats(0.0, 0.99)
prunes = st.builds(lambda s: {"name": "prune_magnitude", "sparsity": s}, floats)
quants = st.builds(
    lambda b, c: {"name": "quantize_linear", "bits": b, "per_channel": c}, st.integers(1, 8), st.booleans()
)
kds = st.builds(lambda t, w: {"name": "kd", "temperature": t, "weight": w}, st.floats(0.1, 20), st.floats(0, 1))
losses = st.one_of(
    st.builds(lambda: {"loss": {"name": "cross_entropy"}}),
    st.builds(lambda k: {"loss": k, "teachers": ["teacher"]}, kds),
)
trained = st.builds(
    lambda e, x, s: {"epochs": e, **x, "stages": s}, st.integers(1, 9), losses, st.lists(prunes, max_size=3)
)
applied = st.builds(lambda q: {"epochs": 0, "stages": [*q, RECALIBRATE]}, st.lists(quants, max_size=2))
recipes = st.builds(
    lambda p, q, seed, labels: {
        "task": "shapes",
        "student": "large",
        "phases": [*p, q],
        "seed": seed,
        "labels": labels,
    },
    st.lists(trained, min_size=1, max_size=4),
    applied,
    st.integers(0, 2**32 - 1),
    st.none() | st.integers(4, 200),
)


@ROWS
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(recipes)
def test_round_trip(row: dict[str, Any]) -> None:
    read = Recipe.from_json(row)
    text = json.dumps(read.to_json(), allow_nan=False)
    again = Recipe.from_json(json.loads(text))
    assert again == read
    assert again.key == read.key
    assert json.dumps(again.to_json()) == text
    assert read.dense().baseline().key == read.baseline().key
