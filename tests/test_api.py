"""What pages and the command line ask of the api: plain data, quickly, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stub_pipeline as stub
from api_tools import TASK, finish, none_shipped, shipped
from conftest import ROOT
from runner_tools import recipe

from engine import api, metrics
from engine import store_read as read
from engine.api_home import store_of
from engine.artifact.decoder import decode
from engine.errors import FileError, InputError, NotFoundError
from engine.home import Home
from engine.recipe import Recipe

__all__ = ["none_shipped", "shipped"]
HEAVY = "torch torchvision transformers onnxruntime sklearn scipy pandas streamlit"


def test_api_and_store_import_nothing_heavy() -> None:
    code = f"import sys, engine.api, engine.store; print(sorted(set('{HEAVY}'.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_catalogue_and_the_default_recipe_are_plain_and_valid() -> None:
    rows = api.catalogue()
    assert set(rows) == {"tasks", "models", "losses", "stages"}
    assert json.loads(json.dumps(rows)) == rows
    assert {"name", "help", "knobs"} <= set(rows["losses"][0])
    default = api.default_recipe(TASK)
    assert api.check(default).to_json() == default
    with pytest.raises(InputError, match="did you mean 'fashion_mnist'"):
        api.default_recipe("fashion_mnits")


def test_submit_answers_with_the_keys_and_asks_for_all(home: Home) -> None:
    asked = api.submit(home, recipe())
    made = Recipe.from_json(recipe())
    assert asked == {"key": made.key, "dense": made.dense().key, "baseline": made.baseline().key, "known": False}
    queue = [(s["key"], s["kind"], s["state"]) for s in api.active(home)]
    jobs = [(name, "grid", "queued") for name in api.grid_jobs(asked["dense"])]
    assert queue == [(asked[k], "trial", "queued") for k in ("key", "dense", "baseline")] + jobs
    assert api.grid_status(home, asked["dense"])["state"] == "queued"
    places = {s["key"]: s["place"] for s in api.active(home)}
    assert places[asked["key"]] == 0
    assert places[asked["dense"]] == 1
    assert places[asked["baseline"]] == len(queue) - 1


def test_a_dense_recipe_is_its_own_dense_student(home: Home) -> None:
    made = Recipe.from_json(recipe()).dense()
    asked = api.submit(home, made.to_json())
    assert asked["key"] == asked["dense"]
    assert len([s for s in api.active(home) if s["kind"] == "trial"]) == 2


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"student": "plain_10kk"}, "recipe.student"),
        ({"seed": -1}, "recipe.seed"), ({"labels": True}, "recipe.labels"),
        ({"task": 5}, "recipe.task"), ({"colour": "red"}, "colour"), ({"phases": []}, "recipe.phases"),
    ],
)  # fmt: skip
def test_bad_recipes_change_nothing(home: Home, change: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError, match=where):
        api.submit(home, recipe(**change) if "seed" not in change else {**recipe(), **change})
    assert api.active(home) == []


def test_the_run_object(home: Home, shipped: list[dict[str, Any]]) -> None:
    made = Recipe.from_json(recipe())
    key = finish(home, recipe())
    lone = api.result(home, key)
    assert (lone["dense"], lone["baseline"]) == (None, None)
    for companion in (made.dense(), made.baseline()):
        finish(home, companion.to_json())
    run = api.result(home, key[:10])
    names = (
        "key state recipe origin attempts seconds environment artifact quality test metrics cost baseline dense teacher"
    )
    assert set(names.split()) | {"phases", "curve", "baseline"} <= set(run)
    assert run["dense"]["key"] == made.dense().key
    assert set(run["baseline"]) == {"key", "quality", "test", "cost"}
    assert run["teacher"]["quality"] == shipped[0]["result"]["quality"]
    assert run["artifact"]["onnx"] == str(home.artifact(key) / "model.onnx")
    assert json.loads(json.dumps(run, allow_nan=False)) == run


@pytest.mark.usefixtures("shipped")
def test_the_teacher_of_a_run_is_the_one_that_taught_it(home: Home) -> None:
    first, *others = recipe()["phases"]
    taught = recipe(phases=[{**first, "teachers": [recipe(5)]}, *others])
    key = finish(home, taught)
    assert api.result(home, key)["teacher"] is None, "another teacher's numbers are not its teacher's"
    assistant = finish(home, recipe(5))
    assert api.result(home, key)["teacher"]["key"] == assistant


def test_a_run_object_without_a_result(home: Home) -> None:
    key = api.submit(home, recipe(), companions=False)["key"]
    api.cancel(home, key)
    run = api.result(home, key)
    assert (run["state"], run["quality"], run["recipe"]["seed"]) == ("cancelled", None, 0)


def test_prefixes(home: Home) -> None:
    key = finish(home, recipe())
    assert api.resolve(home, key[:6]) == key == api.resolve(home, key)
    for wrong in ("zzz", "", "%"):
        with pytest.raises(NotFoundError, match="no trial starts with it"):
            api.resolve(home, wrong)
    keys = [finish(home, recipe(seed)) for seed in range(1, 20)]
    shared = next(k[0] for k in keys if sum(o.startswith(k[0]) for o in keys) > 1)
    with pytest.raises(NotFoundError, match="several trials start with it"):
        api.resolve(home, shared)
    with pytest.raises(NotFoundError, match="nothing is known"):
        api.status(home, "0" * 32)


def test_predictions_and_paired_differences(home: Home) -> None:
    a, b = finish(home, recipe(1)), finish(home, recipe(2))
    logits = stub.outcome_of(Recipe.from_json(recipe(1)), False).predictions
    kept = api.predictions(home, a)
    assert kept.dtype == np.float16
    np.testing.assert_allclose(kept, logits, atol=2e-3)
    assert np.array_equal(kept.argmax(1), logits.argmax(1))
    found = api.paired(home, a, b)
    both = [api.predictions(home, k).astype(np.float32) for k in (a, b)]
    labels = api.soft_targets(TASK)
    assert len(labels.images) == len(labels.labels) == len(labels.teacher_logits)
    truth = api.labels(TASK)
    expected = metrics.correct(both[0], truth).mean() - metrics.correct(both[1], truth).mean()
    assert found["difference"] == pytest.approx(expected)
    assert found["low"] <= found["difference"] <= found["high"]
    assert api.paired(home, b, a)["difference"] == pytest.approx(-expected)
    with pytest.raises(NotFoundError):
        api.predictions(home, "0" * 32)


@pytest.mark.usefixtures("none_shipped")
def test_estimates_learn_from_what_ran_here(home: Home) -> None:
    guess = api.estimate(home, recipe())
    assert 0 < guess["low"] < guess["seconds"] < guess["high"]
    assert "written down" in guess["basis"]
    full = api.estimate(home, recipe(data="full"))
    assert full["seconds"] > guess["seconds"]
    finish(home, recipe(), seconds=api.OVERHEAD_SECONDS + 50.0)
    learnt = api.estimate(home, recipe(5))
    assert learnt["seconds"] == pytest.approx(api.OVERHEAD_SECONDS + 50.0)
    assert learnt["basis"] == "1 finished trial of plain_1k5 in this home"


@pytest.mark.usefixtures("none_shipped")
def test_estimates_are_not_fooled_by_trials_that_resumed_another_ones_training(home: Home) -> None:
    finish(home, recipe(), seconds=api.OVERHEAD_SECONDS + 50.0)
    for bits in (2, 3, 4):
        phases = [*recipe()["phases"][:1], {"stages": [{"name": "quantize_linear", "bits": bits}]}]
        finish(home, recipe(phases=phases), seconds=api.OVERHEAD_SECONDS + 0.5)
    learnt = api.estimate(home, recipe(5))
    assert learnt["seconds"] == pytest.approx(api.OVERHEAD_SECONDS + 50.0)
    assert learnt["basis"] == "4 finished trials of plain_1k5 in this home"


def test_seconds_left_follow_from_the_share_done(home: Home) -> None:
    key = api.submit(home, recipe(), companions=False)["key"]
    assert api.status(home, key)["seconds_left"] is None
    store = store_of(home)
    store.claim()
    assert api.status(home, key)["seconds_left"] is None
    store.report(key, 1, {"fraction": 0.5})
    time.sleep(0.05)
    left = api.status(home, key)["seconds_left"]
    assert 0.04 < left < 5
    assert read.running(store) == {key: 1}


def test_the_grid_has_as_many_points_as_the_api_says() -> None:
    grid = pytest.importorskip("engine.search.grid")
    assert len(grid.settings()) == api.GRID_POINTS
    parts = [grid.settings(part, api.GRID_PARTS) for part in range(api.GRID_PARTS)]
    assert sorted(s for part in parts for s in part) == sorted(grid.settings())


def test_export_needs_a_finished_trial_with_its_files(home: Home, tmp_path: Path) -> None:
    key = api.submit(home, recipe(), companions=False)["key"]
    with pytest.raises(NotFoundError, match="queued"):
        api.export(home, key, tmp_path / "out")
    finish(home, recipe())
    with pytest.raises(FileError, match="not on this disk"):
        api.export(home, key, tmp_path / "out")
    home.artifact(key).mkdir(parents=True)
    packed = next((ROOT / "sample_data" / "shipped").glob("*.packed")).read_bytes()
    (home.artifact(key) / "model.packed").write_bytes(packed)
    (home.artifact(key) / "model.onnx").write_bytes(decode(packed))
    written = api.export(home, key, tmp_path / "out")
    assert {"model.onnx", "model.packed", "decoder.py", "recipe.json", "README.md"} <= {p.name for p in written}
