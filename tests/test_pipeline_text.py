"""A trial on texts from recipe to result: ids in, a transformer and its table in integers, every number real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_model
from text_tools import texts
from torch import Tensor

from engine import catalogue, inspection, inspection_files, inspection_steps, metrics, registry
from engine.artifact.decoder import decode
from engine.execution.base import Outcome
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure import timing
from engine.measure.latency import Protocol, measure_batches
from engine.model_spec import ModelSpec
from engine.pipeline import run
from engine.recipe import Recipe
from engine.student import train
from engine.tasks._base import Split, Task
from engine.workbench import Bench
from sample_models import bert

WORDS, TOKENS, WIDTH, TASK = 200, 16, 16, "made_up_texts"
SIZES = {"train": 320, "validation": 100, "test": 60}
DEFAULT = {"task": TASK, "student": "made_up_bert", "phases": [{"epochs": 1, "teachers": ["made_up_teacher"]}]}
TRAIN = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["made_up_teacher"]}
ROUND = [{"name": "quantize_linear", "bits": 8}, {"name": "quantize_embeddings", "bits": 4}]
PRUNE = {"name": "prune_magnitude", "sparsity": 0.5, "schedule": "gradual"}


class MadeUp(Task):
    """Texts of two kinds."""

    name, title, help, source = TASK, "Made-up texts", "Made up for a test.", "none"
    licence, caveat, metric, classes, class_names = "none", "none", "accuracy", 2, ("ham", "spam")
    input_shape, train_size, modality = (TOKENS,), SIZES["train"], "text"
    hashes = MappingProxyType({"sample": "made-up"})
    default = MappingProxyType(DEFAULT)

    def split(self, data: str, name: str) -> Split:
        return texts(SIZES[name], WORDS, TOKENS, seed=list(SIZES).index(name))

    def shipped_outputs(self, teacher: str, data: str, split: str) -> Tensor | None:
        return 6.0 * torch.nn.functional.one_hot(self.split(data, split).labels, 2).float()

    def quality(self, logits: Tensor, labels: Tensor) -> Any:
        return metrics.accuracy(logits.numpy(), labels.numpy())

    def metrics(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None) -> dict[str, float]:
        teacher = None if teacher_logits is None else teacher_logits.numpy()
        return metrics.classification(logits.numpy(), labels.numpy(), teacher)


def make() -> torch.nn.Module:
    return bert.make(WORDS, 2, 1, WIDTH)


def spec(name: str, **more: Any) -> ModelSpec:
    words: dict[str, Any] = {"title": "Made up", "help": "Made up for a test.", "source": "none", "family": "made up"}
    count = sum(p.numel() for p in make().parameters())
    return ModelSpec(name, tasks=(TASK,), make=make, parameters=count, learning_rate=5e-3, batch_size=16,
                     taps=bert.taps(1), **words, **more)  # fmt: skip


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The task and its models among the others, and a quick look at the clock."""
    folder = tmp_path_factory.mktemp("catalogue")
    save_model(make(), str(folder / "teacher.safetensors"))
    teacher = spec("made_up_teacher", role="teacher", weights=folder / "teacher.safetensors")

    def timed(models: Any, shape: Any, reference: str | None) -> Any:
        for name, data in models.items():
            (folder / f"{name}.onnx").write_bytes(data)
        paths = {name: folder / f"{name}.onnx" for name in models}
        quick = Protocol(seconds=0.2, limit=1.0, rounds=2)
        return measure_batches(paths, shape, timing.BATCHES, reference, quick, memory=list(models))

    registry.load_all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._entries["tasks"], TASK, MadeUp())
        patch.setitem(registry._entries["models"], "made_up_bert", spec("made_up_bert"))
        patch.setitem(registry._entries["models"], "made_up_teacher", teacher)
        (folder / "catalogue.json").write_text(catalogue.render(catalogue.build()), encoding="utf-8")
        patch.setattr(catalogue, "PATH", folder / "catalogue.json")
        patch.setattr(timing, "timed", timed)
        patch.setattr(inspection_steps, "timed", timed)
        yield


class Done:
    def __init__(self, home: Home, wanted: Recipe) -> None:
        self.home, self.wanted = home, wanted
        self.outcome: Outcome = run(wanted, home, lambda _event: None, Slot(home), test=True)
        self.result = self.outcome.result
        folder = home.artifact(wanted.key)
        self.onnx, self.packed = ((folder / f"model.{kind}").read_bytes() for kind in ("onnx", "packed"))


@pytest.fixture(scope="module")
def done(made_up: None, tmp_path_factory: pytest.TempPathFactory) -> Done:
    home: Path = tmp_path_factory.mktemp("home")
    phases = [TRAIN | {"stages": [PRUNE]}, {"epochs": 0, "stages": ROUND}]
    return Done(Home.locate(home), Recipe.from_json({**DEFAULT, "phases": phases}))


def test_quality_is_what_the_file_answers_to_ids(done: Done) -> None:
    split = MadeUp().split("sample", "validation")
    session = onnxruntime.InferenceSession(done.onnx, providers=["CPUExecutionProvider"])
    answers = np.concatenate([session.run(None, {"input": x.numpy()})[0] for x in torch.split(split.inputs, 50)])
    assert done.result.quality.value == float((answers.argmax(1) == split.labels.numpy()).mean()) > 0.75
    assert done.result.test is not None
    assert abs(done.result.metrics["artifact_gap"]) <= 0.02


def test_costs_are_those_of_the_files(done: Done) -> None:
    cost, each = done.result.cost, 4 * TOKENS * WIDTH**2 + 2 * TOKENS * 4 * WIDTH**2 + 2 * TOKENS**2 * WIDTH
    assert cost is not None
    assert decode(done.packed) == done.onnx
    assert (cost.onnx_bytes, cost.packed_bytes) == (len(done.onnx), len(done.packed))
    assert cost.macs == each + 2 * WIDTH
    assert cost.parameters == sum(p.numel() for p in make().parameters())
    assert cost.nonzero < cost.parameters - 4 * WIDTH**2
    for latency in (cost.latency, cost.latency_batch8, cost.latency_batch32):
        assert latency is not None
        assert latency.median_ms > 0
        assert latency.ratio is not None
        assert not latency.simulated


def test_tables_and_layers_are_integers_in_the_file(done: Done) -> None:
    model = onnx.load_from_string(done.onnx)
    assert {"MatMulInteger", "GatherBlockQuantized"} <= {node.op_type for node in model.graph.node}
    floats = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 1}
    assert not {name for name in floats if name.endswith("weight")}


def test_a_kept_student_is_resumed_bit_for_bit(done: Done) -> None:
    first = train(Bench(done.wanted, done.home)).model.state_dict()
    again = train(Bench(done.wanted, Home.locate(done.home.root.parent / "other"))).model.state_dict()
    assert list(first) == list(again)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_it_can_be_looked_into(done: Done) -> None:
    body = {"key": done.wanted.key, "recipe": done.wanted.to_json(), "origin": "trial"}
    inspection.inspect(body, done.home, lambda _event: None, Slot(done.home))
    found = inspection_files.load(done.home, done.wanted.key)
    assert found is not None
    rows = {row["name"]: row for row in found["layers"]}
    assert done.result.cost is not None
    assert sum(row["macs"] for row in rows.values()) == done.result.cost.macs
    words, query = rows["bert.embeddings.word_embeddings"], rows["bert.encoder.layer.0.attention.self.query"]
    assert (words["kind"], words["bits"], query["bits"]) == ("embedding", 4, 8)
    assert query["zeros"] == pytest.approx(0.5, abs=0.3)
    assert found["packed"]["total"] == len(done.packed)
