"""The range over which activations are rounded, from a histogram of what a few batches show.

*percentile* cuts off a share of the values at either end (McKinstry et al. 2018, arXiv:1809.04191, section 3.2);
*mse* takes the range with the least squared error (Banner et al. 2019, arXiv:1810.05723, there in closed form);
*entropy* the one whose rounded histogram tells least apart from the whole one, by the Kullback-Leibler divergence
(Migacz 2017, "8-bit Inference with TensorRT", GPU Technology Conference). As there, its search starts at a sixteenth of
the whole: in the narrowest ranges one bin may hold all that is beyond them, and both histograms are alike. Values of
exactly zero are left out of the histogram: zero is a level of every range, so that they cost nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

METHODS = ("min_max", "percentile", "mse", "entropy")
BINS = 2048
CANDIDATES = 256  # ranges that are tried, from the whole one down
NARROWEST = 16  # of entropy: no range under this part of the bins (there 128 of 2048)
SIDES = 32  # places of each end that are tried where either end is searched for itself
TINY = 1e-30
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Histogram:
    """``counts`` [N]: bin i holds values from (i - below) * width on, up to the next bin; zero is an edge."""

    counts: Floats
    below: int
    width: float

    @property
    def above(self) -> int:
        """Bins of values over zero."""
        return len(self.counts) - self.below

    def edge(self, number: int) -> float:
        """Where bin ``number`` begins."""
        return (number - self.below) * self.width

    def ranges(self, apart: bool = False) -> list[tuple[int, int]]:
        """The candidates as (first bin, bin after the last), the whole one last.

        Both ends shrink in proportion, or each for itself (``apart``): a black background is then not cut off with the
        brightest pixels.
        """
        shares = [(number / CANDIDATES,) * 2 for number in range(1, CANDIDATES + 1)]
        if apart and self.below and self.above:
            shares = [(a / SIDES, b / SIDES) for a in range(SIDES + 1) for b in range(SIDES + 1)]
        found = [(self.below - round(self.below * a), self.below + round(self.above * b)) for a, b in shares]
        return [pair for pair in dict.fromkeys(found) if pair[1] > pair[0]]


class Counter:
    """Counts tensors into bins over ``low`` <= 0 <= ``high``, about ``BINS`` of them."""

    def __init__(self, low: Tensor, high: Tensor) -> None:
        self.width = max(float(high - low) / BINS, TINY)
        self.below, above = (math.ceil(float(end) / self.width) for end in (-low, high))
        self.counts = torch.zeros(max(1, self.below + above), dtype=torch.int64, device=low.device)

    def add(self, x: Tensor) -> None:
        """Count the values of ``x`` that are not zero."""
        x = x.detach().flatten()
        bins = torch.floor(x[x != 0] / self.width).to(torch.int64) + self.below
        self.counts += torch.bincount(bins.clamp_(0, len(self.counts) - 1), minlength=len(self.counts))

    def histogram(self) -> Histogram:
        """What was counted."""
        return Histogram(self.counts.cpu().numpy().astype(np.float64), self.below, self.width)


def choose(seen: Histogram, method: str, bits: int, share: float) -> tuple[float, float]:
    """The range (low <= 0 <= high) by ``method``; ``share``: how much of the values percentile keeps, in percent."""
    if not seen.counts.any():
        return seen.edge(0), seen.edge(len(seen.counts))
    if method == "percentile":
        return percentile(seen, share)
    pairs = seen.ranges(apart=method == "mse")
    errors = [(mse if method == "mse" else divergence)(seen, pair, bits) for pair in pairs]
    first, last = pairs[len(errors) - 1 - int(np.argmin(errors[::-1]))]  # of equal ones the widest
    return seen.edge(first), seen.edge(last)


def percentile(seen: Histogram, share: float) -> tuple[float, float]:
    """The narrowest range outside of which at either end at most 100 - ``share`` percent of the values lie."""
    allowed = (1 - share / 100) * seen.counts.sum() * (1 + 1e-12)
    first = int(np.searchsorted(np.cumsum(seen.counts), allowed, side="right"))
    last = len(seen.counts) - int(np.searchsorted(np.cumsum(seen.counts[::-1]), allowed, side="right"))
    return seen.edge(min(first, seen.below)), seen.edge(max(last, seen.below))


def lattice(low: Any, high: Any, bits: int) -> tuple[float, float]:
    """Scale and zero point of a range, as the quantizer has them."""
    levels = (1 << bits) - 1
    scale = (high - low) / levels
    return scale, min(max(round(-low / scale), 0), levels)


def mse(seen: Histogram, pair: tuple[int, int], bits: int) -> float:
    """The squared error of all values, each taken for the middle of its bin, rounded over a range."""
    scale, zero = lattice(seen.edge(pair[0]), seen.edge(pair[1]), bits)
    middles = (np.arange(len(seen.counts)) - seen.below + 0.5) * seen.width
    rounded = np.clip(np.rint(middles / scale), -zero, (1 << bits) - 1 - zero) * scale
    return float(seen.counts @ (middles - rounded) ** 2)


def divergence(seen: Histogram, pair: tuple[int, int], bits: int) -> float:
    """KL(P || Q): P is the range's part of the histogram with all beyond it in its end bins.

    Q is that part without what is beyond, merged into 2^bits levels of equal width, each spread evenly over those of
    its bins that hold anything. Infinite where an end bin is empty but for what is beyond, or where bins are too few:
    fewer than levels, or than a sixteenth of all.
    """
    first, last = pair
    inside, levels = seen.counts[first:last], 1 << bits
    if len(inside) < max(levels, len(seen.counts) / NARROWEST):
        return math.inf
    clipped = inside.copy()
    clipped[0] += seen.counts[:first].sum()
    clipped[-1] += seen.counts[last:].sum()
    cell = np.arange(len(inside)) * levels // len(inside)
    held = inside > 0
    each = np.bincount(cell, inside, levels) / np.maximum(np.bincount(cell, held, levels), 1)
    spread = np.where(held, each[cell], 0.0)
    if np.any((clipped > 0) & ~held) or not held.any():
        return math.inf
    p, q = clipped[held] / clipped.sum(), spread[held] / spread.sum()
    return float(np.sum(p * np.log(p / q)))
