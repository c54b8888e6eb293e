"""Unstructured pruning by chance: the control that every other way of choosing weights has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._masking import Held
from engine.stages._scored import ScoredPruning
from engine.weights.constraint import Mask


@register
@dataclass(frozen=True)
class PruneRandom(ScoredPruning):
    """Every weight draws a number before the phase; the smallest numbers go first."""

    name = "prune_random"
    title = "Prune at random"
    help = (
        "Sets weights to zero by lot, without looking at them. That is the control for every other pruning: a method "
        "that does no better than this has learned nothing about which weights matter. At the start of a first phase "
        "that trains it is a random sparse network, trained from scratch."
    )
    formula = r"u_i \sim \mathcal{U}(0, 1),\quad m_i = [\,u_i > t\,],\; t \text{ such that } \sum_i (1 - m_i) = s\,n"
    source = "The control of Frankle & Carbin 2019, arXiv:1803.03635, and of Gale et al. 2019, arXiv:1902.09574"
    expect = (
        "Without training it ruins a network at zeros that pruning small weights hardly shows (at half already). "
        "Trained afterwards it comes surprisingly near at 50 % zeros; the gap opens at 80 % and more."
    )

    def watch(self, held: Held, model: nn.Module, context: StageContext) -> None:
        """One number a weight: gradual pruning ends with the same zeros as pruning at once."""
        for name, (mask, _) in held.items():
            self.memory[name] = torch.rand(mask.mask.shape, generator=context.generator).to(mask.mask.device)

    def score(self, name: str, mask: Mask, layer: nn.Module) -> Tensor:
        """The number that was drawn."""
        return self.memory[name]
