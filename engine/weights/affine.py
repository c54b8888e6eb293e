"""Rounding weights to a lattice of 1 .. 8 bits, and choosing its scale and its zero point.

*Symmetric*: ``integers = clip(round(w / scale), -limit, limit)`` and ``value = integers * scale``. *Affine*: integers
lie between -2^(bits-1) and 2^(bits-1)-1, and ``value = (integers - zero) * scale``, where zero is one of them, so that
weights of exactly zero stay zero. All in float32 with halves to even, so that numpy and ONNX Runtime reproduce every
bit. Inside, integers are counted from the zero point ("centred").

Source: Jacob et al. 2018 (arXiv:1712.05877, equation 1), symmetric variant of Krishnamoorthi 2018 (arXiv:1806.08342,
section 2.2); 1 bit: Rastegari et al. 2016 (arXiv:1603.05279, equation 6); groups: Shen et al. 2020, Q-BERT
(arXiv:1909.05840, section 3.3).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.weights.scale_search import least_squares_affine, least_squares_scale
from engine.weights.values import WeightCode

GRANULARITIES = ("tensor", "channel", "group")
SCALES = ("maximum", "least_squares")
SCHEMES = ("symmetric", "affine")
GROUP = 32
TINY = 1e-30  # below it w / scale overflows; such a channel is all zeros for any purpose


def limit(bits: int) -> int:
    """The largest integer of the symmetric lattice: 2^(bits-1) - 1, and 1 for a single bit."""
    return max((1 << (bits - 1)) - 1, 1)


def column(scale: Tensor, weight: Tensor, group: int = 0) -> Tensor:
    """``scale`` (), [out] or [out, groups] shaped so that it broadcasts over ``weight`` [out, ...]."""
    if scale.ndim < 2:
        return scale.reshape(scale.shape + (1,) * (weight.ndim - 1)) if scale.ndim else scale
    inputs = weight[0].numel()
    return scale.repeat_interleave(group, 1)[:, :inputs].reshape(weight.shape)


def scale_shape(shape: torch.Size, granularity: str, group: int = GROUP) -> tuple[int, ...]:
    """The shape of a weight's scales: (), [out], or [out, groups]; a channel's last group may be a shorter one."""
    if granularity == "tensor":
        return ()
    return (shape[0],) if granularity == "channel" else (shape[0], -(-shape[1:].numel() // group))


def fit(
    weight: Tensor, bits: int, granularity: str, scale: str, scheme: str = "symmetric", group: int = GROUP
) -> tuple[Tensor, Tensor | None]:
    """Scale and zero point (None where symmetric) of the lattice for ``weight`` [out, ...].

    Both float32, shaped as :func:`scale_shape` says, scales above zero. ``scale`` "maximum" puts the largest weight on
    the outermost level (affine: smallest and largest on either end); "least_squares" minimises the squared error (never
    worse than the maximum). Symmetric at 1 bit both are the mean absolute value of the weights that are not zero.
    """
    rows, zero = _rows(weight.detach().float(), granularity, group), None
    if scheme == "affine":
        found, zero = _affine(rows, bits, scale)
    else:
        found = _row_scale(rows, bits, scale)
    found = torch.where(found > TINY, found, torch.ones_like(found))
    shape = scale_shape(weight.shape, granularity, group)
    return found.reshape(shape), None if zero is None else zero.reshape(shape)


def fit_scale(weight: Tensor, bits: int, granularity: str, scale: str) -> Tensor:
    """The symmetric lattice's scale for ``weight``; see :func:`fit`."""
    return fit(weight, bits, granularity, scale)[0]


def bounds(bits: int, zero: Tensor) -> tuple[Tensor, Tensor]:
    """The outermost integers of the affine lattice, counted from its ``zero``."""
    half = 1 << (bits - 1)
    return -half - zero, half - 1 - zero


def round_to_integers(weight: Tensor, scale: Tensor, bits: int, zero: Tensor | None = None, group: int = 0) -> Tensor:
    """The lattice's integers, centred, as float32, shaped like ``weight``; exact zeros stay zero at every width."""
    if zero is not None:
        rounded = torch.round(weight / column(scale, weight, group))
        low, high = bounds(bits, column(zero, weight, group))
        return torch.minimum(torch.maximum(rounded, low), high)
    top = limit(bits)
    if bits == 1:
        return torch.sign(weight)
    return torch.round(weight / column(scale, weight, group)).clamp_(-top, top)


def dequantize(integers: Tensor, scale: Tensor, group: int = 0) -> Tensor:
    """``integers * scale`` in float32, with no negative zero (so that equal weights have equal bytes)."""
    return (integers * column(scale, integers, group)).add_(0.0)


def quantize(
    weight: Tensor, bits: int, granularity: str = "channel", scale: str = "least_squares",
    scheme: str = "symmetric", group: int = GROUP,
) -> WeightCode:  # fmt: skip
    """``weight`` [out, ...] as a code of 1 .. 8 bits; the one function that stages, grid and artifact share."""
    found, zero = fit(weight, bits, granularity, scale, scheme, group)
    return encode(weight, found, bits, zero, group)


def encode(weight: Tensor, scale: Tensor, bits: int, zero: Tensor | None = None, group: int = 0) -> WeightCode:
    """The code of ``weight`` at a given scale and zero point."""
    integers = round_to_integers(weight.detach().float(), scale, bits, zero, group)
    if zero is not None:
        integers = integers + column(zero, integers, group)
    stored = integers.to(torch.int8).contiguous().cpu().numpy()
    points = None if zero is None else zero.detach().cpu().numpy().astype(np.int8)
    found = scale.detach().cpu().numpy().astype(np.float32, copy=True)
    return WeightCode(stored, found, bits, points, group if found.ndim == 2 else 0)


def coded(integers: Tensor, scale: Tensor, bits: int) -> WeightCode:
    """Whole numbers (as float32) and their scale, () or [out], as a symmetric code."""
    whole = integers.to(torch.int8).contiguous().cpu().numpy()
    return WeightCode(whole, scale.detach().cpu().numpy().astype(np.float32, copy=True), bits)


def _rows(weight: Tensor, granularity: str, group: int) -> Tensor:
    """``weight`` as [rows, N], a scale for each; zeros fill a channel's last group up, which changes no scale."""
    flat = weight.reshape(1 if granularity == "tensor" else weight.shape[0], -1)
    if granularity != "group":
        return flat
    each = min(group, flat.shape[1])
    return functional.pad(flat, (0, -flat.shape[1] % each)).reshape(-1, each)


def _row_scale(rows: Tensor, bits: int, scale: str) -> Tensor:
    if bits == 1:
        return rows.abs().sum(1) / (rows != 0).sum(1).clamp_(min=1)
    largest = rows.abs().amax(1) / limit(bits)
    return largest if scale == "maximum" else least_squares_scale(rows, largest, limit(bits))


def _affine(rows: Tensor, bits: int, scale: str) -> tuple[Tensor, Tensor]:
    """By range, and by least squares among the zero points near that of the range and the middle one."""
    bottom, top = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
    step = (high - low) / (top - bottom)
    start = bottom + torch.round(-low / torch.where(step > TINY, step, torch.ones_like(step))).clamp(0, top - bottom)
    if scale == "maximum":
        return step, start
    near = [(start + by).clamp(bottom, top) for by in (0, -1, 1)]
    return least_squares_affine(rows, step, [*near, torch.zeros_like(start)], bits)
