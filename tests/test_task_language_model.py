"""The task language_model: next ids of whole plays, bits a character, what is kept of a block, words."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engine import registry, scores
from engine.errors import InputError
from engine.recipe import Recipe
from engine.tasks import _language_model_files as files
from engine.tasks._base import Task


@pytest.fixture(scope="module")
def task() -> Task:
    found: Task = registry.get("tasks", "language_model")
    return found


def uniform(task: Task, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    labels = task.split("sample", "validation").labels[:count].flatten()
    return torch.zeros(len(labels), task.classes), labels


@pytest.mark.parametrize(("data", "name", "size"), [
    ("sample", "train", 1_024), ("sample", "validation", 64), ("sample", "test", 128), ("full", "train", 16_430),
])  # fmt: skip
def test_splits_are_ids_and_the_ids_that_come_next(task: Task, data: str, name: str, size: int) -> None:
    split = task.split(data, name)
    assert split.inputs.shape == split.labels.shape == (size, 128)
    assert split.inputs.dtype == split.labels.dtype == torch.int64
    assert torch.equal(split.inputs[:, 1:], split.labels[:, :-1])
    assert task.split(data, name) is split


def test_full_shares_validation_and_test_and_has_a_hash_of_its_own(task: Task) -> None:
    assert task.split("full", "validation") is task.split("sample", "validation")
    assert task.hashes["full"] != task.hashes["sample"]


def test_the_hash_follows_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    before = files.set_up_hashes()
    monkeypatch.setitem(files.DIGESTS, "full", "0" * 64)
    assert files.set_up_hashes()["sample"] == before["sample"]
    assert files.set_up_hashes()["full"] != before["full"]


def test_facts(task: Task) -> None:
    facts = task.facts()
    assert (facts["modality"], facts["positions"], facts["direction"]) == ("tokens", 128, "minimize")
    assert facts["metric"] == "bits_per_character"
    assert facts["metric"] in scores.PAIRED
    assert len(facts["class_names"]) == 512


def test_uniform_answers_cost_nine_bits_a_token(task: Task) -> None:
    logits, labels = uniform(task, 64)
    quality = task.quality(logits, labels)
    letters = files.characters()[labels.numpy()].sum()
    assert quality.value == pytest.approx(9 * len(labels) / letters)
    assert 4.2 < quality.value < 4.4
    measures = task.metrics(logits, labels, logits)
    assert measures["perplexity"] == pytest.approx(512)
    assert measures["cross_entropy"] == pytest.approx(math.log(512))
    assert measures["agreement"] == 1


def test_one_score_a_block_is_kept_and_read_back_without_torch(task: Task) -> None:
    logits, labels = uniform(task, 64)
    kept = task.kept(logits, labels)
    assert kept.shape == (64, 1)
    assert float(kept.mean()) == pytest.approx(task.quality(logits, labels).value, rel=1e-6)
    assert scores.labels("language_model").shape == (64, 128)
    np.testing.assert_array_equal(scores.labels("language_model"), task.split("sample", "validation").labels.numpy())


def test_a_block_can_be_read(task: Task) -> None:
    shown = task.describe("sample", "validation", 3)
    assert "ROSALIND." in shown
    assert len(shown) == files.characters()[files.read("validation")[3]].sum()


@pytest.mark.parametrize(("data", "name"), [("samples", "train"), ("sample", "valid")])
def test_unknown_names_are_refused(task: Task, data: str, name: str) -> None:
    with pytest.raises(InputError, match="did you mean"):
        task.split(data, name)


def test_the_teacher_and_the_students_are_there(task: Task) -> None:
    models = registry.registered("models")
    assert all(models[name].tasks == ("language_model",) for name in ("gpt_1", "gpt_2", "gpt_3", "gpt_teacher"))
    recipe = Recipe.from_json(dict(task.default))
    assert recipe.phases[0].teachers == ("gpt_teacher",)
    assert task.shipped_outputs("gpt_teacher", "sample", "train") is None


def test_the_teacher_knows_more_than_the_plays_it_has_read(task: Task) -> None:
    """Less than two bits a character on a play that it has not seen, and not much less on its own."""
    from engine.teaching import forward, load_teacher

    teacher = load_teacher("gpt_teacher")
    found = {}
    for name in ("train", "validation"):
        split = task.split("sample", name)
        found[name] = task.quality(forward(teacher, split.inputs[:64]), split.labels[:64].flatten()).value
    assert found["train"] < found["validation"] < 2.0
