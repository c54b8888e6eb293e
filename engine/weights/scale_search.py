"""Scales by least squared error, for all channels at once.

For integers ``q`` held fixed the best scale is ``<w,q> / <q,q>``, which leaves the error ``|w|^2 - <w,q>^2 / <q,q>``;
so every candidate scale is judged by the best scale of its own rounding. The winner is refined by alternating the
two steps (round, then solve for the scale), which never raises the error. Source: the alternating scheme of LQ-Nets
(Zhang et al. 2018, arXiv:1807.10029, section 3.2) and the clipping search of Banner et al. 2019 (arXiv:1810.05723).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CANDIDATES = 64
# of the maximum's scale, by largest integer: the fewer levels, the more of the tails is worth clipping
SMALLEST = {1: 0.12, 3: 0.2, 7: 0.3}
SMALLEST_OTHERWISE = 0.4
REFINEMENTS = 3
CHUNK = 1 << 18  # elements at a time: the working set stays in the processor's cache


def least_squares_scale(rows: Tensor, largest: Tensor, top: int) -> Tensor:
    """The scale [R] for each row of ``rows`` [R, N], integers limited to -top .. top.

    ``largest`` [R] is the scale by maximum, the upper end of the search. Rows of zeros give 0.
    """
    safe = torch.where(largest > 0, largest, torch.ones_like(largest))
    best = _search(rows, safe, top)
    for _ in range(REFINEMENTS):
        best = _solve(rows, best, top)[0]
    better = _error(rows, best, top) < _error(rows, safe, top)
    return torch.where(largest > 0, torch.where(better, best, safe), torch.zeros_like(largest))


def _search(rows: Tensor, largest: Tensor, top: int) -> Tensor:
    """The solved scale of the candidate with the smallest error, [R]."""
    smallest = SMALLEST.get(top, SMALLEST_OTHERWISE)
    ratios = torch.logspace(math.log10(smallest), 0.0, CANDIDATES, dtype=rows.dtype, device=rows.device)
    candidates = ratios[:, None] * largest
    step = max(1, CHUNK // max(rows.numel(), 1))
    solved, gains = [], []
    for chunk in torch.split(candidates, step):
        scale, gain = _solve(rows, chunk, top)
        solved.append(scale)
        gains.append(gain)
    winner = torch.cat(gains).argmax(0)
    return torch.cat(solved).gather(0, winner[None])[0]


def _solve(rows: Tensor, scale: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Round ``rows`` [R, N] at ``scale`` [..., R]; the best scale of that rounding and how much error it takes away."""
    rounded = (rows / scale[..., None]).round_().clamp_(-top, top)
    square = torch.linalg.vecdot(rounded, rounded)
    product = torch.linalg.vecdot(rows.expand_as(rounded), rounded)
    found = square > 0
    solved = torch.where(found, product / square, scale)
    return solved, torch.where(found, product * solved, torch.zeros_like(product))


def _error(rows: Tensor, scale: Tensor, top: int) -> Tensor:
    rounded = (rows / scale[:, None]).round_().clamp_(-top, top)
    return (rounded * scale[:, None] - rows).square_().sum(1)
