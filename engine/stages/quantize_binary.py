"""Binary weights: the sign of each one, with a scale (XNOR-Net's weights) or without (BinaryConnect)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.knobs import knob
from engine.registry import register
from engine.stages._rounding import FIRST_HELP, GRANULARITIES, TRAINING_HELP, TRAININGS, FittedRounding
from engine.step import Step
from engine.weights.constraint import original
from engine.weights.fewest import CLIP, Binary

SCALES = ("mean", "one")


@register
@dataclass(frozen=True)
class QuantizeBinary(FittedRounding[Binary]):
    """Two levels behind the mask (if any) of every convolution and linear layer."""

    name = "quantize_binary"
    title = "Two levels (binary weights)"
    help = (
        "Leaves the sign of each weight, one bit. Mean multiplies the signs by the weights' mean magnitude, which is "
        "the closest two levels can come; one keeps plus and minus one, and leaves the sizes to BatchNorm. Train with "
        "it (qat): rounding a finished network to signs ruins it. Zeros of a pruned weight stay zero."
    )
    formula = (
        r"\hat w = \alpha\,\mathrm{sign}(w),\; \alpha = \mathrm{mean}|w|;\quad \frac{\partial L}{\partial w} = "
        r"\frac{\partial L}{\partial \hat w}\left(\tfrac{1}{n} + \alpha\,[\,|w| \le 1\,]\right);\qquad "
        r"\text{one: } \hat w = \mathrm{sign}(w),\; w \leftarrow \mathrm{clip}(w, -1, 1)"
    )
    source = (
        "Rastegari et al. 2016, XNOR-Net (binary weights), arXiv:1603.05279, eq. 6 and section 3.1; one: Courbariaux "
        "et al. 2015, BinaryConnect, arXiv:1511.00363, eq. 1 and alg. 1"
    )
    expect = (
        "Trained with it for an epoch the usual student (89.6 % in float) keeps 86.0 % (86.4 with one); rounded "
        "afterwards and recalibrated, 58.3 % (one seed). The sources keep the first and the last layer in float; in "
        "networks as small as these that would cost much of what is saved."
    )

    training: str = knob("post", choices=TRAININGS, help=TRAINING_HELP)
    scale: str = knob("mean", choices=SCALES, help="The size of the two levels: the mean magnitude, or one.")
    granularity: str = knob(
        "channel", choices=GRANULARITIES, help="A mean for each output channel, or one for the whole tensor."
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

    def lattice(self, weight: Tensor) -> Binary:
        """As the knobs say."""
        return Binary(weight, self.granularity, self.scale == "mean")

    def again(self, lattice: Binary, weight: Tensor) -> None:
        """Another scale."""
        lattice.configure(weight, self.granularity, self.scale == "mean")

    def after_step(self, step: Step) -> None:
        """BinaryConnect keeps the trained weights within -1 .. 1: beyond, they would no longer change their sign."""
        if self.trains and self.scale == "one":
            with torch.no_grad():
                for _, layer in self.lattices(step.model):
                    original(layer).clamp_(-CLIP, CLIP)
        super().after_step(step)
