"""Scales by least squared error, for all channels at once.

For integers ``q`` held fixed the best scale is ``<w,q> / <q,q>``, which leaves the error ``|w|^2 - <w,q>^2 / <q,q>``;
so every candidate scale is judged by the best scale of its own rounding. The winner is refined by alternating the
two steps (round, then solve for the scale), which never raises the error. Source: the alternating scheme of LQ-Nets
(Zhang et al. 2018, arXiv:1807.10029, section 3.2) and the clipping search of Banner et al. 2019 (arXiv:1810.05723).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

CANDIDATES = 64
# of the maximum's scale, by largest integer: the fewer levels, the more of the tails is worth clipping
SMALLEST = {1: 0.12, 3: 0.2, 7: 0.3}
SMALLEST_OTHERWISE = 0.4
REFINEMENTS = 3
CHUNK = 1 << 18  # elements at a time: the working set stays in the processor's cache


Bounds = tuple[int, int] | tuple[Tensor, Tensor]  # of integers: one for all rows, or [R, 1]


def least_squares_scale(rows: Tensor, largest: Tensor, top: int) -> Tensor:
    """The scale [R] for each row of ``rows`` [R, N], integers limited to -top .. top.

    ``largest`` [R] is the scale by maximum, the upper end of the search. Rows of zeros give 0.
    """
    return _least(rows, largest, (-top, top), SMALLEST.get(top, SMALLEST_OTHERWISE))[0]


def least_squares_affine(rows: Tensor, step: Tensor, zeros: Sequence[Tensor], bits: int) -> tuple[Tensor, Tensor]:
    """Scale and zero point, both [R], for each row of ``rows`` [R, N]: of the zero points tried the best one.

    ``zeros`` are the candidates, each [R] of whole numbers within -2^(bits-1) .. 2^(bits-1)-1. ``step`` [R] is the
    scale by range, which goes with the first of them and is the worst that is found. Rows of zeros give 0.
    """
    bottom, top = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    sides = [(zero - bottom, top - zero) for zero in zeros]  # levels below and above zero
    smallest = SMALLEST.get(max(top, 1), SMALLEST_OTHERWISE)
    safe = torch.where(step > 0, step, torch.ones_like(step))
    found = [(step, _error(rows, safe, _bounds(*sides[0])))]
    for down, up in sides:
        found.append(_least(rows, _reaching(rows, down, up), _bounds(down, up), smallest))
    scales, errors = (torch.stack(part) for part in zip(*found, strict=True))
    winner = errors.argmin(0)[None]
    return scales.gather(0, winner)[0], torch.stack([zeros[0], *zeros]).gather(0, winner)[0]


def _bounds(down: Tensor, up: Tensor) -> Bounds:
    return -down[:, None], up[:, None]


def _reaching(rows: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """The scale [R] with which the levels reach both ends of each row; a side without levels is cut off."""
    low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
    return torch.maximum(high / up.clamp(min=1) * (up > 0), -low / down.clamp(min=1) * (down > 0))


def _least(rows: Tensor, largest: Tensor, bounds: Bounds, smallest: float) -> tuple[Tensor, Tensor]:
    """The scale of each row and its squared error."""
    safe = torch.where(largest > 0, largest, torch.ones_like(largest))
    best = _search(rows, safe, bounds, smallest)
    for _ in range(REFINEMENTS):
        best = _solve(rows, best, bounds)[0]
    errors = _error(rows, best, bounds), _error(rows, safe, bounds)
    scale = torch.where(largest > 0, torch.where(errors[0] < errors[1], best, safe), torch.zeros_like(largest))
    return scale, torch.where(largest > 0, torch.minimum(*errors), rows.square().sum(1))


def _search(rows: Tensor, largest: Tensor, bounds: Bounds, smallest: float) -> Tensor:
    """The solved scale of the candidate with the smallest error, [R]."""
    ratios = torch.logspace(math.log10(smallest), 0.0, CANDIDATES, dtype=rows.dtype, device=rows.device)
    candidates = ratios[:, None] * largest
    step = max(1, CHUNK // max(rows.numel(), 1))
    solved, gains = [], []
    for chunk in torch.split(candidates, step):
        scale, gain = _solve(rows, chunk, bounds)
        solved.append(scale)
        gains.append(gain)
    winner = torch.cat(gains).argmax(0)
    return torch.cat(solved).gather(0, winner[None])[0]


def _solve(rows: Tensor, scale: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor]:
    """Round ``rows`` [R, N] at ``scale`` [..., R]; the best scale of that rounding and how much error it takes away."""
    rounded = _clip((rows / scale[..., None]).round_(), bounds)
    square = torch.linalg.vecdot(rounded, rounded)
    product = torch.linalg.vecdot(rows.expand_as(rounded), rounded)
    found = square > 0
    solved = torch.where(found, product / square, scale)
    return solved, torch.where(found, product * solved, torch.zeros_like(product))


def _error(rows: Tensor, scale: Tensor, bounds: Bounds) -> Tensor:
    rounded = _clip((rows / scale[:, None]).round_(), bounds)
    return (rounded * scale[:, None] - rows).square_().sum(1)


def _clip(rounded: Tensor, bounds: Bounds) -> Tensor:
    low, high = bounds
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return torch.clamp_(rounded, torch.as_tensor(low), torch.as_tensor(high))
    return rounded.clamp_(low, high)
