"""Ternary weights: each one is -a, 0 or a."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.knobs import knob
from engine.registry import register
from engine.stages._rounding import FIRST_HELP, GRANULARITIES, TRAINING_HELP, TRAININGS, FittedRounding
from engine.weights.fewest import Ternary


@register
@dataclass(frozen=True)
class QuantizeTernary(FittedRounding[Ternary]):
    """Three levels behind the mask (if any) of every convolution and linear layer."""

    name = "quantize_ternary"
    title = "Three levels (ternary weights)"
    help = (
        "Leaves three values for a weight: minus a, zero and a. Weights smaller than 0.7 times the mean magnitude "
        "become zero, and a is the mean magnitude of the others. A network that is trained with it (qat) learns to "
        "live with that; after rounding alone, recalibrate BatchNorm. Biases and BatchNorm are left alone."
    )
    formula = (
        r"\hat w = \alpha\,\mathrm{sign}(w)\,[\,|w| > \Delta\,],\quad \Delta = 0.7\,\mathrm{mean}|w|,\quad "
        r"\alpha = \mathrm{mean}\{|w| : |w| > \Delta\}"
    )
    source = "Li, Zhang & Liu 2016, Ternary Weight Networks, arXiv:1605.04711, eq. 5 and 6"
    expect = (
        "Rounded afterwards and recalibrated the usual student (89.6 % in float) keeps 85.8 %, trained with it for an "
        "epoch 87.7 % (one seed). Many weights become zero: the file is about as long as with 2 bits."
    )

    training: str = knob("post", choices=TRAININGS, help=TRAINING_HELP)
    granularity: str = knob(
        "channel", choices=GRANULARITIES, help="Threshold and level for each output channel, or for the whole tensor."
    )
    keep_first: bool = knob(False, help=FIRST_HELP)

    @property
    def trains(self) -> bool:
        """As declared."""
        return self.training == "qat"

    @property
    def spares_first(self) -> bool:
        """As declared."""
        return self.keep_first

    def lattice(self, weight: Tensor) -> Ternary:
        """As the knobs say."""
        return Ternary(weight, self.granularity)

    def again(self, lattice: Ternary, weight: Tensor) -> None:
        """Another granularity."""
        lattice.configure(weight, self.granularity)
