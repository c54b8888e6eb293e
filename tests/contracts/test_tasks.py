"""What every registered task must do, whoever added it: honest splits, a sound metric, a default run, its words."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import registry
from engine.errors import NotInstalledError, StillhouseError
from engine.preview import preview
from engine.recipe import Recipe
from engine.tasks._base import Split, Task

TASKS: dict[str, Task] = registry.registered("tasks")


def with_its_data(task: Task) -> Any:
    """A parameter that is skipped where the task's data do not come with the project and nobody has fetched them."""
    try:
        task.split("sample", "validation")
    except NotInstalledError as problem:
        return pytest.param(task, id=task.name, marks=pytest.mark.skip(reason=str(problem)))
    return pytest.param(task, id=task.name)


every_task = pytest.mark.parametrize("task", [with_its_data(task) for task in TASKS.values()])
SPLITS = ("train", "validation", "test")


def digests(split: Split) -> list[bytes]:
    """One hash an example, over its input."""
    rows = np.ascontiguousarray(split.inputs.numpy())
    return [hashlib.blake2b(row.tobytes(), digest_size=12).digest() for row in rows]


def flat_labels(task: Task, split: str = "validation", count: int | None = None) -> Tensor:
    """[M] labels of the first ``count`` examples, as losses and measures see them."""
    return task.split("sample", split).labels[:count].flatten()


def answers(labels: Tensor, classes: int, sure: float = 5.0) -> Tensor:
    """Logits that give exactly these labels."""
    return sure * torch.nn.functional.one_hot(labels, classes).float()


@every_task
def test_it_says_what_it_is_and_what_to_beware_of(task: Task) -> None:
    assert all((task.title, task.source, task.licence))
    assert len(task.help.split()) >= 10
    assert len(task.caveat.split()) >= 8
    assert task.direction in ("maximize", "minimize")
    assert len(task.class_names) == task.classes == len(set(task.class_names))


@every_task
@pytest.mark.parametrize("name", SPLITS)
def test_a_split_is_ready_for_a_model(task: Task, name: str) -> None:
    split = task.split("sample", name)
    assert split.inputs.shape == (len(split), *task.input_shape)
    assert split.inputs.dtype == (torch.float32 if task.modality == "image" else torch.int64)
    assert split.inputs.isfinite().all()
    assert split.labels.dtype == torch.int64
    assert split.labels.shape == ((len(split),) if task.positions == 1 else (len(split), task.positions))
    found = set(split.labels.flatten().tolist())
    assert found == set(range(task.classes)) if task.positions == 1 else found < set(range(task.classes))


@every_task
def test_the_training_split_has_the_declared_size(task: Task) -> None:
    assert len(task.split("sample", "train")) == task.train_size


@every_task
def test_no_example_is_in_two_splits(task: Task) -> None:
    """Equal examples in two splits would be counted as knowledge; the official data sets hold a few duplicates."""
    train, validation, test = (set(digests(task.split("sample", name))) for name in SPLITS)
    assert len(train & validation) <= 0.001 * len(validation)
    assert len(train & test) <= 0.001 * len(test)
    assert len(validation & test) <= 0.001 * len(test)


@every_task
def test_splits_are_the_same_each_time(task: Task) -> None:
    first, again = task.split("sample", "validation"), task.split("sample", "validation")
    assert torch.equal(first.inputs, again.inputs)
    assert torch.equal(first.labels, again.labels)


@every_task
def test_every_set_up_has_a_hash_that_enters_the_key(task: Task) -> None:
    assert "sample" in task.hashes
    assert all(len(value) >= 16 and set(value) <= set("0123456789abcdef") for value in task.hashes.values())
    assert len(set(task.hashes.values())) == len(task.hashes)


@every_task
def test_the_metric_points_where_it_says(task: Task) -> None:
    labels = flat_labels(task, count=300)
    right = task.quality(answers(labels, task.classes), labels)
    half = task.quality(answers(torch.where(torch.arange(len(labels)) % 2 == 0, labels, 0), task.classes), labels)
    assert right.metric == task.metric
    assert right.direction == task.direction
    better = right.value > half.value if task.direction == "maximize" else right.value < half.value
    assert better
    assert half.low < half.value < half.high


@every_task
def test_more_examples_make_a_narrower_interval(task: Task) -> None:
    labels = flat_labels(task)
    guess = answers(torch.where(torch.arange(len(labels)) % 5 == 0, (labels + 1) % task.classes, labels), task.classes)
    count = len(labels) // task.positions // 8 * task.positions
    few, many = task.quality(guess[:count], labels[:count]), task.quality(guess, labels)
    assert many.high - many.low < 0.6 * (few.high - few.low)


@every_task
def test_measures_are_finite_and_named(task: Task) -> None:
    labels = flat_labels(task, count=16)
    measures = task.metrics(answers(labels, task.classes), labels, answers(labels, task.classes, 3.0))
    assert task.metric in measures
    assert "agreement" in measures
    assert all(np.isfinite(value) for value in measures.values())
    assert "agreement" not in task.metrics(answers(labels, task.classes), labels, None)


@every_task
def test_what_is_kept_of_an_example_gives_its_quality_back(task: Task) -> None:
    """One row an example: the logits, or a score whose mean is the quality."""
    labels = flat_labels(task, count=16)
    logits = answers(labels.roll(1), task.classes)
    kept = task.kept(logits, labels)
    assert kept.shape == (16, task.classes if task.positions == 1 else 1)
    if task.positions > 1:
        assert float(kept.mean()) == pytest.approx(task.quality(logits, labels).value, rel=1e-5)


@every_task
def test_few_labels_are_balanced_and_follow_the_seed(task: Task) -> None:
    labels = task.split("sample", "train").labels
    count = 5 * task.classes if task.positions == 1 else 50
    chosen = task.labelled(labels, count, 0)
    assert len(set(chosen.tolist())) == count
    if task.positions == 1:
        assert torch.bincount(labels[chosen], minlength=task.classes).tolist() == [5] * task.classes
    assert torch.equal(chosen, task.labelled(labels, count, 0))
    assert not torch.equal(chosen, task.labelled(labels, count, 1))
    assert torch.equal(task.labelled(labels, None, 0), torch.arange(len(labels)))


@every_task
def test_the_default_run_is_a_recipe_of_this_task(task: Task) -> None:
    recipe = Recipe.from_json(dict(task.default))
    assert recipe.task == task.name
    assert recipe.dense().key != recipe.key
    assert recipe.baseline().key != recipe.dense().key


@every_task
def test_shipped_outputs_are_the_teachers(task: Task) -> None:
    """Ten rows of each split: the shipped logits are what the shipped weights give."""
    from engine.teaching import load_teacher

    for name, spec in registry.registered("models").items():
        if spec.role != "teacher" or task.name not in spec.tasks:
            continue
        try:
            model = load_teacher(name)
        except NotInstalledError as problem:
            pytest.skip(str(problem))
        for split in SPLITS:
            shipped = task.shipped_outputs(name, "sample", split)
            if shipped is None:
                continue
            examples = task.split("sample", split)
            assert shipped.shape == (len(examples), task.classes)
            with torch.no_grad():
                torch.testing.assert_close(model(examples.inputs[:10]), shipped[:10].float(), rtol=0.02, atol=0.05)


@pytest.mark.parametrize("task", [task for task in TASKS.values() if task.modality == "image"], ids=lambda t: t.name)
def test_the_preview_shows_validation_examples_of_every_class(task: Task) -> None:
    shown = preview(task.name)
    validation = task.split("sample", "validation")
    assert len(shown.images) == len(shown.labels) == len(shown.teacher_logits) == len(shown.indices)
    assert set(shown.labels.tolist()) == set(range(task.classes))
    assert shown.class_names == tuple(task.class_names)
    assert validation.labels[torch.from_numpy(shown.indices)].tolist() == shown.labels.tolist()


@every_task
@pytest.mark.parametrize("question", [("sample", "tests"), ("everything", "train")])
def test_an_unknown_split_is_refused(task: Task, question: tuple[Any, ...]) -> None:
    with pytest.raises(StillhouseError):
        task.split(*question)
