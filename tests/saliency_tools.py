"""Gradient times weight the long way round: through a factor on each weight, by torch.func."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import small_nets
import torch
from torch import Tensor, nn
from torch.func import functional_call

PRUNED = ("blocks.1.depthwise", "blocks.1.pointwise", "head")


def gated(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> list[dict[str, Tensor]]:
    """``dL(c * w) / dc`` at c = 1 for every 32 examples, by layer name; BatchNorm on each part's own statistics."""
    found = []
    for x, y in ((a, b) for pair in batches for a, b in zip(*(torch.split(t, 32) for t in pair), strict=True)):
        plain = copy.deepcopy(model).train()
        weights = {n: p.detach() for n, p in plain.named_parameters()}
        gates = {n: torch.ones_like(weights[f"{n}.weight"], requires_grad=True) for n in PRUNED}
        gatable = weights | {f"{n}.weight": g * weights[f"{n}.weight"] for n, g in gates.items()}
        loss = nn.functional.cross_entropy(functional_call(plain, gatable, (x,)), y)
        found.append(dict(zip(gates, torch.autograd.grad(loss, list(gates.values())), strict=True)))
    return found


def watched(name: str, model: nn.Module, **knobs: object) -> dict[str, Tensor]:
    """What the stage has gathered about each layer after its preparation."""
    one = small_nets.stage(name, **knobs)
    one.attach(model, [])
    one.prepare(model, small_nets.context())
    return one.memory  # type: ignore[attr-defined, no-any-return]


def reference_masks(model: nn.Module, scores: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """The masks of torch.nn.utils.prune for these scores, all layers together."""
    from torch.nn.utils import prune

    plain = copy.deepcopy(model)
    pairs = [(plain.get_submodule(n), "weight") for n in scores]
    importance = dict(zip(pairs, scores.values(), strict=True))
    prune.global_unstructured(pairs, prune.L1Unstructured, importance_scores=importance, amount=share)
    return {n: plain.get_submodule(n).weight_mask.bool() for n in scores}
