"""Rounding, masking and sharing of weights in numpy: what ``engine.weights`` does, for processes without torch.

Tests hold each function against its counterpart there. Weights are [out, ...]; a scale is () for the whole tensor or
[out], one a channel.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import zstandard

from engine.live.data import Array, layer

RANGES = ("maximum", "percentile", "least_squares")
GRANULARITIES = ("tensor", "channel")
PERCENTILE = 99.0  # of the magnitudes: what lies beyond is cut off
CANDIDATES, REFINEMENTS, ROUNDS = 64, 3, 300
SMALLEST = {1: 0.12, 3: 0.2, 7: 0.3}  # of the maximum's scale, by largest integer: where the search begins
SMALLEST_OTHERWISE = 0.4


def limit(bits: int) -> int:
    """The largest integer: 2^(bits-1) - 1, and 1 for a single bit."""
    return max((1 << (bits - 1)) - 1, 1)


def fit_scale(weight: Array, bits: int, granularity: str, reach: str) -> Array:
    """The step between two levels, float32, by one of RANGES; at 1 bit always the mean magnitude.

    Source: Krishnamoorthi 2018 (arXiv:1806.08342), section 2.2; least squares as in engine.weights.scale_search.
    """
    rows = weight.reshape(1 if granularity == "tensor" else len(weight), -1).astype(np.float32)
    size = np.abs(rows)
    if bits == 1:
        scale = size.sum(1) / np.maximum((rows != 0).sum(1), 1)
    elif reach == "percentile":
        scale = np.percentile(size, PERCENTILE, axis=1) / limit(bits)
    else:
        scale = size.max(1) / np.float32(limit(bits))
        scale = scale if reach == "maximum" else _least_squares(rows, scale, limit(bits))
    found = np.where(scale > 0, scale, 1.0).astype(np.float32)
    return found[0] if granularity == "tensor" else found


def to_integers(weight: Array, scale: Array, bits: int) -> Array:
    """The integers of the lattice, int8; halves to even, exact zeros stay zero."""
    if bits == 1:
        return np.sign(weight).astype(np.int8)
    top = limit(bits)
    return np.clip(np.rint(weight / column(scale, weight)), -top, top).astype(np.int8)


def column(scale: Array, weight: Array) -> Array:
    """A scale so that it broadcasts over the weight."""
    return np.asarray(scale).reshape(np.shape(scale) + (1,) * ((weight.ndim - 1) * np.ndim(scale)))


def rounded(weight: Array, bits: int, granularity: str, reach: str) -> Array:
    """The weight with its values on the lattice."""
    scale = fit_scale(weight, bits, granularity, reach)
    found: Array = to_integers(weight, scale, bits) * column(scale, weight)
    return found


def kmeans(values: Array, count: int) -> tuple[Array, Array]:
    """``count`` centres, ascending, and the one of each value: Lloyd's rule from even centres.

    Source: Han et al. 2016 (arXiv:1510.00149), section 3.2.
    """
    ordered = np.sort(values.astype(np.float64).ravel())
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centres, before = np.linspace(ordered[0], ordered[-1], count), None
    for _ in range(ROUNDS):
        cuts = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2, side="right")
        ends = np.concatenate([[0], cuts, [len(ordered)]])
        if before is not None and np.array_equal(ends, before):
            break
        numbers = np.diff(ends)
        centres = np.where(numbers > 0, np.diff(sums[ends]) / np.maximum(numbers, 1), centres)
        before = ends
    return centres.astype(np.float32), np.searchsorted((centres[1:] + centres[:-1]) / 2, values.astype(np.float64))


def magnitude_mask(weight: Array, sparsity: float) -> Array:
    """True except at the ``round(sparsity * n)`` smallest magnitudes, the first ones among equals (Han et al. 2015)."""
    kept = np.ones(weight.size, bool)
    kept[np.argsort(np.abs(weight).ravel(), kind="stable")[: round(sparsity * weight.size)]] = False
    return kept.reshape(weight.shape)


def n_m_mask(weight: Array, zeros: int = 2, group: int = 4) -> Array:
    """True except at the ``zeros`` smallest of every ``group`` neighbours along a row of the matrix product [h, w, in].

    Source: Mishra et al. 2021 (arXiv:2104.08378); as engine.weights.sparsity.n_m_mask.
    """
    moved = np.moveaxis(np.abs(weight), 1, -1)
    rows = moved.reshape(len(weight), -1)
    whole = rows.shape[1] - rows.shape[1] % group
    groups = rows[:, :whole].reshape(-1, group)
    kept = np.ones(groups.shape, bool)
    np.put_along_axis(kept, np.argsort(groups, axis=1, kind="stable")[:, :zeros], False, axis=1)
    flat = np.ones(rows.shape, bool)
    flat[:, :whole] = kept.reshape(len(rows), whole)
    return np.moveaxis(flat.reshape(moved.shape), -1, 1)


def channel_mask(weight: Array, sparsity: float) -> Array:
    """True except in the ``round(sparsity * out)`` output channels of smallest L1 norm (Li et al. 2017, 1608.08710)."""
    gone = np.argsort(np.abs(weight).reshape(len(weight), -1).sum(1), kind="stable")[: round(sparsity * len(weight))]
    kept = np.ones(weight.shape, bool)
    kept[gone] = False
    return kept


def error(weight: Array, changed: Array) -> float:
    """Mean squared difference."""
    return float(np.square(weight.astype(np.float64) - changed).mean())


def decibels(weight: Array, changed: Array) -> float:
    """Signal to noise: ten times the decimal logarithm of the weights' power over the error's; at most 120."""
    power, noise = float(np.square(weight.astype(np.float64)).mean()), error(weight, changed)
    return min(10 * math.log10(power / noise), 120.0) if noise > 0 else 120.0


def packed_bytes(integers: Array, bits: int = 8) -> int:
    """Bytes of small integers under zstd: one a byte, or ``bits`` each where that is smaller."""
    flat = integers.astype(np.int8).ravel()
    low = int(flat.min(initial=0))
    width = max(int(flat.max(initial=0)) - low, 1).bit_length()
    unsigned = (flat.astype(np.int16) - low).astype(np.uint8)
    tight = np.packbits(np.unpackbits(unsigned[:, None], axis=1, bitorder="little")[:, : min(width, bits, 8)])
    found = [flat.tobytes(), tight.tobytes()]
    return min(len(raw) for one in found for raw in (one, _compressor().compress(one)))


@functools.cache
def integers_of(name: str, bits: int, granularity: str, reach: str) -> tuple[Array, Array]:
    """One of the layers of :mod:`engine.live.data`, rounded once: its integers and their scale."""
    weight = layer(name)
    scale = fit_scale(weight, bits, granularity, reach)
    return to_integers(weight, scale, bits), scale


@functools.cache
def _compressor() -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=19, write_content_size=False, write_checksum=False)


def _least_squares(rows: Array, largest: Array, top: int) -> Array:
    """The scale [R] of least squared error: candidates below the maximum's, the best refined by alternating steps."""
    safe = np.where(largest > 0, largest, 1.0).astype(np.float32)
    ratios = np.geomspace(SMALLEST.get(top, SMALLEST_OTHERWISE), 1.0, CANDIDATES).astype(np.float32)
    solved, gains = _solve(rows, ratios[:, None] * safe, top)
    best = solved[gains.argmax(0), np.arange(len(rows))]
    for _ in range(REFINEMENTS):
        best = _solve(rows, best, top)[0]
    better = _misfit(rows, best, top) < _misfit(rows, safe, top)
    found: Array = np.where(largest > 0, np.where(better, best, safe), 0.0)
    return found


def _solve(rows: Array, scale: Array, top: int) -> tuple[Array, Array]:
    """The best scale of the rounding at ``scale`` [..., R], and how much error it takes away."""
    whole = np.clip(np.rint(rows / scale[..., None]), -top, top)
    square, product = (whole * whole).sum(-1), (rows * whole).sum(-1)
    solved = np.where(square > 0, product / np.maximum(square, 1), scale).astype(np.float32)
    return solved, product * solved


def _misfit(rows: Array, scale: Array, top: int) -> Array:
    whole = np.clip(np.rint(rows / scale[:, None]), -top, top)
    found: Array = np.square(whole * scale[:, None] - rows).sum(1)
    return found
