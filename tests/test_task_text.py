"""The tasks that classify texts: splits for a model, shipped outputs, words, and what happens without the data."""

from __future__ import annotations

import pytest
import torch

from engine import catalogue
from engine.errors import InputError
from engine.registry import get
from engine.tasks import _text_spam_files as files
from engine.tasks._base import Task


@pytest.fixture(scope="module")
def task() -> Task:
    found: Task = get("tasks", "text_spam")
    return found


def test_splits_are_ids_ready_for_a_model(task: Task) -> None:
    split = task.split("sample", "validation")
    assert split.inputs.shape == (833, 128)
    assert split.inputs.dtype == split.labels.dtype == torch.int64
    assert task.split("sample", "validation") is split  # loaded once
    assert task.modality == "text"


@pytest.mark.parametrize(("data", "name"), [("samples", "train"), ("sample", "valid")])
def test_unknown_names_are_refused(task: Task, data: str, name: str) -> None:
    with pytest.raises(InputError, match="did you mean"):
        task.split(data, name)


def test_the_shipped_teacher_is_good(task: Task) -> None:
    logits = task.shipped_outputs("minilm_spam", "sample", "validation")
    assert logits is not None
    quality = task.quality(logits, task.split("sample", "validation").labels)
    assert quality.value > 0.94
    assert task.shipped_outputs("bert_1", "sample", "train") is None


def test_a_text_is_shown_as_its_words(task: Task) -> None:
    text = task.describe("sample", "validation", 0)
    ids = task.split("sample", "validation").inputs[0]
    assert len(text.split()) == int((ids > 3).sum() + (ids == 1).sum())
    assert "[PAD]" not in text
    assert set(text.split()) <= set(files.STOCK.vocabulary().words)


def test_the_facts_stand_in_the_catalogue(task: Task) -> None:
    row = catalogue.current().row("tasks", "text_spam")
    assert row["modality"] == "text"
    assert row["input_shape"] == [128]
    assert row["default"]["student"] == "bert_1"
