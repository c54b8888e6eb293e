"""Rounding to two or three levels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.weights import affine
from engine.weights.constraint import Fitted
from engine.weights.values import WeightCode

THRESHOLD = 0.7  # of the mean magnitude: Li et al. 2016, equation 6
CLIP = 1.0


def ternary(weight: Tensor, granularity: str = "tensor") -> tuple[Tensor, Tensor]:
    """``(threshold, scale)`` for ``weight`` [out, ...]: () for "tensor" or [out] for "channel", scale above zero.

    The threshold is 0.7 times the mean magnitude of the weights that are not zero, the scale the mean magnitude of
    those beyond it. Source: Li, Zhang & Liu 2016, Ternary Weight Networks, arXiv:1605.04711, equations 5 and 6.
    """
    rows = weight.detach().reshape(weight.shape[0] if granularity == "channel" else 1, -1).abs()
    threshold = THRESHOLD * _mean(rows, rows > 0)
    scale = _mean(rows, rows > threshold[:, None])
    scale = torch.where(scale > affine.TINY, scale, torch.ones_like(scale))
    return (threshold, scale) if granularity == "channel" else (threshold.reshape(()), scale.reshape(()))


def binary_scale(weight: Tensor, granularity: str = "channel") -> Tensor:
    """The mean magnitude of the weights that are not zero, () or [out].

    Source: Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279, equation 6.
    """
    return affine.fit_scale(weight, 1, granularity, "maximum")


class Ternary(Fitted):
    """``scale`` times -1, 0 or 1: the sign of weights beyond ``threshold``; the gradient passes straight through."""

    made_by = "quantize_ternary"
    bits = 2
    threshold: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, granularity: str) -> None:
        super().__init__()
        self.configure(weight, granularity)

    def configure(self, weight: Tensor, granularity: str) -> None:
        """Set the structure; the levels are fitted later."""
        self.granularity = granularity
        shape = (weight.shape[0],) if granularity == "channel" else ()
        self.register_buffer("threshold", torch.zeros(shape, device=weight.device))
        self.register_buffer("scale", torch.ones(shape, device=weight.device))

    def map(self, weight: Tensor) -> Tensor:
        """Integers times scale, exactly; ``weight - weight.detach()`` (zero) carries the gradient."""
        if not self.active:
            return weight
        return affine.dequantize(self._integers(weight.detach()), self.scale) + (weight - weight.detach())

    @torch.no_grad()
    def fit(self, weight: Tensor) -> None:
        """Threshold and scale for ``weight``."""
        threshold, scale = ternary(weight, self.granularity)
        self.threshold.copy_(threshold)
        self.scale.copy_(scale)
        self.active.fill_(True)

    def code(self, weight: Tensor) -> WeightCode:
        """-1, 0, 1 and the scale."""
        return affine.coded(self._integers(weight), self.scale, self.bits)

    def _integers(self, weight: Tensor) -> Tensor:
        return torch.sign(weight) * (weight.abs() > affine.column(self.threshold, weight))


def _mean(rows: Tensor, chosen: Tensor) -> Tensor:
    return (rows * chosen).sum(1) / chosen.sum(1).clamp_(min=1)


class SignRounding(torch.autograd.Function):
    """``scale * sign(weight)`` with the gradient of Rastegari et al. 2016, section 3.1.

    ``1/n + scale`` where the weight is within -1 .. 1, else ``1/n``; n is the number of weights of a scale.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scale: Tensor) -> Tensor:
        """The two levels; zero stays zero."""
        ctx.save_for_backward(weight, scale)
        return affine.dequantize(torch.sign(weight), scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient of the weight; the scale follows from the weights."""
        weight, scale = ctx.saved_tensors
        through = affine.column(scale, weight) * (weight.abs() <= CLIP)
        return gradients[0] * (scale.numel() / weight.numel() + through), None


class Binary(Fitted):
    """``scale`` times the sign; ``scaled`` False: a scale of one (BinaryConnect), the gradient straight through."""

    made_by = "quantize_binary"
    bits = 1
    scale: Tensor

    def __init__(self, weight: Tensor, granularity: str, scaled: bool) -> None:
        super().__init__()
        self.configure(weight, granularity, scaled)

    def configure(self, weight: Tensor, granularity: str, scaled: bool) -> None:
        """Set the structure; the scale is one until it is fitted."""
        self.granularity, self.scaled = granularity, scaled
        shape = (weight.shape[0],) if granularity == "channel" else ()
        self.register_buffer("scale", torch.ones(shape, device=weight.device))

    def map(self, weight: Tensor) -> Tensor:
        """Two levels."""
        if not self.active:
            return weight
        if self.scaled:
            rounded: Tensor = SignRounding.apply(weight, self.scale)
            return rounded
        return torch.sign(weight.detach()) + (weight - weight.detach())

    @torch.no_grad()
    def fit(self, weight: Tensor) -> None:
        """The scale for ``weight``."""
        if self.scaled:
            self.scale.copy_(binary_scale(weight, self.granularity))
        self.active.fill_(True)

    def code(self, weight: Tensor) -> WeightCode:
        """-1 or 1 (0 under a mask) and the scale."""
        return affine.coded(torch.sign(weight), self.scale, self.bits)
