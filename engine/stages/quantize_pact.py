"""PACT: activations of few bits, cut off at a level that each layer learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._uniform import REFRESH, Uniform, put
from engine.step import Step
from engine.weights import inputs
from engine.weights.clipping import LearnedClip

GRANULARITIES = ("channel", "tensor")
WEIGHTS = "least_squares"
START = "mse"


@register
@dataclass(frozen=True)
class QuantizePact(Uniform):
    """A learned clip before every convolution and linear layer, and a quantizer of its weights."""

    name = "quantize_pact"
    title = "Quantize activations with a learned clip (PACT)"
    help = (
        "Rounds activations to few levels between zero and a ceiling that each layer learns by gradient: a low ceiling "
        "makes fine steps and cuts off what is large, a high one the reverse. Weights are rounded to evenly spaced "
        "levels meanwhile. It needs epochs; under 8 bits no kernel here runs it, so its latency is simulated."
    )
    formula = (
        r"y = \mathrm{clip}(x, 0, \alpha),\quad \hat y = \mathrm{round}\!\left(y\,\frac{2^k-1}{\alpha}\right)"
        r"\frac{\alpha}{2^k-1},\quad \frac{\partial \hat y}{\partial \alpha} = [\,x \ge \alpha\,],\quad "
        r"L \leftarrow L + \lambda \sum_\ell \alpha_\ell^2"
    )
    source = (
        "Choi et al. 2018, arXiv:1805.06085, eq. 1 to 3; weights by least squares (there DoReFa), alpha starts at the "
        "range of least squared error (there at one large value), first and last layer are rounded too"
    )
    expect = (
        "In the source 4 bits of both come near the network in float. Here one epoch of it after two in float gave "
        "89.1 % with 4 bits of both (qat of quantize_linear with least squares 88.3), and 86.8 % with 2 bits of "
        "activations (86.4); the network in float had 89.1 % before that epoch (plain_10k, one seed)."
    )
    needs_epochs = {"granularity": GRANULARITIES}

    bits: int = knob(4, 2, 8, help="Bits for each weight.")
    activation_bits: int = knob(4, 2, 8, help="Bits for each activation.")
    granularity: str = knob(
        "channel", choices=GRANULARITIES, help="One scale of weights for each output channel, or for the whole tensor."
    )
    strength: float = knob(
        1e-4, 0.0, 1.0, help="How strongly the loss pulls each ceiling down: this times its square.", log=True
    )

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """A quantizer and a learned clip on each layer."""
        for _, layer in self.layers_of(model):
            put(layer, self.bits, self.granularity, WEIGHTS)
            inputs.put(layer, LearnedClip, self.activation_bits, START)

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Round from the first step on; ceilings that an earlier phase learned go on from there."""
        self.fit(model)
        inputs.calibrate(model, context.calibration)

    def penalty(self, model: nn.Module) -> Tensor | float:
        """lambda times the sum of squared ceilings."""
        squares = [clip.high.square() for clip in self._clips(model)]
        return self.strength * torch.stack(squares).sum() if squares else 0.0

    def after_step(self, step: Step) -> None:
        """Ceilings stay above zero; scales of weights follow them."""
        for clip in self._clips(step.model):
            clip.keep_open()
        if step.number % REFRESH == 0:
            self.fit(step.model)

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Fix the scales for the final weights; the ceilings are learned."""
        self.fit(model)

    def _clips(self, model: nn.Module) -> Iterator[LearnedClip]:
        for _, layer in self.layers_of(model):
            clip = inputs.find(layer)
            if isinstance(clip, LearnedClip):
                yield clip
