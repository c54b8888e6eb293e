"""What all stages that mask weights share: which layers, when (at once or little by little), exactly how many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from engine.stages._base import Stage, StageContext
from engine.step import Step
from engine.weights.constraint import Mask, add, find
from engine.weights.sparsity import cubic_sparsity, sparsity_of

SCHEDULES = ("one_shot", "gradual")
BEGIN, END = 0.0, 0.75  # of the phase: the last quarter repairs under the final mask
UPDATES = 60  # at most, in a whole phase: often enough for a smooth curve, seldom enough to cost nothing
SCHEDULE_HELP = "Prune at once before the phase, or little by little during its first three quarters (needs epochs)."
FIRST_HELP = "Leave the first convolution dense: it has few weights and every later layer depends on them."

Held = dict[str, tuple[Mask, nn.Module]]


@dataclass(frozen=True)
class Masking(Stage):
    """Masks over the weights of convolutions and linear layers, which only ever tighten.

    A subclass says what a weight is worth (``score``), what goes for a given share of zeros (``keeps``) and, by its
    knobs, ``share``, ``gradual`` and ``dense_first``. ``memory`` is what it gathers during one phase, by layer name.
    """

    order = "mask"
    needs_epochs = {"schedule": ("gradual",)}

    memory: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def share(self) -> float:
        """The fraction of the weights that is zero in the end."""
        raise NotImplementedError

    @property
    def gradual(self) -> bool:
        """Whether to prune little by little while training."""
        raise NotImplementedError

    @property
    def dense_first(self) -> bool:
        """Whether to leave the first convolution alone."""
        raise NotImplementedError

    def keeps(self, scores: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
        """Masks (True = kept) by layer; what is masked already has a score of minus infinity."""
        raise NotImplementedError

    def score(self, name: str, mask: Mask, layer: nn.Module) -> Tensor:
        """How much each weight of a layer is worth: any scale, the smallest go first."""
        raise NotImplementedError

    def watch(self, held: Held, model: nn.Module, context: StageContext) -> None:
        """Fill ``memory`` before the phase, for scores that are not in the weights themselves."""

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """A mask on each layer that has none yet."""
        for _, layer in self.layers_of(model):
            if find(layer, Mask) is None:
                add(layer, Mask(layer.weight))  # type: ignore[arg-type]

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """One shot: prune now. Gradual: note where the sparsity starts."""
        self.begin(model, context)
        if not self.gradual:
            self.prune(model, self.share)

    def begin(self, model: nn.Module, context: StageContext) -> None:
        """Note where the sparsity starts and what this phase's scores start from."""
        held = self.masks(model)
        start = sparsity_of([mask.mask for mask, _ in held.values()])
        for mask, _ in held.values():
            mask.initial.fill_(start)
        self.memory.clear()
        self.watch(held, model, context)

    def after_step(self, step: Step) -> None:
        """Gradual: raise the sparsity along the cubic curve, at most 60 times in the phase."""
        if self.gradual and due(step):
            held = self.masks(step.model)
            start = max((float(mask.initial) for mask, _ in held.values()), default=0.0)
            self.prune(step.model, cubic_sparsity(step.progress, start, max(self.share, start), BEGIN, END))

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Gradual: reach the exact sparsity even when the phase was too short for the curve."""
        if self.gradual:
            self.prune(model, self.share)

    @torch.no_grad()
    def prune(self, model: nn.Module, share: float) -> None:
        """Tighten the masks; what is masked already counts as zero, so it is taken first."""
        held = self.masks(model)
        scores = {n: self.score(n, m, layer).masked_fill(~m.mask, -math.inf) for n, (m, layer) in held.items()}
        for name, kept in self.keeps(scores, share).items():
            held[name][0].tighten(kept)

    def masks(self, model: nn.Module) -> Held:
        """The masks that this stage acts on, each with its layer, by layer name."""
        found = ((name, find(layer, Mask), layer) for name, layer in self.layers_of(model))
        return {name: (mask, layer) for name, mask, layer in found if mask is not None}

    def layers_of(self, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """Convolutions and linear layers that ``layers`` names, the first convolution only if it shall be pruned."""
        first = next((name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)), None)
        for name, layer in self.selected(model, (nn.Conv2d, nn.Linear)):
            if not (self.dense_first and name == first):
                yield name, layer


def due(step: Step, updates: int = UPDATES) -> bool:
    """Whether the phase enters another of its ``updates`` parts with this step."""
    if step.number == 0 or step.progress > END + 2.0 / updates:
        return False
    before = step.progress * (step.number - 1) / step.number
    return math.floor(step.progress * updates) > math.floor(before * updates)
