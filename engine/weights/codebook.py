"""Weights that share a few values: k-means in one dimension, and the table as a constraint whose values are trained.

Source: Han et al. 2016, Deep Compression, arXiv:1510.00149, section 3.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from engine.weights.constraint import Lattice
from engine.weights.values import TableCode

ROUNDS = 300  # at most; some tens of thousands of weights settle after about fifty


def kmeans(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``(centres, which)``: ``count`` float32 centres, ascending, and the one of each value [N] (int64).

    Lloyd's algorithm from centres spread evenly between the least and the greatest value ("linear initialisation",
    section 3.2), until no value changes its centre. A centre that no value has stays where it is.
    """
    ordered = values.detach().double().flatten().sort().values
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    centres = torch.linspace(float(ordered[0]), float(ordered[-1]), count, dtype=torch.float64, device=values.device)
    before: Tensor | None = None
    for _ in range(ROUNDS):
        cuts = torch.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2, right=True)
        ends = torch.cat([cuts.new_zeros(1), cuts, cuts.new_full((1,), len(ordered))])
        if before is not None and torch.equal(ends, before):
            break
        numbers = ends.diff()
        centres = torch.where(numbers > 0, sums[ends].diff() / numbers.clamp(min=1), centres)
        before = ends
    borders = (centres[1:] + centres[:-1]) / 2
    return centres.float(), torch.bucketize(values.detach().double(), borders)


class Codebook(Lattice):
    """Replaces each weight by the value of its entry in ``table`` [2^bits]; zeros stay zero, beside the table.

    Which entry a weight has is fixed when the table is made; then the entries are trained, and the gradient of one is
    the sum over the gradients of all its weights (section 3.3).
    """

    made_by = "share_codebook"
    which: Tensor

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.configure(weight, bits)

    def configure(self, weight: Tensor, bits: int) -> None:
        """Set the structure; the table is made by :meth:`fit`."""
        self.bits = bits
        self.table = nn.Parameter(torch.zeros(1 << bits, device=weight.device))
        self.register_buffer("which", torch.zeros_like(weight, dtype=torch.uint8))
        self.active.fill_(False)

    @torch.no_grad()
    def fit(self, weight: Tensor) -> None:
        """Cluster the weights that are not zero and switch the sharing on."""
        kept = weight != 0
        if bool(kept.any()):
            centres, which = kmeans(weight[kept], len(self.table))
            self.table.copy_(centres)
            self.which[kept] = which.to(torch.uint8)
        self.active.fill_(True)

    def map(self, weight: Tensor) -> Tensor:
        """The entries of the table."""
        return self.table[self.which.long()] if self.active else weight

    @torch.no_grad()
    def code(self, weight: Tensor) -> TableCode:
        """The values that occur, ascending, and which one each weight has, counted from zero."""
        found, places = np.unique(self.forward(weight).contiguous().cpu().numpy(), return_inverse=True)
        start = min(max(int((found < 0).sum()), len(found) - 128), 128)
        integers = (places.reshape(weight.shape) - start).astype(np.int8)
        return TableCode(integers, found.astype(np.float32), start, self.bits)
