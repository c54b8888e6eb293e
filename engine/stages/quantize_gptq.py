"""Rounding input by input, what follows making up for each error (GPTQ)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._calibrated import Calibrated
from engine.weights import inputs
from engine.weights.compensated import Lattice, compensate
from engine.weights.constraint import incoming, original, shared
from engine.weights.layer_inputs import by_input, second_moments


@register
@dataclass(frozen=True)
class QuantizeGPTQ(Calibrated):
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
        "gpt_2 (2.662 bits a character in float): 2.666 at 4 bits, 2.682 at 3, 2.815 at 2; rounded to the nearest "
        "2.672, 2.703 and 2.862 (three seeds). No output of a layer gets further off on the calibration examples than "
        "nearest rounding leaves it. Largest inputs first helps at 2 bits only (2.800)."
    )

    act_order: bool = knob(
        False, help="Round the inputs of largest magnitude first, while most others can still make up for them."
    )
    damping: float = knob(
        0.01, 0.0, 1.0, help="Added to H, as a fraction of its mean diagonal: keeps changes small.", advanced=True
    )

    @torch.no_grad()
    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Layer by layer: what arrives now, then the weights."""
        held = self.held(model)
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
        self.complete(held, model, context)
