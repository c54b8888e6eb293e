"""What a model costs besides time: bytes, parameters, non-zero ones, multiply-accumulates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.artifact.template import Built
from engine.result import Cost
from engine.weights.code import bake

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def cost(
    model: nn.Module, example: Tensor, built: Built, known_macs: int | None = None, baked: nn.Module | None = None
) -> Cost:
    """The cost of ``model`` (with its constraints and quantizers) and its artifact, without latencies.

    ``known_macs``: the operations of a model of these shapes, where they were counted before. ``baked``:
    ``bake(model)`` where somebody has made it already.
    """
    plain = baked or bake(model)
    parameters, nonzero = count(plain)
    operations = macs(plain, example) if known_macs is None else known_macs
    return Cost(len(built.onnx), len(built.packed()), parameters, nonzero, operations)


def count(model: nn.Module) -> tuple[int, int]:
    """Trainable parameters of a plain model as it stands (narrowed ones are gone), and those that are not zero.

    Weights, biases and BatchNorm's gamma and beta count; its running statistics don't. An artifact stores a little
    less: there BatchNorm has become part of weights and biases.
    """
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters), sum(int(torch.count_nonzero(p)) for p in parameters)


@torch.no_grad()
def macs(model: nn.Module, example: Tensor) -> int:
    """Multiply-accumulates of one example in convolutions and linear layers, shapes as they are after narrowing.

    Zeros in a dense kernel count: ONNX Runtime multiplies by them all the same.
    """
    total = 0

    def add(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        total += output[0].numel() * _macs_an_output(module)

    layers = [m for m in model.modules() if isinstance(m, (*CONVOLUTIONS, nn.Linear))]
    handles = [layer.register_forward_hook(add) for layer in layers]
    training = model.training
    try:
        model.eval()(example[:1])
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return total


def _macs_an_output(module: nn.Module) -> int:
    weight = module.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(module).__name__}.weight is no tensor")
    return weight[0].numel()  # inputs of one output: in / groups * kernel, or in_features
