"""What a channel is worth: scores [C] of the groups that a dependency graph (torch-pruning) finds; which channels go.

A group holds all slices of all layers that must be removed together when one channel goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

READERS = (tp.prune_conv_in_channels, tp.prune_linear_in_channels)


def magnitude(group: Any) -> Tensor:
    """The mean over the group's layers of the channel's squared L2 norm, as torch-pruning computes it."""
    scores: Tensor = tp.importance.GroupMagnitudeImportance(p=2)(group)
    return scores


def batchnorm(group: Any) -> Tensor | None:
    """The mean over the group's norms of |gamma|; None where it has none (Liu et al. 2017, arXiv:1708.06519)."""
    scores = torch.zeros(width(group))
    count = 0
    for layer, _, own, root in members(group):
        if isinstance(layer, _BatchNorm) and layer.weight is not None:
            scores.index_add_(0, root, layer.weight.detach().abs().cpu()[own])
            count += 1
    return scores / count if count else None


def readers(group: Any) -> Iterator[tuple[nn.Module, Tensor, Tensor]]:
    """Layers that read the group's channels: (layer, its inputs, the channel of each)."""
    for layer, handler, own, root in members(group):
        if handler in READERS:
            yield layer, own, root


def taylor(group: Any, effects: Mapping[nn.Module, Tensor]) -> Tensor | None:
    """The mean over batches of (the loss's first-order change when nothing reads the channel any more) squared.

    ``effects``: :func:`by_input` of every layer that reads. Without the weights that read it a channel is gone, whoever
    wrote it: their products add up, before the square (Molchanov et al. 2019, arXiv:1906.10771, section 3, gates). None
    for a group that no layer reads.
    """
    total: Tensor | None = None
    for layer, own, root in readers(group):
        effect = effects[layer]
        total = torch.zeros(len(effect), width(group)) if total is None else total
        total.index_add_(1, root, effect[:, own])
    return None if total is None else total.square().mean(0)


def by_input(products: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """[batches, inputs] of every layer by name: ``gradient * weight`` summed over all weights of an input channel."""
    sums = [{n: p.transpose(0, 1).flatten(1).sum(1).cpu() for n, p in part.items()} for part in products]
    return {name: torch.stack([part[name] for part in sums]) for name in (sums[0] if sums else ())}


def weakest(scores: Sequence[Tensor], share: float, together: bool) -> list[list[int]]:
    """For each group the ``round(share * C)`` channels of lowest score, ascending; one of a group stays at least.

    ``together``: as many of all groups' channels, wherever they are.
    """
    if not together:
        return [_lowest(s, min(round(share * len(s)), len(s) - 1)) for s in scores]
    safe = [s.index_fill(0, s.argmax(), torch.inf) for s in scores]
    sizes = [len(s) for s in scores]
    gone = _lowest(torch.cat(safe), min(round(share * sum(sizes)), sum(sizes) - len(sizes))) if safe else []
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [[i - a for i in gone if a <= i < a + n] for a, n in zip(starts, sizes, strict=True)]


def width(group: Any) -> int:
    """The number of channels of the group's first layer."""
    return len(group[0].idxs)


def members(group: Any) -> Iterator[tuple[nn.Module, Any, Tensor, Tensor]]:
    """(layer, pruning function, its indices, the group's channel of each) of every layer in the group."""
    for item in group:
        yield item.dep.target.module, item.dep.handler, torch.tensor(item.idxs), torch.tensor(item.root_idxs)


def _lowest(scores: Tensor, count: int) -> list[int]:
    return sorted(int(i) for i in torch.argsort(scores, stable=True)[:count])
