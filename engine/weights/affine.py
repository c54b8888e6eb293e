"""Rounding weights to a symmetric lattice, and choosing its scale.

``integers = clip(round(w / scale), -limit, limit)`` and ``value = integers * scale``, all in float32 with halves to
even, so that numpy and ONNX Runtime reproduce every bit. Source: Jacob et al. 2018 (arXiv:1712.05877), symmetric
variant of Krishnamoorthi 2018 (arXiv:1806.08342, section 2.2); 1 bit: Rastegari et al. 2016
(arXiv:1603.05279, equation 6).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.weights.scale_search import least_squares_scale
from engine.weights.values import WeightCode

GRANULARITIES = ("tensor", "channel")
SCALES = ("maximum", "least_squares")
TINY = 1e-30  # below it w / scale overflows; such a channel is all zeros for any purpose


def limit(bits: int) -> int:
    """The largest integer of the lattice: 2^(bits-1) - 1, and 1 for a single bit."""
    return max((1 << (bits - 1)) - 1, 1)


def column(scale: Tensor, weight: Tensor) -> Tensor:
    """``scale`` () or [out] shaped so that it broadcasts over ``weight`` [out, ...]."""
    return scale.reshape(scale.shape + (1,) * (weight.ndim - 1)) if scale.ndim else scale


def fit_scale(weight: Tensor, bits: int, granularity: str, scale: str) -> Tensor:
    """The lattice's scale for ``weight`` [out, ...]: float32, () for "tensor" or [out] for "channel", above zero.

    ``scale`` "maximum" puts the largest weight on the outermost level; "least_squares" minimises the squared error
    (never worse than the maximum). At 1 bit both are the mean absolute value of the weights that are not zero.
    """
    rows = weight.detach().float().reshape(weight.shape[0] if granularity == "channel" else 1, -1)
    found = _row_scale(rows, bits, scale)
    found = torch.where(found > TINY, found, torch.ones_like(found))
    return found if granularity == "channel" else found.reshape(())


def round_to_integers(weight: Tensor, scale: Tensor, bits: int) -> Tensor:
    """The lattice's integers as float32, shaped like ``weight``; exact zeros stay zero at every width."""
    top = limit(bits)
    if bits == 1:
        return torch.sign(weight)
    return torch.round(weight / column(scale, weight)).clamp_(-top, top)


def dequantize(integers: Tensor, scale: Tensor) -> Tensor:
    """``integers * scale`` in float32, with no negative zero (so that equal weights have equal bytes)."""
    return (integers * column(scale, integers)).add_(0.0)


def quantize(weight: Tensor, bits: int, granularity: str = "channel", scale: str = "least_squares") -> WeightCode:
    """``weight`` [out, ...] as a code of 1 .. 8 bits; the one function that stages, grid and artifact share."""
    return encode(weight, fit_scale(weight, bits, granularity, scale), bits)


def encode(weight: Tensor, scale: Tensor, bits: int) -> WeightCode:
    """The code of ``weight`` at a given scale."""
    integers = round_to_integers(weight.detach().float(), scale, bits).to(torch.int8).contiguous()
    return WeightCode(integers.cpu().numpy(), scale.detach().cpu().numpy().astype(np.float32, copy=True), bits)


def _row_scale(rows: Tensor, bits: int, scale: str) -> Tensor:
    if bits == 1:
        return rows.abs().sum(1) / (rows != 0).sum(1).clamp_(min=1)
    largest = rows.abs().amax(1) / limit(bits)
    return largest if scale == "maximum" else least_squares_scale(rows, largest, limit(bits))
