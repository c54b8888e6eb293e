"""Rounding each weight up or down so that the layer's outputs change least.

Source: Nagel et al. 2020, Up or Down? Adaptive Rounding for Post-Training Quantization, arXiv:2004.10568.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.weights import affine
from engine.weights.constraint import Lattice
from engine.weights.reconstruction import Reconstruction
from engine.weights.values import WeightCode

STRETCH_HIGH, STRETCH_LOW = 1.1, -0.1  # zeta and gamma of the rectified sigmoid, equation 23
SHARPEST, SOFTEST = 2.0, 20.0  # beta of the regulariser, from soft to sharp
WARM_UP = 0.2  # of the iterations: without the regulariser, so that all may move first
REGULARISER, RATE = 0.3, 3e-2  # of the error of nearest rounding; the source's 0.01 is for errors in other units


def rectified_sigmoid(values: Tensor) -> Tensor:
    """``clip(sigmoid(v) * (zeta - gamma) + gamma, 0, 1)``: equation 23."""
    return (values.sigmoid() * (STRETCH_HIGH - STRETCH_LOW) + STRETCH_LOW).clamp(0, 1)


def regulariser(share: Tensor, beta: float) -> Tensor:
    """``sum(1 - |2h - 1|^beta)``, zero where every ``share`` is 0 or 1: equation 24."""
    return (1 - (2 * share - 1).abs().pow(beta)).sum()


def regulariser_slope(share: Tensor, beta: float) -> Tensor:
    """Minus the derivative of :func:`regulariser`: upwards above one half, downwards below."""
    around = 2 * share - 1
    return 2 * beta * around.abs().pow(beta - 1) * around.sign()


def learn_rounding(
    objective: Reconstruction, weight: Tensor, scale: Tensor, bits: int, iterations: int
) -> tuple[Tensor, Tensor, Tensor]:
    """``(up, learned, nearest)``: which weights round up (bool, as ``weight``), and the errors [out] of both ways.

    Output channels whose learned rounding is no better than the nearest one keep the nearest: never worse than that.
    """
    lattice = weight / affine.column(scale, weight)
    below = lattice.floor()
    nearest = torch.round(lattice) > below
    least = objective.error(rounded(weight, nearest, scale, bits))
    up = _learn(objective, weight, scale, bits, iterations, least)
    found = objective.error(rounded(weight, up, scale, bits))
    better = (found < least).view(-1, *[1] * (weight.ndim - 1))
    return torch.where(better, up, nearest), torch.minimum(found, least), least


def rounded(weight: Tensor, up: Tensor, scale: Tensor, bits: int) -> Tensor:
    """The weight with each number rounded down, or up where ``up`` (0 .. 1, soft while it is learned)."""
    return integers(weight, up, scale, bits) * affine.column(scale, weight)


def integers(weight: Tensor, up: Tensor, scale: Tensor, bits: int) -> Tensor:
    """``clip(floor(w / s) + up, -L, L)``: equation 22; exact zeros stay zero."""
    top = affine.limit(bits)
    found = ((weight / affine.column(scale, weight)).floor() + up).clamp(-top, top)
    return torch.where(weight == 0, 0.0, found)


def _learn(
    objective: Reconstruction, weight: Tensor, scale: Tensor, bits: int, iterations: int, least: Tensor
) -> Tensor:
    """Which weights to round up, by Adam on equation 25.

    Errors count in units of those of nearest rounding, so that the regulariser weighs alike in every layer. Gradients
    are written out: a step then takes a tenth of what automatic differentiation needs for matrices as small as these.
    """
    lattice, top = weight / affine.column(scale, weight), affine.limit(bits)
    below = lattice.floor()
    free = ((below >= -top) & (below < top) & (weight != 0)).flatten(1)
    rest = (lattice - below).flatten(1)
    values = -torch.log((STRETCH_HIGH - STRETCH_LOW) / (rest - STRETCH_LOW) - 1)
    reach = affine.column(scale, weight).expand_as(weight).flatten(1) / least.clamp(min=affine.TINY)[:, None] * free
    adam = _Adam(values)
    for number in range(iterations):
        soft = values.sigmoid()
        share = (soft * (STRETCH_HIGH - STRETCH_LOW) + STRETCH_LOW).clamp_(0, 1)
        slope = objective.slope(rounded(weight, share.view_as(weight), scale, bits)) * reach
        progress = (number / iterations - WARM_UP) / (1 - WARM_UP)
        if progress >= 0:
            slope -= REGULARISER * regulariser_slope(share, SOFTEST + (SHARPEST - SOFTEST) * progress)
        slope *= soft * (1 - soft) * ((share > 0) & (share < 1))
        adam.step(slope)
    return (rectified_sigmoid(values) >= 0.5).view_as(weight)


class _Adam:
    """Adam (Kingma & Ba 2015) on one tensor, in place; torch's own spends most of such a step on other things."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.first, self.second, self.count = values, torch.zeros_like(values), torch.zeros_like(values), 0

    def step(self, slope: Tensor) -> None:
        """One step down."""
        self.count += 1
        self.first.lerp_(slope, 0.1)
        self.second.lerp_(slope.square(), 0.001)
        size = (self.second / (1 - 0.999**self.count)).sqrt_().add_(1e-8)
        self.values.addcdiv_(self.first, size, value=-RATE / (1 - 0.9**self.count))


class AdaptiveRounding(Lattice):
    """A symmetric lattice on which ``up`` says of each weight whether it is rounded up or down."""

    made_by = "quantize_adaround"
    scale: Tensor
    up: Tensor

    def __init__(self, weight: Tensor, bits: int, granularity: str, method: str) -> None:
        super().__init__()
        self.configure(weight, bits, granularity, method)

    def configure(self, weight: Tensor, bits: int, granularity: str, method: str) -> None:
        """Set the structure; scale and roundings are chosen by :meth:`start` and then by :meth:`choose`."""
        self.bits, self.granularity, self.method = bits, granularity, method
        shape = (weight.shape[0],) if granularity == "channel" else ()
        self.register_buffer("scale", torch.ones(shape, device=weight.device))
        self.register_buffer("up", torch.zeros_like(weight, dtype=torch.bool))

    @torch.no_grad()
    def start(self, weight: Tensor) -> None:
        """The scale for ``weight``, and nearest rounding."""
        self.scale.copy_(affine.fit_scale(weight, self.bits, self.granularity, self.method))
        lattice = weight / affine.column(self.scale, weight)
        self.up.copy_(torch.round(lattice) > lattice.floor())
        self.active.fill_(True)

    @torch.no_grad()
    def choose(self, objective: Reconstruction, weight: Tensor, iterations: int) -> None:
        """Learn which weights to round up."""
        self.up.copy_(learn_rounding(objective, weight, self.scale, self.bits, iterations)[0])

    def map(self, weight: Tensor) -> Tensor:
        """Integers times scale; in a later phase that trains the gradient passes straight through."""
        if not self.active:
            return weight
        fixed = weight.detach()
        value = affine.dequantize(integers(fixed, self.up, self.scale, self.bits), self.scale)
        return value + (weight - fixed)

    def code(self, weight: Tensor) -> WeightCode:
        """Integers and scale."""
        return affine.coded(integers(weight, self.up, self.scale, self.bits), self.scale, self.bits)
