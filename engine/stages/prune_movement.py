"""Unstructured pruning by where training takes each weight: towards zero or away from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._gradients import GradientPruning
from engine.stages._masking import SCHEDULES, Held
from engine.step import Step
from engine.weights.constraint import Mask
from engine.weights.sparsity import SCOPES


@register
@dataclass(frozen=True)
class PruneMovement(GradientPruning):
    """The sum over training of minus gradient times weight."""

    name = "prune_movement"
    title = "Prune by movement"
    help = (
        "Watches training: a weight that the gradient keeps pushing towards zero goes, one that it pushes away stays, "
        "however small it is. Made for the phase in which a trained network is tuned further or taught; it needs "
        "epochs, and a pruned weight does not come back."
    )
    formula = r"S_i = -\sum_{t} \frac{\partial L_t}{\partial w_i}\,w_i,\qquad m_i = [\,S_i > \tau\,]"
    source = (
        "Sanh et al. 2020, arXiv:2005.07683, eq. 1 to 5 (there masked weights may return); gradual: Zhu & Gupta 2017, "
        "arXiv:1710.01878, eq. 1"
    )
    expect = (
        "Pays when few weights shall stay (under a fifth) and the phase changes what the network does. In a short "
        "phase on the same task the movements are mostly noise, and pruning small weights is better."
    )
    needs_epochs = {"schedule": SCHEDULES}

    scope: str = knob(
        "layer",
        choices=SCOPES,
        help="Take the same fraction of every layer (layer, as the source does), or rank all together (global).",
    )
    schedule: str = knob(
        "gradual",
        choices=SCHEDULES,
        help="Prune little by little during the first three quarters of the phase, or once, at its end.",
    )

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Nothing has moved yet: only note where the sparsity starts."""
        self.begin(model, context)

    def watch(self, held: Held, model: nn.Module, context: StageContext) -> None:
        """Sums from zero."""
        self.memory.update(
            {name: torch.zeros(mask.mask.shape, device=mask.mask.device) for name, (mask, _) in held.items()}
        )

    def before_step(self, step: Step) -> None:
        """Add this step's movement."""
        for name, product in self.products(step).items():
            self.memory[name].sub_(product)

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Once: now that the phase has shown the movements. Gradual: reach the exact sparsity."""
        self.prune(model, self.share)

    def score(self, name: str, mask: Mask, layer: nn.Module) -> Tensor:
        """The sum with its sign: towards zero is negative."""
        return self.memory[name]
