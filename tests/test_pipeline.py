"""A trial from recipe to result: its numbers are those of its files, and it is the same wherever it runs."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from engine import artifact, catalogue, registry, teaching
from engine.artifact.decoder import decode
from engine.errors import FileError, InputError
from engine.execution.base import Outcome
from engine.execution.slot import Slot
from engine.home import Home
from engine.pipeline import run
from engine.recipe import Recipe
from engine.student import train
from engine.workbench import Bench

TRAIN = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"]}
PRUNE = {"name": "prune_magnitude", "sparsity": 0.5, "schedule": "gradual", "keep_first": False}
FINISH = {"epochs": 0, "stages": [{"name": "quantize_linear", "bits": 8}, {"name": "recalibrate"}]}
AGAIN = """
import sys
from engine.execution.slot import Slot
from engine.home import Home
from engine.pipeline import run
from engine.recipe import Recipe
import json
home = Home.locate(sys.argv[1])
outcome = run(Recipe.from_json(json.loads(sys.argv[2])), home, lambda event: None, Slot(home))
print(outcome.result.key, outcome.result.quality.value)
"""


def recipe(*phases: dict[str, Any], student: str = "plain_1k5", seed: int = 7) -> Recipe:
    return Recipe.from_json({"task": "fashion_mnist", "student": student, "seed": seed, "phases": list(phases)})


DEFAULT = (TRAIN | {"stages": [PRUNE]}, FINISH)


@dataclasses.dataclass
class Done:
    home: Home
    outcome: Outcome
    events: list[dict[str, Any]]

    @property
    def onnx(self) -> bytes:
        return (self.home.artifact(self.outcome.result.key) / "model.onnx").read_bytes()


def finished(folder: Path, wanted: Recipe, test: bool = False) -> Done:
    home, events = Home.locate(folder), []
    return Done(home, run(wanted, home, events.append, Slot(home), test), events)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return finished(tmp_path_factory.mktemp("home"), recipe(*DEFAULT), test=True)


def test_quality_is_what_the_written_file_answers(done: Done) -> None:
    split = registry.get("tasks", "fashion_mnist").split("sample", "validation")
    session = onnxruntime.InferenceSession(done.onnx, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    answers = np.concatenate([session.run(None, {name: x.numpy()})[0] for x in torch.split(split.inputs, 500)])
    assert float((answers.argmax(1) == split.labels.numpy()).mean()) == done.outcome.result.quality.value
    assert done.outcome.result.quality.value > 0.7
    assert np.array_equal(answers.argmax(1), np.asarray(done.outcome.predictions).argmax(1))


def test_the_packed_file_holds_exactly_the_onnx_file(done: Done) -> None:
    folder = done.home.artifact(done.outcome.result.key)
    packed = (folder / "model.packed").read_bytes()
    assert decode(packed) == done.onnx
    assert done.outcome.result.cost.packed_bytes == len(packed) < done.outcome.result.cost.onnx_bytes == len(done.onnx)


def test_half_of_the_weights_are_zero_and_the_rest_runs_in_integers(done: Done) -> None:
    cost = done.outcome.result.cost
    assert 0.4 < cost.nonzero / cost.parameters < 0.65
    assert cost.latency is not None
    assert not cost.latency.simulated
    assert b"QuantizeLinear" in done.onnx
    assert cost.latency.ratio is not None
    assert cost.latency.ratio_low <= cost.latency.ratio <= cost.latency.ratio_high


def test_the_result_tells_the_story(done: Done) -> None:
    result = done.outcome.result
    assert [p.name for p in result.phases] == ["kd + prune_magnitude", "quantize_linear + recalibrate"]
    assert result.phases[-1].quality == result.quality.value
    assert [c.epoch for c in result.curve] == [1]
    assert result.metrics["agreement"] > 0.7
    assert result.test is not None
    assert abs(result.test.value - result.quality.value) < 0.05
    assert result.environment["machine"]
    assert result.environment["timing_threads"] == result.cost.latency.threads == 1
    fractions = [e["fraction"] for e in done.events if e.get("doing") == "training"]
    assert fractions == sorted(fractions)
    live = [e["curve"] for e in done.events if "curve" in e]
    assert [(c["epoch"], c["quality"]) for c in live] == [(c.epoch, c.quality) for c in result.curve]
    assert fractions[-1] == 1.0


def test_the_same_recipe_gives_the_same_files_in_another_process_and_home(done: Done, tmp_path: Path) -> None:
    text = json.dumps(recipe(*DEFAULT).to_json())
    command = [sys.executable, "-c", AGAIN, str(tmp_path), text]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    result = done.outcome.result
    assert answer == [result.key, str(result.quality.value)]
    assert (Home(tmp_path).artifact(result.key) / "model.onnx").read_bytes() == done.onnx


def test_another_seed_gives_other_weights(done: Done, tmp_path: Path) -> None:
    other = finished(tmp_path, recipe(*DEFAULT, seed=8))
    assert other.outcome.result.key != done.outcome.result.key
    assert other.onnx != done.onnx


def test_a_resumed_prefix_gives_the_bytes_of_an_uninterrupted_run(done: Done, tmp_path: Path) -> None:
    kept = list(done.home.cache("prefix").glob("*.prefix"))
    assert [p.stem for p in kept] == [recipe(DEFAULT[0]).key]  # only what was trained is kept
    four_bits = {"stages": [{"name": "quantize_linear", "bits": 4}, {"name": "recalibrate"}]}
    resumed = finished(done.home.root, recipe(DEFAULT[0], four_bits))
    fresh = finished(tmp_path, recipe(DEFAULT[0], four_bits))
    assert resumed.onnx == fresh.onnx
    assert not [e for e in resumed.events if e.get("doing") == "training"]


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_prefix_is_trained_again(done: Done, damage: str) -> None:
    (path,) = done.home.cache("prefix").glob(f"{recipe(DEFAULT[0]).key}*")
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content if damage == "altered" else content[:-100])
    assert finished(done.home.root, recipe(*DEFAULT)).onnx == done.onnx
    assert path.exists()


def test_without_test_the_test_images_are_not_read(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    task = registry.get("tasks", "fashion_mnist")
    seen: list[str] = []
    original = type(task).split
    monkeypatch.setattr(type(task), "split", lambda self, data, name: seen.append(name) or original(self, data, name))
    assert finished(done.home.root, recipe(*DEFAULT)).outcome.result.test is None
    assert "test" not in seen
    assert "validation" in seen


def test_a_teacher_may_be_a_recipe(done: Done) -> None:
    assistant = recipe(TRAIN, student="plain_1k5", seed=1).to_json()
    taught = recipe(TRAIN | {"teachers": [assistant]})
    finish = finished(done.home.root, taught)
    outcome = finish.outcome
    assert outcome.result.quality.value > 0.7
    asked = [e for e in finish.events if e.get("doing") == "asking the teacher"]
    assert asked[-1]["step"] == asked[-1]["steps"] == len(asked)
    task = registry.get("tasks", "fashion_mnist")
    model = train(Bench(Recipe.from_json(assistant), done.home)).model
    split = task.split("sample", "validation")
    agreed = teaching.forward(model, split.inputs).argmax(1) == torch.from_numpy(outcome.predictions).argmax(1)
    assert outcome.result.metrics["agreement"] == pytest.approx(float(agreed.float().mean()))


def test_channels_pruned_away_make_the_file_smaller_and_the_multiplications_fewer(done: Done) -> None:
    stage = {"name": "prune_channels", "sparsity": 0.5}
    narrow = finished(done.home.root, recipe(TRAIN | {"stages": [stage]})).outcome.result.cost
    wide = artifact.build(Bench(recipe(TRAIN), done.home).fresh(), Bench(recipe(TRAIN), done.home).example)
    assert narrow.onnx_bytes < 0.7 * len(wide.onnx)
    assert narrow.parameters < 0.6 * done.outcome.result.cost.parameters
    assert narrow.macs < 0.6 * done.outcome.result.cost.macs


@pytest.mark.parametrize("name", ["prune_magnitude", "prune_channels", "quantize_linear", "recalibrate"])
def test_a_pattern_that_names_no_layer_is_refused(name: str, done: Done) -> None:
    nothing = recipe(TRAIN, {"stages": [{"name": name, "layers": "blocks.0.cnv"}]})
    with pytest.raises(InputError, match=r"did you mean 'blocks\.0\.conv'"):
        train(Bench(nothing, done.home))


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_damaged_teacher_weights_are_refused_in_one_line(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.current()
    spec = registry.get("models", "teacher")
    content, path = bytearray(spec.weights.read_bytes()), tmp_path / "teacher.safetensors"
    if damage == "altered":
        content[-5] ^= 64
    if damage != "missing":
        path.write_bytes(content[:-1000] if damage == "truncated" else content)
    monkeypatch.setattr(registry, "get", lambda kind, name: dataclasses.replace(spec, weights=path))
    with pytest.raises(FileError, match="restore it") as caught:
        teaching.load_teacher("teacher")
    assert "\n" not in str(caught.value)
