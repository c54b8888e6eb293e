"""The catalogue: the committed file equals the code, holds what pages and recipes need, and reads without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from engine import catalogue
from engine.errors import FileError, InputError
from engine.knobs import Knob
from engine.recipe import ORDERS, Recipe

KINDS = ("tasks", "models", "losses", "stages")
ROWS = [(kind, row) for kind, rows in json.loads(catalogue.PATH.read_text()).items() for row in rows]
IDS = [f"{kind}-{row['name']}" for kind, row in ROWS]


def test_the_committed_file_equals_the_code() -> None:
    assert catalogue.PATH.read_text(encoding="utf-8") == catalogue.render(catalogue.build()), (
        "engine/catalogue.json is out of date; write it with `make catalogue`"
    )


def test_it_covers_every_kind() -> None:
    rows = json.loads(catalogue.PATH.read_text())
    assert sorted(rows) == sorted(KINDS)
    assert all(rows[kind] for kind in KINDS)
    assert {"cross_entropy", "kd", "logit_mse"} <= {r["name"] for r in rows["losses"]}
    assert {"prune_magnitude", "prune_channels", "quantize_linear", "recalibrate"} <= {
        r["name"] for r in rows["stages"]
    }


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=IDS)
def test_every_entry_says_what_a_learner_needs(kind: str, row: dict[str, Any]) -> None:
    assert row["title"]
    assert row["source"]
    assert len(row["help"].split()) >= 3
    assert row["version"] >= 1
    if kind in ("losses", "stages"):
        assert row["formula"]


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=IDS)
def test_every_knob_is_bounded_helped_and_sound(kind: str, row: dict[str, Any]) -> None:
    for entry in row["knobs"]:
        knob = Knob.from_json(entry)
        assert knob.to_json() == entry
        assert len(knob.help.split()) >= 3, f"{row['name']}.{knob.name}"
        if knob.type in ("int", "float"):
            assert knob.low is not None, f"{row['name']}.{knob.name} has no lower bound"
            assert knob.high is not None, f"{row['name']}.{knob.name} has no upper bound"


@pytest.mark.parametrize("row", [r for k, r in ROWS if k == "stages"], ids=lambda r: r["name"])
def test_every_stage_has_an_order_a_pattern_and_real_settings(row: dict[str, Any]) -> None:
    assert row["order"] in ORDERS
    knobs = {k["name"]: Knob.from_json(k) for k in row["knobs"]}
    assert "layers" in knobs
    for name, words in row["needs_epochs"].items():
        assert set(words) <= set(knobs[name].choices)


@pytest.mark.parametrize("row", [r for k, r in ROWS if k == "tasks"], ids=lambda r: r["name"])
def test_every_task_has_students_a_teacher_and_a_default_run(row: dict[str, Any]) -> None:
    rows = catalogue.current()
    assert len(rows.students(row["name"])) >= 3
    assert rows.teachers(row["name"])
    assert Recipe.from_json(row["default"]).task == row["name"]


def test_the_default_run_is_the_one_that_the_documentation_describes() -> None:
    recipe = Recipe.from_json(catalogue.current().row("tasks", "fashion_mnist")["default"])
    (loss,) = recipe.phases[0].loss
    assert (recipe.student, loss.name, loss.get("temperature"), loss.get("weight")) == ("plain_10k", "kd", 4.0, 0.9)
    assert [s.name for s in recipe.stages] == ["prune_magnitude", "quantize_linear", "recalibrate"]
    assert (recipe.stages[0].get("schedule"), recipe.stages[0].get("sparsity")) == ("gradual", 0.5)
    assert recipe.stages[1].get("bits") == 8


def test_students_come_smallest_first(small_catalogue: catalogue.Catalogue) -> None:
    assert small_catalogue.students("shapes") == ["small", "large"]
    assert small_catalogue.teachers("shapes") == ["teacher"]
    assert small_catalogue.teachers("sounds") == []


def test_an_unknown_name_is_answered_with_the_nearest(small_catalogue: catalogue.Catalogue) -> None:
    with pytest.raises(InputError, match=r"recipe\.task: .*did you mean 'shapes'"):
        small_catalogue.row("tasks", "shape", "recipe.task")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"tasks": [{}]}', '{"tasks": 3}'])
def test_a_damaged_file_is_reported_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "catalogue.json").write_text(content)
    monkeypatch.setattr(catalogue, "PATH", tmp_path / "catalogue.json")
    with pytest.raises(FileError, match="make catalogue"):
        catalogue.current()


def test_a_missing_file_is_reported_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "PATH", tmp_path / "gone.json")
    with pytest.raises(FileError, match="make catalogue"):
        catalogue.current()


def test_reading_it_needs_no_torch() -> None:
    code = "import sys; from engine import catalogue; catalogue.current(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"
