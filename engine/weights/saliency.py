"""Gradient times weight: what removing a weight would change, to first order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.step import NO_LABEL
from engine.weights.constraint import constraints, original, weight_of

EXAMPLES = 32  # in each part: the fewer, the more of how much gradients differ enters squares


def products(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    batches: Sequence[tuple[Tensor, Tensor]],
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor],
) -> Iterator[dict[str, Tensor]]:
    """For each 32 examples of ``batches``: ``gradient * weight`` of every layer, by name (of the trained weight).

    BatchNorm uses each part's own statistics and remembers none. Without a label an example counts as what the
    model itself takes it for.
    """
    weights = {name: original(layer) if constraints(layer) else weight_of(layer) for name, layer in layers.items()}
    with _as_in_training(model):
        for inputs, labels in batches:
            for x, y in zip(torch.split(inputs, EXAMPLES), torch.split(labels, EXAMPLES), strict=True):
                cost = loss(model, x, known(model, x, y))
                found = torch.autograd.grad(cost, list(weights.values()), allow_unused=True)
                pairs = zip(weights.items(), found, strict=True)
                yield {n: torch.zeros_like(w) if g is None else g * w.detach() for (n, w), g in pairs}


def known(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """``labels`` with what the model itself answers where there is none."""
    if not bool((labels == NO_LABEL).any()):
        return labels
    with torch.no_grad():
        return labels.where(labels != NO_LABEL, model(inputs).argmax(-1))


def of_step(layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """The same from the gradients that a training step has left; nothing for a layer that took no part."""
    weights = {name: original(layer) for name, layer in layers.items()}
    return {name: w.grad * w.detach() for name, w in weights.items() if w.grad is not None}


@contextmanager
def _as_in_training(model: nn.Module) -> Iterator[None]:
    """Only BatchNorm in training mode, its running statistics given back afterwards."""
    modes = [(m, m.training) for m in model.modules()]
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    model.eval()
    for norm in norms:
        norm.train()
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
        for module, mode in modes:
            module.training = mode
