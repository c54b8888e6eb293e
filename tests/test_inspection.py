"""Inside a point: each step is the trial that ends there, and every byte and zero is the file's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from small_nets import data, fresh

from engine import artifact, inspection, inspection_files, inspection_steps, registry
from engine.answering import Answerer
from engine.artifact.reading import read
from engine.errors import FileError, TrialFailedError
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure import timing
from engine.measure.latency import LatencyReading
from engine.pipeline import run
from engine.recipe import Recipe
from engine.tasks._base import Split

TRAIN = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"]}
PRUNE = {"name": "prune_magnitude", "sparsity": 0.6, "schedule": "gradual"}
FINISH = {"stages": [{"name": "quantize_linear", "bits": 4}, {"name": "recalibrate"}]}
TRAINED, VALIDATED = 2000, 500
BATCHES = (1, 8, 32)


def recipe(*phases: dict[str, Any], seed: int = 5, student: str = "plain_1k5") -> Recipe:
    return Recipe.from_json({"task": "fashion_mnist", "student": student, "seed": seed, "phases": list(phases)})


DENSE = recipe(TRAIN)
DEFAULT = recipe(TRAIN | {"stages": [PRUNE]}, FINISH)
POINT = DENSE.with_one_shot(0.5, 8)


@pytest.fixture(scope="module")
def little() -> Any:
    """A tenth of the data, and times that nobody takes: what is tested here depends on neither."""
    with pytest.MonkeyPatch.context() as patch:
        task = type(registry.get("tasks", "fashion_mnist"))
        whole, sizes = task.split, {"train": TRAINED, "validation": VALIDATED}

        def split(self: Any, data: str, name: str) -> Split:
            found = whole(self, data, name)
            return Split(found.inputs[: sizes[name]], found.labels[: sizes[name]])

        def times(models: Any, *_: Any) -> Any:
            return {b: {n: LatencyReading(0.1 * b, 0.09 * b, 0.11 * b, 0.12 * b, 0.1, 12, b, "test", ratio=1.0,
                                          ratio_low=0.9, ratio_high=1.1) for n in models} for b in BATCHES}  # fmt: skip

        patch.setattr(task, "split", split)
        patch.setattr(timing, "timed", times)
        patch.setattr(inspection_steps, "timed", times)
        yield


class Found:
    """One inspection, with all that it reported."""

    def __init__(self, home: Home, body: dict[str, Any]) -> None:
        self.events: list[dict[str, Any]] = []
        self.key = body["key"]
        inspection.inspect(body, home, self.events.append, Slot(home))
        data = inspection_files.load(home, self.key)
        assert data is not None
        self.data = data

    @property
    def last(self) -> dict[str, Any]:
        row: dict[str, Any] = self.data["phases"][-1]
        return row


def look(home: Home, wanted: Recipe, origin: str = "trial") -> Found:
    return Found(home, {"key": wanted.key, "recipe": wanted.to_json(), "origin": origin})


@pytest.fixture(scope="module")
def shared(little: None, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home.locate(tmp_path_factory.mktemp("inspected"))


@pytest.fixture(scope="module")
def joint(shared: Home) -> Found:
    return look(shared, DEFAULT)


@pytest.fixture(scope="module")
def point(shared: Home) -> Found:
    return look(shared, POINT, "grid")


def trial(home: Home, wanted: Recipe) -> tuple[Any, bytes, bytes]:
    """The ordinary trial: its result and its two files."""
    result = run(wanted, home, lambda _event: None, Slot(home)).result
    folder = home.artifact(wanted.key)
    return result, (folder / "model.onnx").read_bytes(), (folder / "model.packed").read_bytes()


@pytest.mark.parametrize("which", ["joint", "point"])
def test_the_last_step_is_the_ordinary_trial(shared: Home, which: str, request: pytest.FixtureRequest) -> None:
    found, wanted = request.getfixturevalue(which), {"joint": DEFAULT, "point": POINT}[which]
    result, onnx_file, packed = trial(shared, wanted)
    for name in ("packed_bytes", "onnx_bytes", "parameters", "nonzero", "macs"):
        assert found.last[name] == getattr(result.cost, name), name
    assert found.last["quality"] == result.quality.value
    assert (found.last["quality_low"], found.last["quality_high"]) == (result.quality.low, result.quality.high)
    layers = read(onnx_file, packed).layers
    told = [(x["name"], x["zeros"], x["packed_bytes"], x["macs"]) for x in found.data["layers"]]
    assert told == [(x.name, x.zeros, x.packed_bytes, x.macs) for x in layers]
    again = look(shared, wanted)
    assert again.data["same_file"] is True


@pytest.mark.parametrize("which", ["joint", "point"])
def test_every_byte_of_the_packed_file_belongs_somewhere(which: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(which)
    packed = found.data["packed"]
    assert packed["total"] == found.last["packed_bytes"] == packed["layers"] + packed["other"] + packed["graph"]
    assert packed["layers"] == sum(x["packed_bytes"] for x in found.data["layers"]) > packed["total"] / 2
    assert sum(x["macs"] for x in found.data["layers"]) == found.last["macs"]


def test_steps_of_a_phase_that_trains_and_one_that_only_applies(joint: Found) -> None:
    rows = joint.data["phases"]
    assert [(r["kind"], r["name"]) for r in rows] == [
        ("dense", "kd"),
        ("train", "kd + prune_magnitude"),
        ("apply", "quantize_linear"),
        ("apply", "recalibrate"),
    ]
    assert [r["epochs"] for r in rows] == [1, 1, 0, 0]
    assert rows[0]["nonzero"] == rows[0]["parameters"] > rows[1]["nonzero"]
    assert rows[1]["packed_bytes"] < rows[0]["packed_bytes"]
    assert rows[2]["packed_bytes"] < 0.6 * rows[1]["packed_bytes"]
    assert rows[2]["quality"] != rows[3]["quality"]
    assert [r["simulated"] for r in rows] == [False, False, True, True]
    assert all(r["latency_low_ms"] < r["latency_ms"] < r["latency_high_ms"] for r in rows)


def test_a_step_is_the_trial_that_ends_there(shared: Home, joint: Found) -> None:
    shorter = recipe(TRAIN | {"stages": [PRUNE]}, {"stages": FINISH["stages"][:1]})
    for row, wanted in ((joint.data["phases"][0], DENSE), (joint.data["phases"][2], shorter)):
        result = trial(shared, wanted)[0]
        assert (row["quality"], row["packed_bytes"]) == (result.quality.value, result.cost.packed_bytes)


def test_compressing_before_training_starts_from_the_same_dense_student(shared: Home) -> None:
    first = {"stages": [PRUNE | {"schedule": "one_shot"}]}
    rows = look(shared, recipe(first, TRAIN)).data["phases"]
    assert [(r["kind"], r["phase"]) for r in rows] == [("dense", 0), ("apply", 0), ("train", 1)]
    assert rows[1]["quality"] < 0.3 < rows[2]["quality"]


def test_a_recipe_that_trains_nothing_starts_from_the_untrained_student(shared: Home) -> None:
    found = look(shared, recipe({"stages": [{"name": "quantize_linear", "bits": 8}]}))
    assert [(r["kind"], r["epochs"]) for r in found.data["phases"]] == [("untrained", 0), ("apply", 0)]
    assert found.data["before"] == "initial"


def test_a_dense_student_is_compared_with_its_initial_weights(shared: Home) -> None:
    found = look(shared, DENSE)
    assert [r["kind"] for r in found.data["phases"]] == ["dense"]
    assert found.data["before"] == "initial"
    assert all(h["before"] != h["after"] for h in found.data["histograms"].values())


def test_histograms_and_zeros_count_every_weight(joint: Found) -> None:
    bits = {x["name"]: x for x in joint.data["layers"]}
    assert joint.data["before"] == "dense"
    for name, h in joint.data["histograms"].items():
        weights = int(np.prod(bits[name]["shape"]))
        assert sum(h["before"]) == sum(h["after"]) == weights
        assert h["edges"][0] == -h["edges"][-1]
        assert h["zeros_before"] == 0
        assert h["zeros_after"] == round(bits[name]["zeros"] * weights)
        assert bits[name]["bits"] == 4
    head = joint.data["histograms"]["head"]
    assert head["zeros_after"] > 0
    assert sum(n > 0 for n in joint.data["histograms"]["blocks.0.conv"]["after"]) > 2


def test_filters_are_those_of_the_first_convolution(joint: Found) -> None:
    first = joint.data["filters"]
    assert first["layer"] == "blocks.0.conv"
    assert np.shape(first["before"]) == np.shape(first["after"]) == (6, 3, 3)
    assert first["before"] != first["after"]


def test_zeros_are_those_of_the_onnx_file(shared: Home, point: Found) -> None:
    _, onnx_file, _ = trial(shared, POINT)
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(onnx_file).graph.initializer}
    for layer in point.data["layers"]:
        integers = tensors[f"{layer['name']}.integers"]
        assert layer["zeros"] == pytest.approx(float((integers == 0).mean()))
        assert list(integers.shape) == layer["shape"]
        assert layer["bits"] == 8


def test_what_other_people_need_is_kept(shared: Home, joint: Found) -> None:
    for name, title in ((DEFAULT.key, "plain_1k5"), (DENSE.key, "plain_1k5")):
        model = inspection_files.load_model(shared, name)
        assert model is not None
        assert model.name == title
        assert model.onnx_bytes == inspection_files.model_path(shared, name).stat().st_size
    assert inspection_files.load_model(shared, inspection_files.model_id("teacher")) is not None
    logits = inspection_files.logits(shared, joint.key, "logits")
    assert logits is not None
    assert logits.shape == (VALIDATED, 10)
    assert joint.data["dense_key"] == DENSE.key


def test_progress_only_rises_and_holds_no_curve(joint: Found) -> None:
    fractions = [e["fraction"] for e in joint.events]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < 0.3
    assert 0.9 < fractions[-1] < 1
    assert not [e for e in joint.events if "curve" in e]


def test_a_point_of_an_earlier_version_is_refused(shared: Home) -> None:
    with pytest.raises(TrialFailedError, match="earlier version"):
        Found(shared, {"key": "0" * 32, "recipe": DENSE.to_json(), "origin": "trial"})


def test_the_shipped_teacher(shared: Home) -> None:
    body = {"task": "fashion_mnist", "data": "full", "labels": None, "student": "teacher", "phases": [], "seed": 0}
    found = Found(shared, {"key": "t" * 32, "recipe": body, "origin": "shipped"})
    assert [r["kind"] for r in found.data["phases"]] == ["teacher"]
    assert found.last["parameters"] == 575_594
    assert found.last["quality"] > 0.9
    assert found.data["before"] is None
    assert all(h["before"] is None for h in found.data["histograms"].values())


def test_a_shipped_point_with_a_file_is_read_without_training(shared: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection_steps, "train", lambda *_: pytest.fail("it must not train"))
    index = json.loads((inspection_steps.retiming.INDEX).read_text())
    entry = next(e for e in index if e["student"] == "plain_1k5" and not e["dense"])
    shipped = [e["result"] for e in json.loads(Path("sample_data/shipped_results.json").read_text())]
    result = next(r for r in shipped if r["key"] == entry["key"])
    found = Found(shared, {"key": entry["key"], "recipe": result["recipe"], "origin": "shipped"})
    assert [r["kind"] for r in found.data["phases"]] == ["dense", "file"]
    assert found.last["macs"] == result["cost"]["macs"]
    assert found.last["packed_bytes"] == result["cost"]["packed_bytes"] == found.data["packed"]["total"]
    assert found.data["weights"] == "folded"
    assert {x["bits"] for x in found.data["layers"]} == {8}


def test_files_that_do_not_belong_together_are_refused(shared: Home, joint: Found, point: Found) -> None:
    one, other = trial(shared, DEFAULT), trial(shared, POINT)
    with pytest.raises(FileError, match="another model"):
        read(one[1], other[2])


def test_norms_that_stay_and_depthwise_layers_are_layers_of_their_own(shared: Home) -> None:
    model = fresh()
    model.blocks[0].norm = torch.nn.BatchNorm2d(6)
    torch.nn.init.constant_(model.blocks[0].norm.weight, -1.0)  # behind a pool it would only fold if it were positive
    built = artifact.build(model.eval(), data().inputs[:2])
    found = read(built.onnx, built.packed())
    kinds = {x.name: x.kind for x in found.layers}
    assert kinds["blocks.0.norm"] == "norm"
    assert kinds["blocks.1.depthwise"] == "depthwise"
    assert kinds["blocks.1.pointwise"] == "pointwise"
    assert kinds["head"] == "linear"
    assert sum(x.packed_bytes for x in found.layers) + found.other_bytes + found.graph_bytes == len(built.packed())


def test_a_teacher_that_is_a_recipe_answers_too(shared: Home) -> None:
    assistant = recipe({"epochs": 1}, seed=9)
    taught = recipe(TRAIN | {"teachers": [assistant.to_json()]})
    look(shared, taught)
    model = inspection_files.load_model(shared, assistant.key)
    assert model is not None
    assert model.onnx_bytes == len(trial(shared, assistant)[1])


def test_kept_models_answer_as_they_were_measured(shared: Home, joint: Found) -> None:
    images = registry.get("tasks", "fashion_mnist").split("sample", "validation").inputs
    kept = inspection_files.logits(shared, joint.key, "logits")
    assert kept is not None
    answerer = Answerer()
    found = answerer.ask([inspection_files.model_path(shared, DEFAULT.key)], images[4:5].numpy())[0]
    answerer.close()
    assert found.logits == pytest.approx(kept[4], rel=2e-3, abs=2e-3)
