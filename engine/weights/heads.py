"""What heads and blocks of a transformer are worth: how the loss would change without them, on calibration examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from engine.weights.attention import Attention, Skipped, put
from engine.weights.saliency import EXAMPLES, known

Batches = Sequence[tuple[Tensor, Tensor]]
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def effects(model: nn.Module, found: Sequence[Attention], batches: Batches, loss: Loss) -> dict[str, Tensor]:
    """For every attention block by name [groups]: the mean over examples of |dL / dg| at g = 1.

    g multiplies what a head gives to the output layer (Michel et al. 2019, arXiv:1905.10650, eq. 2). Heads of queries
    that share keys have one g. Without a label an example counts as what the model takes it for.
    """
    total = {a.name: torch.zeros(a.groups) for a in found}
    count = 0
    with _evaluating(model):
        for inputs, labels in batches:
            for x, y in zip(torch.split(inputs, EXAMPLES), torch.split(labels, EXAMPLES), strict=True):
                for name, slope in _slopes(model, found, x, known(model, x, y), loss).items():
                    # the loss is a mean over examples
                    total[name] += (slope * len(x)).abs().sum(0).cpu()
                count += len(x)
    return {name: value / max(count, 1) for name, value in total.items()}


def _slopes(model: nn.Module, found: Sequence[Attention], x: Tensor, y: Tensor, loss: Loss) -> dict[str, Tensor]:
    """dL / dg [examples, groups] of each block."""
    gates = {a.name: torch.ones(len(x), a.groups, device=x.device, requires_grad=True) for a in found}
    with ExitStack() as hooks:
        for attention in found:
            hooks.enter_context(_gated(attention, gates[attention.name]))
        slopes = torch.autograd.grad(loss(model, x, y), list(gates.values()))
    return dict(zip(gates, slopes, strict=True))


@contextmanager
def _gated(attention: Attention, gate: Tensor) -> Iterator[None]:
    """What the output layer reads, [B, T, heads * size], times ``gate`` [B, groups]."""

    def multiply(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        heads = inputs[0].view(*inputs[0].shape[:-1], gate.shape[1], -1)
        return ((heads * gate[:, None, :, None]).flatten(-2),)

    hook = attention.out.register_forward_pre_hook(multiply)
    try:
        yield
    finally:
        hook.remove()


def least_missed(model: nn.Module, blocks: Sequence[str], count: int, batches: Batches, loss: Loss) -> list[str]:
    """The ``count`` blocks whose absence raises the loss least, found one by one, each without those before."""
    gone: list[str] = []
    with _evaluating(model), torch.no_grad():
        told = [(x, known(model, x, y)) for x, y in batches]
        for _ in range(count):
            rest = [b for b in blocks if b not in gone]
            without = {b: _loss_without(model, [*gone, b], told, loss) for b in rest}
            gone.append(min(without, key=lambda b: without[b]))
    return sorted(gone, key=list(blocks).index)


def _loss_without(model: nn.Module, gone: Sequence[str], batches: Batches, loss: Loss) -> float:
    with _skipping(model, gone):
        return sum(float(loss(model, x, y)) * len(x) for x, y in batches)


@contextmanager
def _skipping(model: nn.Module, gone: Sequence[str]) -> Iterator[None]:
    """The model without these blocks, for a while."""
    kept: Mapping[str, nn.Module] = {path: model.get_submodule(path) for path in gone}
    try:
        for path in gone:
            put(model, path, Skipped())
        yield
    finally:
        for path, block in kept.items():
            put(model, path, block)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
