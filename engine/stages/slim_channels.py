"""Training that makes channels dispensable: a penalty on what each channel is multiplied by, or on its whole filter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import Stage
from engine.weights.constraint import weight_of

TARGETS = ("batchnorm", "group_lasso")


@register
@dataclass(frozen=True)
class SlimChannels(Stage):
    """A penalty only; removing the channels that it has made weak is for a later phase with ``prune_channels``."""

    name = "slim_channels"
    title = "Train channels to be dispensable"
    help = (
        "While the phase trains, pulls the scale of every channel (BatchNorm's gamma) towards zero, or the filter that "
        "computes it as a whole. Channels that the network can do without give in and the others resist. Nothing is "
        "removed yet: let a phase with the removal of channels follow, scored by batchnorm or by magnitude."
    )
    formula = (
        r"L + \lambda \sum_{c} |\gamma_c| \qquad\text{or}\qquad L + \lambda \sum_c \sqrt{n_c}\,\lVert W_c \rVert_2,"
        r"\ n_c \text{ the weights of filter } c"
    )
    source = (
        "Liu et al. 2017 (network slimming), arXiv:1708.06519, eq. 1; Wen et al. 2016 (group lasso on filters), "
        "arXiv:1608.03665, eq. 3; Yuan & Lin 2006, doi:10.1111/j.1467-9868.2005.00532.x (factor of the group's size)"
    )
    expect = (
        "Scales spread out: some fall close to zero, so that their removal costs less than that of channels chosen "
        "after ordinary training. Too strong a pull costs accuracy before anything is removed."
    )
    order = "shape"
    modalities = ("image",)
    needs_epochs = {"target": TARGETS}

    target: str = knob(
        "batchnorm", choices=TARGETS, help="What is pulled: scales of norms, or filters of convolutions (group lasso)."
    )
    strength: float = knob(1e-3, 0.0, 1.0, help="How strongly it is pulled towards zero.")

    def penalty(self, model: nn.Module) -> Tensor | float:
        """The strength times the sum over channels."""
        return self.strength * sum(self._of_scales(model) if self.target == "batchnorm" else self._of_filters(model))

    def _of_scales(self, model: nn.Module) -> list[Tensor]:
        norms = (m for _, m in self.selected(model, (_BatchNorm,)) if isinstance(m.weight, Tensor))
        return [weight_of(norm).abs().sum() for norm in norms]

    def _of_filters(self, model: nn.Module) -> list[Tensor]:
        weights = [weight_of(layer).flatten(1) for _, layer in self.selected(model, (nn.Conv2d,))]
        return [math.sqrt(w.shape[1]) * torch.linalg.vector_norm(w, dim=1).sum() for w in weights]
