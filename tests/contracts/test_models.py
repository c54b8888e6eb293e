"""What every registered model must do, whoever added it: a new file in sample_models/ is found by itself."""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from engine import registry
from engine.errors import NotInstalledError
from engine.model_spec import ModelSpec
from engine.step import flat
from engine.tasks._base import Task
from engine.training import FitPlan, build_optimizer

MODELS: dict[str, ModelSpec] = registry.registered("models")
TASKS: dict[str, Task] = registry.registered("tasks")
every_model = pytest.mark.parametrize("name", MODELS)


@functools.cache
def made(name: str, seed: int = 0) -> nn.Module:
    """A fresh model in eval mode; shared, so do not train it."""
    torch.manual_seed(seed)
    return MODELS[name].make().eval()


def task_of(name: str) -> Task:
    return TASKS[MODELS[name].tasks[0]]


def examples(name: str, count: int) -> Tensor:
    generator, task = torch.Generator().manual_seed(1), task_of(name)
    if task.modality == "image":
        return torch.randn(count, *task.input_shape, generator=generator)
    return torch.randint(1, 500, (count, *task.input_shape), generator=generator)


@every_model
def test_it_names_tasks_that_exist_and_carries_words(name: str) -> None:
    spec = MODELS[name]
    assert spec.tasks
    assert set(spec.tasks) <= set(TASKS)
    assert all((spec.title, spec.family, spec.source))
    assert len(spec.help.split()) >= 8
    assert 0 < spec.learning_rate < 1
    assert spec.batch_size >= 1
    assert 0 < spec.seconds_per_epoch < 3600


@every_model
def test_it_declares_its_true_size(name: str) -> None:
    assert sum(p.numel() for p in made(name).parameters()) == MODELS[name].parameters


@every_model
def test_a_seed_decides_its_weights(name: str) -> None:
    torch.manual_seed(0)
    again = MODELS[name].make().state_dict()
    first = made(name).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    other = made(name, seed=1).state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


@every_model
def test_it_answers_each_example_alone(name: str) -> None:
    """Outputs have the task's classes, are finite, and do not depend on the other examples of a batch."""
    model, inputs, task = made(name), examples(name, 3), task_of(name)
    with torch.no_grad():
        together, alone = model(inputs), model(inputs[:1])
    assert together.shape == (3, *([task.positions] if task.positions > 1 else []), task.classes)
    assert together.isfinite().all()
    torch.testing.assert_close(together[:1], alone, rtol=1e-3, atol=1e-4)


@every_model
def test_its_taps_exist_and_are_used(name: str) -> None:
    model, seen = made(name), set()
    for role, path in MODELS[name].taps.items():
        model.get_submodule(path).register_forward_hook(lambda *_call, role=role: seen.add(role))
    with torch.no_grad():
        model(examples(name, 1))
    assert seen == set(MODELS[name].taps)


@every_model
def test_one_step_trains_every_weight(name: str) -> None:
    spec, inputs = MODELS[name], examples(name, 4)
    torch.manual_seed(0)
    model = spec.make().train()
    before = {key: value.clone() for key, value in model.named_parameters()}
    plan = FitPlan(1, spec.batch_size, spec.learning_rate, spec.weight_decay, 0, 0)
    optimizer = build_optimizer(model, plan)
    logits = flat(model(inputs))
    F.cross_entropy(logits, torch.arange(len(logits)) % 2).backward()
    optimizer.step()
    assert all(value.isfinite().all() for value in model.state_dict().values())
    still = [key for key, value in model.named_parameters() if torch.equal(value, before[key])]
    assert not still, f"these do not learn: {still}"


@every_model
def test_its_weights_survive_safetensors(name: str, tmp_path: Any) -> None:
    from safetensors.torch import load_model, save_model

    save_model(made(name), str(tmp_path / "weights.safetensors"))
    torch.manual_seed(7)
    again = MODELS[name].make().eval()
    load_model(again, str(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(again(examples(name, 2)), made(name)(examples(name, 2)), rtol=0, atol=0)


@every_model
def test_a_teacher_ships_weights_that_fit_and_know_the_answers(name: str) -> None:
    spec = MODELS[name]
    if spec.weights is None:
        assert spec.role != "teacher"
        return
    assert spec.weights.stat().st_size <= 4_000_000
    with safe_open(spec.weights, "pt") as stored:
        state = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - no mapping
    try:
        state = dict(spec.complete(state)) if spec.complete else state
    except NotInstalledError as problem:
        pytest.skip(str(problem))
    model = spec.make().eval()
    model.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
    task = TASKS[spec.tasks[0]]
    try:
        split, count = task.split("sample", "validation"), 80 if spec.complete else 400
    except NotInstalledError as problem:
        pytest.skip(str(problem))
    with torch.no_grad():
        logits = flat(model(split.inputs[:count]))
    quality = task.quality(logits, split.labels[:count].flatten()).value
    if task.direction == "maximize":
        assert quality > min(5 / task.classes, 0.9)
    else:
        assert quality < 0.6 * task.quality(torch.zeros_like(logits), split.labels[:count].flatten()).value
    assert math.isfinite(float(logits.abs().max()))
