"""What stages share that choose the quantizer's integers by what arrives at a layer: GPTQ and AWQ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.knobs import knob
from engine.stages._base import StageContext
from engine.stages._rounding import ACTIVATION_BITS
from engine.stages._uniform import Uniform, put
from engine.weights import inputs
from engine.weights.affine import GRANULARITIES, GROUP, SCALES, SCHEMES
from engine.weights.constraint import Quantizer, find, incoming


@dataclass(frozen=True)
class Calibrated(Uniform):
    """The quantizers of ``quantize_linear``, filled after the phase; 8 bits round a layer's input too."""

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

    def held(self, model: nn.Module) -> dict[nn.Module, Quantizer]:
        """The quantizers by layer, switched off."""
        chosen = {layer: find(layer, Quantizer) for _, layer in self.layers_of(model)}
        found = {layer: quantizer for layer, quantizer in chosen.items() if quantizer is not None}
        for quantizer in found.values():
            quantizer.active.fill_(False)
        return found

    @staticmethod
    def complete(held: dict[nn.Module, Quantizer], model: nn.Module, context: StageContext) -> None:
        """Round what is left to the nearest level, and set the ranges of inputs."""
        for layer, quantizer in held.items():
            if not bool(quantizer.active):
                quantizer.fit(incoming(layer, quantizer))
        inputs.calibrate(model, context.calibration)
