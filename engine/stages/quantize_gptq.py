"""Rounding input by input, what follows making up for each error (GPTQ)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._rounding import ACTIVATION_BITS
from engine.stages._uniform import Uniform, put
from engine.weights import inputs
from engine.weights.affine import GRANULARITIES, GROUP, SCALES, SCHEMES
from engine.weights.compensated import Lattice, compensate
from engine.weights.constraint import Quantizer, find, incoming, original, shared
from engine.weights.layer_inputs import by_input, second_moments


@register
@dataclass(frozen=True)
class QuantizeGPTQ(Uniform):
    """The quantizer of ``quantize_linear`` on weights that have made up for its errors."""

    name = "quantize_gptq"
    title = "Round and make up for it (GPTQ)"
    help = (
        "Rounds a layer's weights one input after another and changes those not rounded yet so that they make up for "
        "the error, as far as the inputs go together on calibration examples. Layer after layer, each on what the "
        "rounded ones before it give. No labels, no epochs. A table shared with an embedding is only rounded."
    )
    formula = (
        r"\delta_{:,j+1:} = -\frac{w_j - \mathrm{quant}(w_j)}{[H^{-1}]_{jj}}\,[H^{-1}]_{j,\,j+1:},\qquad "
        r"H = \mathbb{E}[x x^\top] + \lambda\,\overline{H_{ii}}\,I"
    )
    source = "Frantar et al. 2022, arXiv:2210.17323, eq. 2 and 3, algorithm 1; OBS: Hassibi & Stork 1993"
    expect = (
        "The fewer bits, the more it gains over rounding to the nearest level; at 8 bits nothing is left to gain. "
        "No output of a layer is ever further off on the calibration examples than nearest rounding leaves it."
    )

    bits: int = knob(4, 2, 8, help="Bits for each weight; 8 also quantizes the activations.")
    granularity: str = knob(
        "channel",
        choices=GRANULARITIES,
        help="One scale for each output channel, for the whole tensor, or for every few weights of a channel (group).",
    )
    group: int = knob(
        GROUP,
        4,
        256,
        help="Neighbouring weights of a channel that share a scale (granularity=group); a channel's last may be fewer.",
    )
    scale: str = knob(
        "least_squares",
        choices=SCALES,
        help="The step between levels: from the largest weight (maximum), or the one with the smallest squared error.",
        advanced=True,
    )
    scheme: str = knob(
        "symmetric",
        choices=SCHEMES,
        help="Levels alike on both sides of zero, or moved to where the weights are (affine); zero is always a level.",
        advanced=True,
    )
    act_order: bool = knob(
        False, help="Round the inputs of largest magnitude first, while most others can still make up for them."
    )
    damping: float = knob(
        0.01, 0.0, 1.0, help="Added to H, as a fraction of its mean diagonal: keeps changes small.", advanced=True
    )

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """A quantizer on each layer, and at 8 bits one for its input."""
        for _, layer in self.layers_of(model):
            quantizer = put(layer, self.bits, self.granularity, self.scale, self.scheme, self.group)
            if quantizer.bits == ACTIVATION_BITS:
                inputs.attach(layer)
            else:
                inputs.detach(layer)

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Layers that an earlier phase rounded get the new scale at once."""
        self.fit(model, only_active=True)

    @torch.no_grad()
    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Layer by layer: what arrives now, then the weights."""
        chosen = {layer: find(layer, Quantizer) for _, layer in self.layers_of(model)}
        held = {layer: quantizer for layer, quantizer in chosen.items() if quantizer is not None}
        for quantizer in held.values():
            quantizer.active.fill_(False)
        tied = shared(model)
        with inputs.paused(model):
            for layers in by_input(model, list(held), context.example):
                moments = second_moments(model, layers, context.calibration)
                for layer, moment in zip(layers, moments, strict=True):
                    quantizer, weight = held[layer], incoming(layer, held[layer])
                    lattice = Lattice(quantizer.bits, self.granularity, self.scale, self.scheme, self.group)
                    if layer in tied:
                        quantizer.fit(weight)
                        continue
                    moved, scale, zero = compensate(weight, moment, lattice, self.damping, self.act_order)
                    original(layer).copy_(moved)
                    quantizer.set(scale, zero)
        self._rest(held)
        inputs.calibrate(model, context.calibration)

    @staticmethod
    def _rest(held: dict[nn.Module, Quantizer]) -> None:
        """Layers that the model does not call are rounded to the nearest level."""
        for layer, quantizer in held.items():
            if not bool(quantizer.active):
                quantizer.fit(incoming(layer, quantizer))
