"""What arrives at layers on calibration batches: how large each input is, and how inputs go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.weights.reconstruction import columns

Batches = Sequence[tuple[Tensor, Tensor]]


def squared_norms(model: nn.Module, layers: Sequence[nn.Module], batches: Batches) -> list[Tensor]:
    """For each layer the sum of squares of every input over all rows, [groups, K]; zeros for one that is not called.

    A row is a place in a text or of an image, an example for a plain linear layer; K inputs meet one output's weights.
    """
    return _sums(model, layers, batches, lambda x: x.square().sum(2))


def mean_magnitudes(model: nn.Module, layers: Sequence[nn.Module], batches: Batches) -> list[Tensor]:
    """For each layer the mean magnitude of every input over all rows, [groups, K]."""
    return _means(model, layers, batches, lambda x: x.abs().sum(2))


def second_moments(model: nn.Module, layers: Sequence[nn.Module], batches: Batches) -> list[Tensor]:
    """For each layer ``E[x x^T]`` of its inputs, [groups, K, K]."""
    return _means(model, layers, batches, lambda x: torch.bmm(x, x.transpose(1, 2)))


def largest_magnitudes(model: nn.Module, layers: Sequence[nn.Module], batches: Batches) -> list[Tensor]:
    """For each layer the largest magnitude of every input, [groups, K]."""
    found: dict[int, Tensor] = {}

    def take(number: int, x: Tensor) -> None:
        largest = x.abs().amax(2)
        found[number] = torch.maximum(found[number], largest) if number in found else largest

    read(model, layers, batches, take)
    return [found.get(number, _none(layer)) for number, layer in enumerate(layers)]


@torch.no_grad()
def by_input(model: nn.Module, layers: Sequence[nn.Module], inputs: Tensor) -> list[list[nn.Module]]:
    """``layers`` in the order in which the model first calls them, those together that read the very same tensor.

    Those that it does not call are left out.
    """
    called: list[tuple[nn.Module, Tensor]] = []
    handles = [m.register_forward_pre_hook(lambda m, args: called.append((m, args[0]))) for m in layers]
    training = model.training
    model.eval()
    try:
        model(inputs)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    first = dict(reversed(called))
    found: dict[int, list[nn.Module]] = {}
    for layer in dict.fromkeys(layer for layer, _ in called):
        found.setdefault(id(first[layer]), []).append(layer)
    return list(found.values())


@torch.no_grad()
def read(model: nn.Module, layers: Sequence[nn.Module], batches: Batches, take: Callable[[int, Tensor], None]) -> None:
    """Call ``take(number of the layer, [groups, K, rows])`` whenever a layer runs, the model in eval mode."""
    handles = [
        layer.register_forward_pre_hook(lambda layer, args, i=i: take(i, columns(layer, args[0])))
        for i, layer in enumerate(layers)
    ]
    training = model.training
    model.eval()
    try:
        with parametrize.cached():
            for inputs, _ in batches:
                model(inputs)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()


def _sums(
    model: nn.Module, layers: Sequence[nn.Module], batches: Batches, of: Callable[[Tensor], Tensor], mean: bool = False
) -> list[Tensor]:
    found: dict[int, Tensor] = {}
    rows = [0] * len(layers)

    def take(number: int, x: Tensor) -> None:
        found[number] = found[number] + of(x) if number in found else of(x)
        rows[number] += x.shape[2]

    read(model, layers, batches, take)
    sums = [found.get(number, of(_none(layer)[..., None])) for number, layer in enumerate(layers)]
    return [total / max(count, 1) for total, count in zip(sums, rows, strict=True)] if mean else sums


def _means(
    model: nn.Module, layers: Sequence[nn.Module], batches: Batches, of: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    return _sums(model, layers, batches, of, mean=True)


def _none(layer: nn.Module) -> Tensor:
    """No input seen: zeros [groups, K]."""
    weight = layer.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(layer).__name__}.weight is no tensor")
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return torch.zeros(groups, weight[0].numel(), device=weight.device)
