"""Estimating BatchNorm's running statistics again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize


@torch.no_grad()
def restimate(model: nn.Module, norms: Sequence[_BatchNorm], batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Running mean and variance of ``norms`` from scratch, as the plain average over ``batches`` (inputs, labels).

    Weights do not move; only ``norms`` are in training mode. Every mode and momentum is as before afterwards.
    """
    kept = [n for n in norms if n.track_running_stats and n.running_mean is not None]
    if not kept:
        return
    modes = [(m, m.training) for m in model.modules()]
    momenta = [n.momentum for n in kept]
    model.eval()
    for norm in kept:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for the cumulative average
        norm.train()
    with parametrize.cached():  # masked and rounded weights are worked out once, not for every batch
        for inputs, _ in batches:
            model(inputs)
    for norm, momentum in zip(kept, momenta, strict=True):
        norm.momentum = momentum
    for module, mode in modes:
        module.training = mode
