"""Unstructured pruning: the weights of smallest magnitude become zero and stay zero."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import Stage, StageContext
from engine.step import Step
from engine.weights.constraint import Mask, add, find, incoming
from engine.weights.sparsity import SCOPES, cubic_sparsity, magnitude_mask, sparsity_of

SCHEDULES = ("one_shot", "gradual")
BEGIN, END = 0.0, 0.75  # of the phase: the last quarter repairs under the final mask
UPDATES = 60  # at most, in a whole phase: often enough for a smooth curve, seldom enough to cost nothing


@register
@dataclass(frozen=True)
class PruneMagnitude(Stage):
    """Masks over the weights of convolutions and linear layers."""

    name = "prune_magnitude"
    title = "Prune small weights"
    help = (
        "Sets the smallest weights to zero. The file shrinks because zeros pack well; it is no faster here, because "
        "the kernels multiply zeros like any other number. Biases and BatchNorm are left alone, and so is the first "
        "convolution unless you say otherwise. Repeating it adds zeros and never brings a weight back."
    )
    formula = r"m_i = [\,|w_i| > t\,],\quad s_t = s_f + (s_i - s_f)\left(1 - \frac{t - t_0}{n\,\Delta t}\right)^3"
    source = "Han et al. 2015, arXiv:1506.02626 (magnitude); Zhu & Gupta 2017, arXiv:1710.01878, eq. 1 (gradual)"
    expect = (
        "Half of the weights of a small network can go at a cost of a point or two; gradually, while training, four "
        "fifths. Without training, recalibrate BatchNorm afterwards: it repairs most of the damage."
    )
    order = "mask"
    needs_epochs = {"schedule": ("gradual",)}

    sparsity: float = knob(0.5, 0.0, 0.99, step=0.05, help="Fraction of the weights that become zero.")
    scope: str = knob(
        "global",
        choices=SCOPES,
        help="Rank all layers together (global), or take the same fraction of every layer (layer).",
    )
    schedule: str = knob(
        "one_shot",
        choices=SCHEDULES,
        help="Prune at once before the phase, or little by little during its first three quarters (needs epochs).",
    )
    keep_first: bool = knob(
        True, help="Leave the first convolution dense: it has few weights and every later layer depends on them."
    )

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """A mask on each layer that has none yet."""
        for _, layer in self._layers(model):
            if find(layer, Mask) is None:
                add(layer, Mask(layer.weight))  # type: ignore[arg-type]

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """One shot: prune now. Gradual: note where the sparsity starts."""
        held = self._masks(model)
        start = sparsity_of([mask.mask for mask, _ in held.values()])
        for mask, _ in held.values():
            mask.initial.fill_(start)
        if self.schedule == "one_shot":
            self._prune(model, self.sparsity)

    def after_step(self, step: Step) -> None:
        """Gradual: raise the sparsity along the cubic curve, at most 60 times in the phase."""
        if self.schedule == "gradual" and _due(step):
            held = self._masks(step.model)
            start = max((float(mask.initial) for mask, _ in held.values()), default=0.0)
            self._prune(step.model, cubic_sparsity(step.progress, start, max(self.sparsity, start), BEGIN, END))

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Gradual: reach the exact sparsity even when the phase was too short for the curve."""
        if self.schedule == "gradual":
            self._prune(model, self.sparsity)

    def _prune(self, model: nn.Module, sparsity: float) -> None:
        held = self._masks(model)
        # what is masked already counts as zero, so it is taken first and the masks only tighten
        weights = {name: mask(incoming(layer, mask)) for name, (mask, layer) in held.items()}
        for name, kept in magnitude_mask(weights, sparsity, self.scope).items():
            held[name][0].tighten(kept)

    def _masks(self, model: nn.Module) -> dict[str, tuple[Mask, nn.Module]]:
        found = ((name, find(layer, Mask), layer) for name, layer in self._layers(model))
        return {name: (mask, layer) for name, mask, layer in found if mask is not None}

    def _layers(self, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        first = next((name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)), None)
        for name, layer in self.selected(model, (nn.Conv2d, nn.Linear)):
            if not (self.keep_first and name == first):
                yield name, layer


def _due(step: Step) -> bool:
    """Whether the phase enters another of its 60 parts with this step."""
    if step.number == 0 or step.progress > END + 2.0 / UPDATES:
        return False
    before = step.progress * (step.number - 1) / step.number
    return math.floor(step.progress * UPDATES) > math.floor(before * UPDATES)
