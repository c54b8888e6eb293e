"""Uniform symmetric quantization of weights to 1 .. 8 bits, at 8 bits of activations too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import Stage, StageContext
from engine.step import Step
from engine.weights import inputs
from engine.weights.affine import GRANULARITIES, GROUP, SCALES, SCHEMES
from engine.weights.constraint import Quantizer, add, find, incoming, weight_of

TRAININGS = ("post", "qat")
ACTIVATION_BITS = 8
REFRESH = 4  # steps between two least-squares searches while training: at 2 bits 16 costs accuracy, 1 gains none


@register
@dataclass(frozen=True)
class QuantizeLinear(Stage):
    """A quantizer behind the mask (if any) of every convolution and linear layer."""

    name = "quantize_linear"
    title = "Quantize to few bits"
    help = (
        "Rounds every weight to one of a few evenly spaced levels, so that it needs fewer bits. 8 bits also rounds the "
        "activations, and the integer kernels of this machine run it; other widths store weights only and "
        "compute with floats. Biases and BatchNorm are left alone; zeros of a pruned weight stay zero at every width."
    )
    formula = (
        r"\hat w = s\,\mathrm{clip}\!\left(\mathrm{round}(w/s), -L, L\right),\; L = 2^{b-1}-1;"
        r"\qquad b = 1:\; \hat w = \mathrm{mean}|w|\,\mathrm{sign}(w)"
    )
    source = (
        "Jacob et al. 2018, arXiv:1712.05877; Krishnamoorthi 2018, arXiv:1806.08342; 1 bit: Rastegari et al. 2016, "
        "arXiv:1603.05279, eq. 6; training: Hubara et al. 2016, arXiv:1602.02830, eq. 4 (straight-through estimator)"
    )
    expect = (
        "8 bits cost next to nothing, 4 bits about a point. At 3 bits the scales matter (least squares), and at 2 or "
        "1 training must take part (qat)."
    )
    order = "quantizer"
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

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """A quantizer on each layer, tightened where there is one; 8 bits: one for the layer's input."""
        for _, layer in self._layers(model):
            quantizer = find(layer, Quantizer)
            form = (self.granularity, self.scale, self.scheme, self.group)
            if quantizer is None:
                quantizer = add(layer, Quantizer(weight_of(layer), self.bits, *form))
            else:
                quantizer.configure(weight_of(layer), min(self.bits, quantizer.bits), *form)
            if quantizer.bits == ACTIVATION_BITS:
                inputs.attach(layer)
            else:
                inputs.detach(layer)

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """QAT: round from the first step on. Layers that an earlier phase quantized get the new scale at once."""
        self._fit(model, only_active=self.training == "post")
        if self.training == "qat":
            inputs.calibrate(model, context.calibration)

    def after_step(self, step: Step) -> None:
        """Scales follow the weights: by maximum at every step, by least squares (a search) every 4th."""
        if self.training == "qat" and (self.scale == "maximum" or step.number % REFRESH == 0):
            self._fit(step.model)

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Fix the scales for the final weights and the ranges of the activations.

        In a later phase that trains the weights stay on this lattice, with straight-through gradients.
        """
        self._fit(model)
        inputs.calibrate(model, context.calibration)

    def _fit(self, model: nn.Module, only_active: bool = False) -> None:
        for _, layer in self._layers(model):
            quantizer = find(layer, Quantizer)
            if quantizer is not None and (bool(quantizer.active) or not only_active):
                quantizer.fit(incoming(layer, quantizer))

    def _layers(self, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        yield from self.selected(model, (nn.Conv2d, nn.Linear))
