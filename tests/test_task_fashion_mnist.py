"""The task Fashion-MNIST and the preview: splits ready for a model, shipped outputs, quality, refusals, no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import preview as preview_module
from engine.errors import FileError, InputError
from engine.preview import preview
from engine.registry import get
from engine.tasks import _fashion_mnist_files as files
from engine.tasks import fashion_mnist
from engine.tasks._base import Task

PACKAGE = (files.DEBIAN / "train-images-idx3-ubyte.gz").exists()


@pytest.fixture(scope="module")
def task() -> Task:
    found: Task = get("tasks", "fashion_mnist")
    return found


@pytest.mark.parametrize(("name", "size"), [("train", 20_000), ("validation", 5_000), ("test", 10_000)])
def test_splits_are_ready_for_a_model(task: Task, name: str, size: int) -> None:
    split = task.split("sample", name)
    assert split.inputs.shape == (size, 1, 28, 28)
    assert split.inputs.dtype == torch.float32
    assert split.labels.dtype == torch.int64
    assert len(split) == size
    assert split.inputs.mean().item() == pytest.approx(0, abs=0.01)
    assert split.inputs.std().item() == pytest.approx(1, abs=0.01)
    assert task.split("sample", name) is split  # loaded once


def test_facts_agree_with_the_data(task: Task) -> None:
    split = task.split("sample", "validation")
    assert task.input_shape == tuple(split.inputs.shape[1:])
    assert task.classes == len(task.class_names) == len(split.labels.unique())
    assert task.train_size == len(task.split("sample", "train"))
    assert task.direction == "maximize"
    facts = task.facts()
    assert facts["default"]["student"] == "plain_10k"
    assert set(facts["hashes"]) == {"sample", "full"}
    assert all(len(value) == 64 for value in facts["hashes"].values())
    assert facts["hashes"]["sample"] != facts["hashes"]["full"]


def test_the_hash_follows_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    before = files.set_up_hashes()
    monkeypatch.setitem(files.DIGESTS, "train", "0" * 64)
    after = files.set_up_hashes()
    assert before["sample"] != after["sample"]
    assert before["full"] == after["full"]
    monkeypatch.setitem(files.DIGESTS, "test", "0" * 64)
    assert files.set_up_hashes()["full"] != before["full"]


@pytest.mark.skipif(not PACKAGE, reason="the Debian package dataset-fashion-mnist is not installed")
def test_full_trains_on_55000_and_shares_the_rest(task: Task) -> None:
    assert len(task.split("full", "train")) == 55_000
    assert task.split("full", "test") is task.split("sample", "test")
    fashion_mnist._loaded.cache_clear()  # 170 MB


def test_without_the_full_set_the_remedy_is_named(task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fashion_mnist._loaded.cache_clear()
    monkeypatch.setattr(files, "DEBIAN", tmp_path)
    monkeypatch.setattr(files, "TORCHVISION", ())
    with pytest.raises(FileError, match="dataset-fashion-mnist"):
        task.split("full", "train")


@pytest.mark.parametrize(("data", "name"), [("samples", "train"), ("sample", "valid")])
def test_unknown_names_are_refused(task: Task, data: str, name: str) -> None:
    with pytest.raises(InputError, match="did you mean"):
        task.split(data, name)


def test_shipped_outputs_belong_to_the_split(task: Task) -> None:
    for data in ("sample", "full"):
        split, logits = task.split(data, "validation"), task.shipped_outputs("teacher", data, "validation")
        assert logits is not None
        assert logits.dtype == torch.float32
        quality = task.quality(logits, split.labels)
        assert quality.value >= 0.93
        assert quality.low < quality.value < quality.high
        assert 0.005 < quality.high - quality.low < 0.03
    assert task.shipped_outputs("teacher", "full", "train") is None
    assert task.shipped_outputs("plain_10k", "sample", "train") is None


def test_outputs_of_other_weights_are_refused() -> None:
    with pytest.raises(FileError, match="other weights"):
        files.read_outputs("teacher", "0" * 64)


@pytest.mark.parametrize("damage", ["cut", "short", "nan", "missing"])
def test_damaged_outputs_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "outputs.npz"
    outputs = files.read_outputs("teacher")
    if damage == "short":
        outputs["train"] = outputs["train"][:-1]
    if damage == "nan":
        outputs["test"][5, 5] = np.nan
    if damage != "missing":
        files.write_outputs(path, outputs, "abc")
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FileError, match=r"outputs\.npz.*train_teacher --outputs"):
        files.read_outputs("teacher", path=path)


def test_metrics_are_named_and_use_the_teacher(task: Task) -> None:
    labels = task.split("sample", "validation").labels
    logits = task.shipped_outputs("teacher", "sample", "validation")
    assert logits is not None
    alone, beside = task.metrics(logits, labels, None), task.metrics(logits, labels, logits)
    assert {"accuracy", "macro_f1", "cross_entropy"} <= set(alone)
    assert "agreement" not in alone
    assert beside["agreement"] == 1.0
    worse = task.metrics(logits.flip(1), labels, logits)
    assert worse["accuracy"] < 0.2
    assert worse["agreement"] < 0.2


def test_few_labels_are_balanced_and_follow_the_seed(task: Task) -> None:
    labels = task.split("sample", "train").labels
    chosen = task.labelled(labels, 200, seed=1)
    assert torch.bincount(labels[chosen]).tolist() == [20] * 10
    assert torch.equal(chosen, task.labelled(labels, 200, seed=1))
    assert not torch.equal(chosen, task.labelled(labels, 200, seed=2))
    assert len(task.labelled(labels, None, seed=1)) == 20_000


def test_preview_shows_every_class_from_validation(task: Task) -> None:
    shown, split = preview("fashion_mnist"), task.split("sample", "validation")
    assert np.bincount(shown.labels).tolist() == [preview_module.PER_CLASS] * 10
    assert len(set(shown.indices.tolist())) == len(shown.indices)
    assert shown.images.dtype == np.uint8
    np.testing.assert_array_equal(shown.labels, split.labels[shown.indices].numpy())
    np.testing.assert_array_equal(files.normalised(shown.images), split.inputs[shown.indices].numpy())
    logits = task.shipped_outputs("teacher", "sample", "validation")
    assert logits is not None
    np.testing.assert_array_equal(shown.teacher_logits, logits[shown.indices].numpy())


def test_preview_holds_images_that_the_teacher_finds_hard() -> None:
    shown = preview("fashion_mnist")
    ordered = np.sort(shown.teacher_logits, axis=1)
    lead = (ordered[:, -1] - ordered[:, -2]).reshape(10, -1)
    assert (lead[:, 2:].max(1) <= lead[:, :2].max(1)).all()
    assert lead[:, 2:].max() < 2
    assert lead[:, :2].max() > 5


def test_preview_of_another_task_is_refused() -> None:
    with pytest.raises(InputError, match="fashion_mnist"):
        preview("fashion")


def test_preview_needs_no_torch() -> None:
    code = "import sys; from engine.preview import preview; preview('fashion_mnist'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
