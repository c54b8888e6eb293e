"""Sparse training: how many weights each layer keeps, which of them go, and which come in their place."""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def erdos_renyi(shapes: Mapping[str, Sequence[int]], sparsity: float) -> dict[str, int]:
    """How many weights each layer keeps so that ``sparsity`` of all are zero: dense where layers are small.

    The density of a layer is proportional to the sum of its sides over their product (of a convolution the sides of
    its filters too), at most one. Source: Mocanu et al. 2018 (arXiv:1707.04780), eq. 1; Evci et al. 2020
    (arXiv:1911.11134), section 3.1.
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    wanted, full = round((1 - sparsity) * sum(sizes.values())), set[str]()
    while True:
        left = wanted - sum(sizes[name] for name in full)
        rest = sum(raw[name] * sizes[name] for name in raw if name not in full)
        scale = left / rest if rest else 0.0
        over = {name for name in raw if name not in full and scale * raw[name] > 1}
        if not over:
            return {n: sizes[n] if n in full else round(scale * raw[n] * sizes[n]) for n in sizes}
        full |= over


def cosine_share(progress: float, first: float, end: float) -> float:
    """The share of weights that is exchanged: ``first`` at 0, falling along half a cosine to 0 at ``end``."""
    return first / 2 * (1 + math.cos(math.pi * min(progress / end, 1.0)))


def exchange(mask: Tensor, allowed: Tensor, weight: Tensor, wish: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """``(mask, grown)``: of the kept weights the ``share`` of smallest magnitude goes, and as many come back.

    Those of largest ``wish`` come, out of what was masked before and is ``allowed``; where too few are, fewer go. So
    the number of kept weights stays. Source: Evci et al. 2020 (arXiv:1911.11134), algorithm 1.
    """
    free = (allowed & ~mask).flatten()
    count = min(round(share * int(mask.sum())), int(free.sum()))
    goes = weight.abs().masked_fill(~mask, math.inf).flatten().argsort(stable=True)[:count]
    comes = wish.flatten().masked_fill(~free, -math.inf).argsort(descending=True, stable=True)[:count]
    made, grown = mask.flatten().clone(), torch.zeros_like(free)
    made[goes] = False
    made[comes] = grown[comes] = True
    return made.view_as(mask), grown.view_as(mask)


def random_masks(
    allowed: Mapping[str, Tensor], counts: Mapping[str, int], generator: torch.Generator
) -> dict[str, Tensor]:
    """Masks that keep ``counts`` places of each layer, drawn by lot from those ``allowed`` (where few, all)."""
    made = {}
    for name, places in allowed.items():
        lots = torch.rand(places.shape, generator=generator).to(places.device).masked_fill(~places, -1.0).flatten()
        kept = torch.zeros_like(places).flatten()
        kept[lots.argsort(descending=True, stable=True)[: counts[name]]] = True
        made[name] = kept.view_as(places) & places
    return made


def listen(mask: nn.Module, gradients: MutableMapping[str, Tensor], name: str) -> Any:
    """Put the gradient of what leaves ``mask`` under ``name``: it is there for masked weights too. A hook to remove."""

    def keep(gradient: Tensor) -> None:
        gradients[name] = gradients[name] + gradient if name in gradients else gradient.clone()

    def after(_mask: nn.Module, _weights: Any, weight: Any) -> None:
        if weight.requires_grad:
            weight.register_hook(keep)

    return mask.register_forward_hook(after)


def restart(weight: Tensor, grown: Tensor, states: Mapping[Any, Mapping[str, Any]]) -> None:
    """Zero where ``grown``, without the momentum of what stood there before."""
    moments = (v for v in states.get(weight, {}).values() if isinstance(v, Tensor) and v.shape == weight.shape)
    for tensor in (weight, *moments):
        tensor.masked_fill_(grown, 0.0)
