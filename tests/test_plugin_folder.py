"""A folder of one's own plug-ins: a toy loss and a toy stage in the page's forms, on the command line, in a sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from engine.home import Home

LOSS = """
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.registry import register
from engine.step import Step


class ToyObjective(Objective):
    teacher_mode = "none"
    uses_unlabelled = False

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def loss(self, step: Step) -> Tensor:
        return self.gain * labelled_cross_entropy(step.student().logits, step.batch)


@register
@dataclass(frozen=True)
class Toy(Loss):
    name: ClassVar[str] = "toy_loss"
    title: ClassVar[str] = "A toy loss"
    help: ClassVar[str] = "Cross-entropy times a number, to see whether a folder's loss is found everywhere."
    source: ClassVar[str] = "This test, 2026"
    formula: ClassVar[str] = "g L"
    needs_teacher: ClassVar[bool] = False
    gain: float = knob(0.5, 0.1, 2.0, "What the loss is multiplied with.", step=0.1)

    def build(self, context: LossContext) -> Objective:
        return ToyObjective(self.gain)
"""
STAGE = """
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import Stage, StageContext
from engine.weights.constraint import Mask, add, find


@register
@dataclass(frozen=True)
class ToyStage(Stage):
    name = "toy_stage"
    title = "A toy stage"
    help = "Sets the first weights of every layer to zero, to see whether a folder's stage is found everywhere."
    formula = "w_i = 0"
    source = "This test, 2026"
    order = "mask"
    share: float = knob(0.25, 0.0, 0.9, "The share of the weights that become zero.", step=0.05)

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        for _, layer in self.selected(model, (nn.Conv2d, nn.Linear)):
            if find(layer, Mask) is None:
                add(layer, Mask(layer.weight))

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        for _, layer in self.selected(model, (nn.Conv2d, nn.Linear)):
            mask = find(layer, Mask)
            order = torch.arange(mask.mask.numel())
            mask.tighten((order >= round(self.share * len(order))).view_as(mask.mask))
"""
EXPLORE = """
import json
from streamlit.testing.v1 import AppTest
from engine import api

PAGE = "from pages import explore; from pages.parts import frame; frame.guarded(explore.draw)()"
api.ensure_runner = lambda *_: None
app = AppTest.from_string(PAGE, default_timeout=60)
app.query_params["loss"] = "toy_loss"
app.query_params["gain"] = "0.7"
app.run()
assert not app.exception and not app.error and not app.warning, [*app.exception, *app.error, *app.warning]
loss = app.selectbox(key="loss")
print(json.dumps({"options": list(loss.options), "chosen": loss.value, "gain": app.slider(key="gain").value,
                  "help": app.slider(key="gain").help}))
"""
SWEEP = """
import json
from streamlit.testing.v1 import AppTest
from engine import api
from pages.parts import sweep_draft, sweep_edit, sweep_json

PAGE = "from pages import sweep; from pages.parts import frame; frame.guarded(sweep.draw)()"
api.ensure_runner = lambda *_: None
app = AppTest.from_string(PAGE, default_timeout=60).run()
assert not app.exception, app.exception
menus = [list(box.options) for box in app.selectbox if "_add_" in (box.key or "")]
draft = sweep_json.read({"task": "fashion_mnist"})
phase = draft.root.nodes[0].nodes[0]
draft = sweep_edit.add(draft, phase.uid, "stages", "toy_stage")
piece = next(n for n in sweep_draft.walk(draft.root) if n.name == "toy_stage")
draft = sweep_edit.put(draft, piece.uid, "share", sweep_draft.Setting("list", (0.1, 0.3)))
spec = sweep_json.write(draft)
print(json.dumps({"menus": menus, "stages": spec["phases"][0]["stages"]}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one loss and one stage."""
    made = tmp_path / "plugins"
    made.mkdir()
    (made / "toy_loss.py").write_text(LOSS, encoding="utf-8")
    (made / "toy_stage.py").write_text(STAGE, encoding="utf-8")
    return made


def told(folder: Path, home: Home, *words: str) -> Any:
    """What a Python process that sees the folder prints, as JSON."""
    env = {**os.environ, "STILLHOUSE_PLUGINS": str(folder), "STILLHOUSE_HOME": str(home.root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, env=env, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_the_command_line_lists_both(folder: Path, home: Home) -> None:
    losses = told(folder, home, "-m", "engine", "list", "losses", "--json")["losses"]
    stages = told(folder, home, "-m", "engine", "list", "stages", "--json")["stages"]
    gain = next(row for row in losses if row["name"] == "toy_loss")["knobs"]
    assert [(k["name"], k["default"], k["high"]) for k in gain] == [("gain", 0.5, 2.0)]
    assert "share" in [k["name"] for row in stages if row["name"] == "toy_stage" for k in row["knobs"]]


def test_the_command_line_runs_both(folder: Path, home: Home) -> None:
    """Training, artifact and measurement in the workers that the command starts; the declared zeros are there."""
    run = told(folder, home, "-m", "engine", "run", "--task", "fashion_mnist", "--student", "depthwise_1k4",
               "--loss", "toy_loss:gain=0.7", "--epochs", "1", "--labels", "2000", "--stage", "toy_stage:share=0.5",
               "--no-baseline", "--json")  # fmt: skip
    assert run["state"] == "done"
    assert run["recipe"]["phases"][0]["loss"] == {"name": "toy_loss", "gain": 0.7}
    assert run["quality"]["value"] > 0.2
    assert 0.45 < 1 - run["cost"]["nonzero"] / run["cost"]["parameters"] < 0.55


def test_the_page_offers_the_loss_with_its_setting(folder: Path, home: Home) -> None:
    form = told(folder, home, "-c", EXPLORE)
    assert "A toy loss" in form["options"]
    assert (form["chosen"], form["gain"]) == ("toy_loss", 0.7)
    assert form["help"] == "What the loss is multiplied with."


def test_a_sweep_takes_the_stage_and_several_values_of_its_setting(folder: Path, home: Home, tmp_path: Path) -> None:
    form = told(folder, home, "-c", SWEEP)
    assert any("A toy stage" in menu for menu in form["menus"])
    assert any("A toy loss" in menu for menu in form["menus"])
    assert {"name": "toy_stage", "share": [0.1, 0.3]} in form["stages"]
    phases = [{"epochs": 1, "loss": {"name": "toy_loss", "gain": [0.5, 1.0]}, "stages": [form["stages"][-1]]}]
    sweep = {"task": "fashion_mnist", "student": "plain_1k5", "phases": phases}
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(sweep), encoding="utf-8")
    plan = told(folder, home, "-m", "engine", "sweep", str(file), "--plan", "--json")
    assert plan["trials"] == 4
    assert {axis["label"] for axis in plan["axes"]} == {"gain", "share"}
