"""Rounding with a learned step: the distance between levels is trained like a weight.

Source: Esser et al. 2020, Learned Step Size Quantization, arXiv:1902.08153.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from engine.weights import affine
from engine.weights.constraint import Lattice
from engine.weights.values import WeightCode


def bounds(bits: int) -> tuple[int, int]:
    """The lowest and the highest integer: -2^(bits-1) and 2^(bits-1) - 1, for 8 bits -127.

    A BatchNorm with a negative scale turns signs when it is folded, and 128 is no int8.
    """
    return -min(1 << (bits - 1), 127), (1 << (bits - 1)) - 1


class StepRounding(torch.autograd.Function):
    """``clip(round(weight / step), low, high) * step`` with the gradients of Esser et al. 2020, equations 3 and 5.

    ``step`` () or [out], above zero. The gradient of the step is multiplied by ``1 / sqrt(N * high)`` (section 2.2), N
    being the number of weights that share it.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, step: Tensor, low: int, high: int) -> Tensor:
        """The rounded weight, integers times step exactly."""
        scaled = weight / affine.column(step, weight)
        integers = torch.round(scaled).clamp_(low, high)
        ctx.save_for_backward(scaled, integers, step)
        ctx.bounds = low, high
        return affine.dequantize(integers, step)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Weight: straight through inside the range. Step: ``round(v) - v`` inside, the outermost integer outside."""
        scaled, integers, step = ctx.saved_tensors
        low, high = ctx.bounds
        inside = (scaled > low) & (scaled < high)
        slope = torch.where(inside, integers - scaled, integers) * gradients[0]
        found = slope.flatten(1).sum(1) if step.ndim else slope.sum()
        factor = 1 / math.sqrt(scaled.numel() / step.numel() * high)
        return gradients[0] * inside, found * factor, None, None


def first_step(weight: Tensor, bits: int, granularity: str) -> Tensor:
    """``2 <|w|> / sqrt(high)`` (section 2.1), over the weights that are not zero: () or [out], above zero."""
    rows = weight.detach().reshape(weight.shape[0] if granularity == "channel" else 1, -1)
    mean = rows.abs().sum(1) / (rows != 0).sum(1).clamp_(min=1)
    found = 2 * mean / math.sqrt(bounds(bits)[1])
    found = torch.where(found > affine.TINY, found, torch.ones_like(found))
    return found if granularity == "channel" else found.reshape(())


class LearnedStep(Lattice):
    """A lattice with a trained step. What is trained is its logarithm.

    So it stays positive, and one step of Adam, which moves every number by about the learning rate, changes it by that
    share of itself: the balance with the weights' own changes that the source's gradient scale is for.
    """

    made_by = "quantize_lsq"

    def __init__(self, weight: Tensor, bits: int, granularity: str) -> None:
        super().__init__()
        self.configure(weight, bits, granularity)

    def configure(self, weight: Tensor, bits: int, granularity: str) -> None:
        """Set the structure; the step is one until :meth:`start`."""
        self.bits, self.granularity = bits, granularity
        shape = (weight.shape[0],) if granularity == "channel" else ()
        self.log_step = nn.Parameter(torch.zeros(shape, device=weight.device))
        self.active.fill_(False)

    @property
    def step(self) -> Tensor:
        """The distance between levels, () or [out]."""
        return self.log_step.exp()

    @torch.no_grad()
    def start(self, weight: Tensor) -> None:
        """Begin at the source's first step for ``weight`` and switch the rounding on."""
        self.log_step.copy_(first_step(weight, self.bits, self.granularity).log())
        self.active.fill_(True)

    def map(self, weight: Tensor) -> Tensor:
        """Integers times step."""
        if not self.active:
            return weight
        rounded: Tensor = StepRounding.apply(weight, self.step, *bounds(self.bits))
        return rounded

    @torch.no_grad()
    def code(self, weight: Tensor) -> WeightCode:
        """Integers and the learned step."""
        step = self.step
        integers = torch.round(weight / affine.column(step, weight)).clamp_(*bounds(self.bits))
        return affine.coded(integers, step, self.bits)
