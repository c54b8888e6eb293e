"""Sparse training: zeros from the first step on that may move (SET, RigL) or not, or that L1 makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._masking import END, FIRST_HELP, Masking, due
from engine.step import Step
from engine.weights.constraint import Mask, incoming, original, weight_of
from engine.weights.regrowth import cosine_share, erdos_renyi, exchange, listen, random_masks, restart
from engine.weights.sparsity import score_mask

METHODS = ("rigl", "set", "static", "l1")


@dataclass
class _Phase:
    """What lasts as long as a phase: the draw, the places that may be used, dense gradients of the step."""

    generator: torch.Generator = field(default_factory=torch.Generator)
    allowed: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    hooks: list[Any] = field(default_factory=list)


@register
@dataclass(frozen=True)
class TrainSparse(Masking):
    """Masks that keep their number of weights while the places change."""

    name = "train_sparse"
    title = "Train sparse from the start"
    help = (
        "Never trains the whole network: most weights are zero from the first step. From time to time the smallest "
        "ones give their places to others: those with the largest gradient (RigL), or drawn by lot (SET). Static "
        "keeps the first places; L1 instead trains all weights, pulls them towards zero and cuts at the end."
    )
    formula = (
        r"\text{drop } \mathrm{top}_k(-|w|),\ \text{grow } \mathrm{top}_k\!\left(\left|\frac{\partial L}{\partial w}"
        r"\right|\right),\ k = \tfrac{\alpha}{2}\left(1 + \cos\tfrac{\pi t}{T}\right)n;\qquad"
        r"\text{L1: } L + \lambda \sum_i |w_i|"
    )
    source = (
        "Evci et al. 2020, RigL, arXiv:1911.11134, alg. 1; Mocanu et al. 2018, SET, arXiv:1707.04780; L1: Han et al. "
        "2015, arXiv:1506.02626, section 3.1"
    )
    expect = (
        "Their sources find RigL ahead of SET, and SET ahead of static places, the more so the more is zero and the "
        "longer the phase. Pruning a dense network gradually is often better still, and costs its training. With 5,000 "
        "weights, 90 % zeros and 3 epochs the three could not be told apart here."
    )
    needs_epochs = {"method": METHODS}

    method: str = knob("rigl", choices=METHODS, help="Who takes the places that become free, or L1 instead.")
    sparsity: float = knob(0.8, 0.0, 0.99, step=0.05, help="Fraction of the weights that is zero.")
    exchanges: int = knob(20, 1, 60, help="How often places change, in a phase (none in its last quarter).")
    moved: float = knob(0.3, 0.0, 0.9, step=0.05, help="Share of the weights that change place each time, at first.")
    strength: float = knob(1e-4, 0.0, 0.1, help="Of L1: how strongly weights are pulled towards zero.", advanced=True)
    keep_first: bool = knob(True, help=FIRST_HELP)
    phase: _Phase = field(default_factory=_Phase, init=False, repr=False, compare=False)

    @property
    def dense_first(self) -> bool:
        """As declared."""
        return self.keep_first

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Draw the first places, small layers denser; what was masked before stays so."""
        held = self.masks(model)
        self.phase.generator = context.generator
        self.phase.allowed = {name: mask.mask.clone() for name, (mask, _) in held.items()}
        if self.method == "l1":
            return
        counts = erdos_renyi({name: mask.mask.shape for name, (mask, _) in held.items()}, self.sparsity)
        for name, first in random_masks(self.phase.allowed, counts, context.generator).items():
            held[name][0].tighten(first)
        if self.method == "rigl":
            self.phase.hooks.extend(listen(mask, self.phase.gradients, name) for name, (mask, _) in held.items())

    def penalty(self, model: nn.Module) -> Tensor | float:
        """L1 of the weights."""
        if self.method != "l1":
            return 0.0
        return self.strength * sum(weight_of(layer).abs().sum() for _, layer in self.masks(model).values())

    @torch.no_grad()
    def after_step(self, step: Step) -> None:
        """Exchange places when it is time; whoever comes starts from zero."""
        if self.method in ("rigl", "set") and step.progress < END and due(step, self.exchanges):
            share = cosine_share(step.progress, self.moved, END) if self.method == "rigl" else self.moved
            for name, (mask, layer) in self.masks(step.model).items():
                weight, wish = incoming(layer, mask), self._wish(name, mask)
                made, grown = exchange(mask.mask, self.phase.allowed[name], weight, wish, share)
                mask.mask.copy_(made)
                restart(original(layer), grown, step.optimizer.state)
        self.phase.gradients.clear()

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """L1: cut at the share of zeros. RigL: stop listening."""
        if self.method == "l1":
            held = self.masks(model)
            scores = {name: mask(incoming(layer, mask)).abs() for name, (mask, layer) in held.items()}
            for name, kept in score_mask(scores, self.sparsity).items():
                held[name][0].tighten(kept)
        while self.phase.hooks:
            self.phase.hooks.pop().remove()

    def _wish(self, name: str, mask: Mask) -> Tensor:
        if self.method == "rigl":
            return self.phase.gradients[name].abs()
        return torch.rand(mask.mask.shape, generator=self.phase.generator).to(mask.mask.device)
