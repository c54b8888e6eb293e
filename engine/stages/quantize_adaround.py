"""Adaptive rounding: up or down, learned from what each layer computes on a few hundred images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._rounding import GRANULARITIES, Rounding
from engine.weights import inputs
from engine.weights.adaptive import AdaptiveRounding
from engine.weights.affine import SCALES
from engine.weights.constraint import incoming
from engine.weights.reconstruction import frozen, order_of_use, reconstruction


@register
@dataclass(frozen=True)
class QuantizeAdaround(Rounding[AdaptiveRounding]):
    """A lattice with learned roundings behind the mask (if any) of every convolution and linear layer."""

    name = "quantize_adaround"
    title = "Round up or down as it fits (AdaRound)"
    help = (
        "Rounds after training, but not each weight to its nearest level: whether up or down is learned for all "
        "weights of a layer together, so that its outputs on 512 training images change least. No labels, no epochs. "
        "It goes through the layers in their order, each one making up for what rounding did to those before it."
    )
    formula = (
        r"\min_V \lVert W x - \hat W \hat x\rVert^2 + \lambda \sum_i \left(1 - |2h(V_i) - 1|^\beta\right),\quad "
        r"\hat W = s\,\mathrm{clip}\!\left(\lfloor W/s \rfloor + h(V), -L, L\right),\quad "
        r"h(V) = \mathrm{clip}(1.2\,\sigma(V) - 0.1,\, 0,\, 1)"
    )
    source = "Nagel et al. 2020, arXiv:2004.10568, eq. 22 to 25 (without the activation function in eq. 25)"
    expect = (
        "Gains most where nearest rounding loses most. With recalibration the usual student (89.6 % in float) has "
        "89.7 % at 4 bits, 89.5 at 3 and 87.1 at 2; rounded to the nearest 89.5, 88.7 and 84.1 (one seed). Small "
        "students take seconds; the time grows with the square of a layer's inputs."
    )

    bits: int = knob(4, 2, 8, help="Bits for each weight; 8 also quantizes the activations.")
    granularity: str = knob(
        "channel", choices=GRANULARITIES, help="One scale for each output channel, or one for the whole tensor."
    )
    scale: str = knob(
        "least_squares",
        choices=SCALES,
        help="The step between levels: from the largest weight (maximum), or the one with the smallest squared error.",
    )
    iterations: int = knob(
        1000, 0, 10_000, step=100, help="Steps of learning in each layer; 0: to the nearest level.", advanced=True
    )

    def lattice(self, weight: Tensor) -> AdaptiveRounding:
        """As the knobs say."""
        return AdaptiveRounding(weight, self.bits, self.granularity, self.scale)

    def again(self, lattice: AdaptiveRounding, weight: Tensor) -> None:
        """Never more bits than before."""
        lattice.configure(weight, min(self.bits, lattice.bits), self.granularity, self.scale)

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Layers that an earlier phase rounded get the new scale at once."""
        for lattice, layer in self.lattices(model):
            if bool(lattice.active):
                lattice.start(incoming(layer, lattice))

    @torch.no_grad()
    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Layer by layer: what arrives now, what arrived before rounding, which way to round each weight."""
        held = {layer: lattice for lattice, layer in self.lattices(model)}
        for lattice in held.values():
            lattice.active.fill_(False)
        mode = model.training
        model.eval()
        with inputs.paused(model):
            before = frozen(model)
            names = {layer: name for name, layer in model.named_modules()}
            for layer in order_of_use(model, list(held), context.example):
                found, weight = held[layer], incoming(layer, held[layer])
                found.start(weight)
                if self.iterations:
                    objective = reconstruction(before, model, names[layer], context.calibration)
                    found.choose(objective, weight, self.iterations)
        model.train(mode)
        inputs.calibrate(model, context.calibration)
