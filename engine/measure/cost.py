"""What a model costs besides time: bytes, parameters, non-zero ones, multiply-accumulates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.artifact.template import Built
from engine.measure.products import macs
from engine.result import Cost
from engine.weights.code import bake

__all__ = ["cost", "count", "macs"]


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

    Weights, biases and BatchNorm's gamma and beta count; its running statistics don't. A tensor that several layers
    share counts once, as a table of words that is the last layer, too. An artifact stores a little less: there
    BatchNorm has become part of weights and biases.
    """
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters), sum(int(torch.count_nonzero(p)) for p in parameters)
