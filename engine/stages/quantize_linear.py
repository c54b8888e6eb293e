"""Uniform quantization of weights to 1 .. 8 bits, and of activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._uniform import REFRESH, Uniform, put
from engine.step import Step
from engine.weights import inputs
from engine.weights.affine import GRANULARITIES, GROUP, SCALES, SCHEMES
from engine.weights.calibration import METHODS

TRAININGS = ("post", "qat")
ACTIVATION_BITS = 8


@register
@dataclass(frozen=True)
class QuantizeLinear(Uniform):
    """A quantizer behind the mask (if any) of every convolution and linear layer."""

    name = "quantize_linear"
    title = "Quantize to few bits"
    help = (
        "Rounds every weight to one of a few evenly spaced levels, so that it needs fewer bits. 8 bits also rounds the "
        "activations, and integer kernels run it; other widths compute with floats. Biases and BatchNorm are left "
        "alone; zeros stay zero. For other bits in some layers add a second stage that names them (layers): a layer "
        "keeps the fewest bits that it is given."
    )
    formula = (
        r"\hat w = s\,\left(\mathrm{clip}\!\left(\mathrm{round}(w/s) + z, l, h\right) - z\right),"
        r"\; z = 0,\; h = -l = 2^{b-1}-1 \;\text{(symmetric)};"
        r"\qquad b = 1:\; \hat w = \mathrm{mean}|w|\,\mathrm{sign}(w)"
    )
    source = (
        "Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342; 1 bit: Rastegari et al. 2016, "
        "arXiv:1603.05279, eq. 6; training: Hubara et al. 2016, arXiv:1602.02830, eq. 4 (straight-through estimator)"
    )
    expect = (
        "8 bits cost next to nothing, 4 bits about a point. At 3 bits the scales matter (least squares), and at 2 or "
        "1 training must take part (qat). Activations of 4 bits cost half a point with any calibration, after "
        "recalibration; at 2 bits least squares keeps 84 of 89 % and min_max 55 (plain_10k, one seed)."
    )
    needs_epochs = {"training": ("qat",)}

    bits: int = knob(8, 1, 8, help="Bits for each weight; 8 also quantizes the activations.")
    granularity: str = knob(
        "channel",
        choices=GRANULARITIES,
        help="One scale for each output channel, for the whole tensor, or for every few weights of a channel (group).",
    )
    scale: str = knob(
        "least_squares",
        choices=SCALES,
        help="The step between levels: from the largest weight (maximum), or the one with the smallest squared error.",
    )
    training: str = knob(
        "post",
        choices=TRAININGS,
        help="Round once after the phase (post), or train with rounded weights throughout (qat, needs epochs).",
    )

    scheme: str = knob(
        "symmetric",
        choices=SCHEMES,
        help="Levels alike on both sides of zero, or moved to where the weights are (affine); zero is always a level.",
        advanced=True,
        late=True,
    )
    group: int = knob(
        GROUP,
        4,
        256,
        help="Neighbouring weights of a channel that share a scale (granularity=group); a channel's last may be fewer.",
        advanced=True,
        late=True,
    )

    activation_bits: int | None = knob(
        None,
        0,
        8,
        help="Bits for each activation; none: 8 where weights have 8, else floats. 0: floats. Under 8 has no kernel.",
        advanced=True,
        late=True,
    )
    calibration: str = knob(
        "min_max",
        choices=METHODS,
        help="Range of activations: all that was seen, most of it, least squared error, or least lost information.",
        advanced=True,
        late=True,
    )
    percentile: float = knob(
        inputs.PERCENTILE,
        90.0,
        100.0,
        help="How much of the activations lies within their range (calibration=percentile).",
        unit="%",
        advanced=True,
        late=True,
    )

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """A quantizer on each layer, tightened where there is one, and one for the layer's input or none."""
        for _, layer in self.layers_of(model):
            quantizer = put(layer, self.bits, self.granularity, self.scale, self.scheme, self.group)
            usual = ACTIVATION_BITS * (quantizer.bits == ACTIVATION_BITS)
            bits = usual if self.activation_bits is None else self.activation_bits
            if bits:
                inputs.attach(layer, bits, self.calibration, self.percentile)
            else:
                inputs.detach(layer)

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """QAT: round from the first step on. Layers that an earlier phase quantized get the new scale at once."""
        self.fit(model, only_active=self.training == "post")
        if self.training == "qat":
            inputs.calibrate(model, context.calibration)

    def after_step(self, step: Step) -> None:
        """Scales follow the weights: by maximum at every step, by least squares (a search) every 4th."""
        if self.training == "qat" and (self.scale == "maximum" or step.number % REFRESH == 0):
            self.fit(step.model)

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Fix the scales for the final weights and the ranges of the activations.

        In a later phase that trains the weights stay on this lattice, with straight-through gradients.
        """
        self.fit(model)
        inputs.calibrate(model, context.calibration)
