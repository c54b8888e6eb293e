"""Pruning by gradient times weight: what Taylor, SNIP and movement have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.stages._base import StageContext
from engine.stages._masking import Held
from engine.stages._scored import ScoredPruning
from engine.step import Step
from engine.weights import saliency
from engine.weights.constraint import Mask

REMEMBERED = 0.9  # of an average over steps, at each step


@dataclass(frozen=True)
class GradientPruning(ScoredPruning):
    """``memory`` holds a mean of a ``term`` of gradient times weight for each weight; the smallest go first."""

    def term(self, product: Tensor) -> Tensor:
        """What is averaged, from ``gradient * weight``."""
        raise NotImplementedError

    def watch(self, held: Held, model: nn.Module, context: StageContext) -> None:
        """The mean over the calibration examples."""
        layers = {name: layer for name, (_, layer) in held.items()}
        parts = list(saliency.products(model, layers, context.calibration, context.loss)) if layers else []
        for name in layers:
            self.memory[name] = torch.stack([self.term(part[name]) for part in parts]).mean(0)

    def before_step(self, step: Step) -> None:
        """Gradual: go on with each step's own gradients, in a running mean."""
        if self.gradual:
            for name, product in self.products(step).items():
                self.memory[name].mul_(REMEMBERED).add_(self.term(product), alpha=1 - REMEMBERED)

    def products(self, step: Step) -> Mapping[str, Tensor]:
        """``gradient * weight`` of this step, by layer name."""
        return saliency.of_step({name: layer for name, (_, layer) in self.masks(step.model).items()})

    def score(self, name: str, mask: Mask, layer: nn.Module) -> Tensor:
        """What was gathered, without its sign."""
        return self.memory[name].abs()
