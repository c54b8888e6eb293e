"""Learned step size quantization: the distance between levels is trained together with the weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._rounding import GRANULARITIES, Rounding
from engine.weights import inputs
from engine.weights.constraint import incoming
from engine.weights.learned import LearnedStep


@register
@dataclass(frozen=True)
class QuantizeLsq(Rounding[LearnedStep]):
    """A lattice with a trained step behind the mask (if any) of every convolution and linear layer."""

    name = "quantize_lsq"
    title = "Quantize with learned steps (LSQ)"
    help = (
        "Rounds weights to evenly spaced levels and learns the distance between them by gradient, while the weights "
        "adapt. So training itself decides how much of the large weights to cut off. 8 bits also rounds the "
        "activations. It has one more negative level than positive ones, and it needs epochs."
    )
    formula = (
        r"\hat w = s\,\mathrm{clip}(\mathrm{round}(w/s), -Q_N, Q_P);\quad \frac{\partial \hat w}{\partial s} = "
        r"\begin{cases}\mathrm{round}(w/s) - w/s & \text{inside}\\ -Q_N,\, Q_P & \text{outside}\end{cases};\quad "
        r"g = \frac{1}{\sqrt{N Q_P}},\; s_0 = \frac{2\langle|w|\rangle}{\sqrt{Q_P}}"
    )
    source = "Esser et al. 2020, arXiv:1902.08153, eq. 1 to 5 and section 2.2"
    expect = (
        "After one epoch the usual student (89.6 % in float) has 89.4 % at 3 bits and 89.0 % at 2; trained with "
        "fitted steps instead it has 89.0 and 87.5 % (one seed). At 2 bits it has four levels where those have three, "
        "and its file is a seventh longer."
    )
    needs_epochs = {"granularity": GRANULARITIES}

    bits: int = knob(4, 2, 8, help="Bits for each weight; 8 also quantizes the activations.")
    granularity: str = knob(
        "channel", choices=GRANULARITIES, help="One learned step for each output channel, or one for the whole tensor."
    )

    def lattice(self, weight: Tensor) -> LearnedStep:
        """As the knobs say."""
        return LearnedStep(weight, self.bits, self.granularity)

    def again(self, lattice: LearnedStep, weight: Tensor) -> None:
        """Fewer bits or another granularity start anew; otherwise the learned steps stay."""
        bits = min(self.bits, lattice.bits)
        if (bits, self.granularity) != (lattice.bits, lattice.granularity):
            lattice.configure(weight, bits, self.granularity)

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Round from the first step on."""
        for lattice, layer in self.lattices(model):
            if not lattice.active:
                lattice.start(incoming(layer, lattice))
        inputs.calibrate(model, context.calibration)

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """The steps are learned already; fix the ranges of the activations."""
        inputs.calibrate(model, context.calibration)
