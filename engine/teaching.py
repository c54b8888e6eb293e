"""Teachers' outputs on a split, computed once: shipped with the project, kept in the home, or made now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from engine import catalogue, registry
from engine.errors import FileError
from engine.files import atomic_write
from engine.home import Home
from engine.model_spec import ModelSpec
from engine.recipe import Recipe
from engine.step import flat
from engine.tasks._base import Task

BATCH, BATCH_TOKENS = 500, 1024  # a forward: images, and as many texts as fit a cache with so many tokens

Trainer = Callable[[Recipe], nn.Module]
OnBatch = Callable[[int, int], None]


def _nothing(_done: int, _all: int) -> None:
    pass


def load_teacher(name: str) -> nn.Module:
    """A shipped teacher in eval mode; a truncated or altered weights file raises :class:`FileError`.

    One that builds on weights that do not come with the project raises :class:`NotInstalledError` without them.
    """
    spec: ModelSpec = registry.get("models", name)
    model = spec.make()
    if spec.weights is None:
        raise FileError(f"the model {name} ships no weights, so it cannot teach")
    try:
        content = spec.weights.read_bytes()
        _verify(name, content)
        state = load(content)
        model.load_state_dict(spec.complete(state) if spec.complete else state, strict=True)
    except (SafetensorError, RuntimeError, OSError, ValueError) as problem:
        raise FileError(
            f"{spec.weights.name} is damaged or not this teacher's ({_first_line(problem)}); "
            "restore it from the repository, or train it again and run `make catalogue`"
        ) from None
    return model.eval()


def outputs(
    home: Home, task: Task, data: str, teacher: str | Recipe, split: str, train: Trainer, on_batch: OnBatch = _nothing,
    device: torch.device | str = "cpu",
) -> Tensor:  # fmt: skip
    """Logits [N, ..., classes] of ``teacher`` on ``split``; ``train`` makes a teacher that is itself a recipe.

    Those of several positions an example are many, and come in half precision. ``device`` computes them where they are
    not known; they come back to the CPU.
    """
    if isinstance(teacher, str):
        shipped = task.shipped_outputs(teacher, data, split)
        if shipped is not None:
            return shipped if shipped.ndim > 2 else shipped.float()
    path = home.cache("teacher") / f"{_key(task, data, teacher)}-{split}.safetensors"
    kept = _read(path)
    if kept is not None:
        return kept
    model = load_teacher(teacher) if isinstance(teacher, str) else train(teacher)
    logits = _rows(model.to(device), task.split(data, split).inputs, on_batch, half=task.positions > 1)
    atomic_write(path, save({"logits": logits}))
    return logits


def forward(model: nn.Module, inputs: Tensor) -> Tensor:
    """Logits [M, classes] of ``model`` in eval mode, on the device of ``inputs``; the model computes where it is."""
    return flat(_rows(model, inputs))


@torch.no_grad()
def _rows(model: nn.Module, inputs: Tensor, on_batch: OnBatch = _nothing, half: bool = False) -> Tensor:
    """[N, ..., classes], in half precision where ``half``; ``on_batch(done, all)`` is called after each batch."""
    batch = BATCH if inputs.is_floating_point() else max(1, BATCH_TOKENS // inputs.shape[1])
    was_training, there = model.training, next(model.parameters(), inputs).device
    model.eval()
    chunks, found = torch.split(inputs, batch), []
    with torch.nn.utils.parametrize.cached():
        for number, chunk in enumerate(chunks, 1):
            answer = model(chunk.to(there)).to(inputs.device)
            found.append(answer.half() if half else answer)
            on_batch(number, len(chunks))
    model.train(was_training)
    return torch.cat(found)


def _verify(name: str, content: bytes) -> None:
    """Weights whose hash is not the catalogue's would give results under a key that names other weights."""
    expected = catalogue.current().row("models", name)["weights_sha256"]
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError("its SHA-256 is not the catalogue's")


def _key(task: Task, data: str, teacher: str | Recipe) -> str:
    if isinstance(teacher, Recipe):
        return f"{teacher.key}-{data}"
    spec = registry.get("models", teacher)
    text = f"{task.name} {task.hashes.get(data, '')} {teacher} {spec.facts()['weights_sha256']}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(path: object) -> Tensor | None:
    try:
        with open(str(path), "rb") as file:
            return load(file.read())["logits"]
    except (OSError, SafetensorError, KeyError):
        return None


def _first_line(problem: Exception) -> str:
    return str(problem).splitlines()[0][:120]
