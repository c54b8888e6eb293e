"""The shipped student as a PyTorch model: its artifact's weights, with BatchNorm statistics measured anew.

The artifact holds each norm folded into the convolution before it. Here every norm gets the mean and variance that its
channels really have, and a scale and offset that undo them, so that the function is the artifact's own.
"""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from engine import registry
from engine.artifact import decoder
from engine.home import Home
from engine.recipe import Recipe
from engine.workbench import Bench
from sample_models._blocks import PositiveBatchNorm2d

STUDENT, LAYER, TASK = "plain_10k", "blocks.1.conv", "fashion_mnist"
FOLDER = Path(__file__).with_name("shipped")


def recipe(phases: list[dict[str, Any]]) -> Recipe:
    """A recipe of the shipped student with these phases."""
    return Recipe.from_json({"task": TASK, "student": STUDENT, "phases": phases})


def shipped_student(student: str = STUDENT) -> nn.Module:
    """A dense shipped student of the plain family in eval mode; a fresh copy at each call."""
    return copy.deepcopy(_unpacked(student))


@functools.cache
def _unpacked(student: str) -> nn.Module:
    index = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    key = next(row["key"] for row in index if row["student"] == student and row["dense"])
    graph = onnx.load_from_string(decoder.decode((FOLDER / f"{key}.packed").read_bytes())).graph
    kept = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    model = registry.get("models", student).make().eval()
    state = model.state_dict()
    for name in list(state):
        if name in kept:
            state[name].copy_(kept[name])
    for path, norm in norms(model).items():
        _neutral(norm, kept[path.removesuffix("norm") + "conv.bias"])
    _measured(model)
    return model.to(memory_format=torch.channels_last)


def norms(model: nn.Module) -> dict[str, PositiveBatchNorm2d]:
    """The norms of a plain student by path."""
    return {path: m for path, m in model.named_modules() if isinstance(m, PositiveBatchNorm2d)}


@torch.no_grad()
def _neutral(norm: PositiveBatchNorm2d, bias: Tensor) -> None:
    """x + bias."""
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1.0)
    norm.bias.copy_(bias)


@torch.no_grad()
def _measured(model: nn.Module) -> None:
    """The same function with the statistics that 512 training images give."""
    seen: dict[nn.Module, Tensor] = {}
    hooks = [n.register_forward_pre_hook(lambda m, x: seen.__setitem__(m, x[0])) for n in norms(model).values()]
    batches = Bench(recipe([{"epochs": 1}]), Home.locate()).calibration
    model(torch.cat([inputs for inputs, _ in batches]))
    for hook in hooks:
        hook.remove()
    for norm in norms(model).values():
        norm.running_mean.copy_(seen[norm].mean((0, 2, 3)))
        norm.running_var.copy_(seen[norm].var((0, 2, 3), unbiased=False))
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.add_(norm.running_mean)
