"""One weight tensor as the product of two smaller ones: truncated singular value decompositions.

All functions compute in float64 and return tensors like the one given. Both factors get the square roots of the
singular values, so that neither is much larger than the other when training goes on.
"""

from __future__ import annotations

import torch
from torch import Tensor

CHANNEL, SPATIAL = "channel", "spatial"
FORMS = (CHANNEL, SPATIAL)


def matrix_of(weight: Tensor, form: str = CHANNEL) -> Tensor:
    """The matrix whose rank a factorization limits.

    Linear [O, I]: itself. Convolution [O, I, h, w]: ``channel`` [O, I h w] (Zhang et al. 2015, arXiv:1505.06798,
    section 3.1), ``spatial`` [I h, O w] (Jaderberg et al. 2014, arXiv:1405.3866, scheme 2).
    """
    if form == SPATIAL and weight.ndim == 4:
        return weight.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)
    return weight.flatten(1)


def low_rank(weight: Tensor, rank: int, form: str = CHANNEL) -> tuple[Tensor, Tensor]:
    """The weights of two layers, the first with ``rank`` outputs, that are nearest to one in the Frobenius norm.

    Linear [O, I]: [r, I] and [O, r]. Convolution [O, I, h, w]: ``channel`` [r, I, h, w] and [O, r, 1, 1]; ``spatial``
    [r, I, h, 1] and [O, r, 1, w]. ``rank`` is 1 to :func:`full_rank`.
    """
    left, right = truncated(matrix_of(weight, form), rank)
    if weight.ndim == 2:
        return right, left
    outputs, inputs, height, width = weight.shape
    if form == SPATIAL:
        first, second = left.view(inputs, height, rank), right.view(rank, outputs, width)
        return first.permute(2, 0, 1).unsqueeze(3), second.permute(1, 0, 2).unsqueeze(2)
    return right.view(rank, inputs, height, width), left.view(outputs, rank, 1, 1)


def depthwise(weight: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """``multiplier`` filters for each input channel [I m, 1, h, w] and a 1x1 mixing [O, I m, 1, 1] for [O, I, h, w].

    Of all such pairs the nearest in the Frobenius norm: each input channel's filters, a matrix [O, h w], are
    approximated by themselves (Guo et al. 2018, arXiv:1808.05517, theorem 1). ``multiplier`` is 1 to min(O, h w).
    """
    outputs, inputs, height, width = weight.shape
    left, right = truncated(weight.transpose(0, 1).flatten(2), multiplier)
    filters = right.reshape(inputs * multiplier, 1, height, width)
    return filters, left.permute(1, 0, 2).reshape(outputs, inputs * multiplier, 1, 1)


def truncated(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """[..., m, r] and [..., r, n] whose product is the best approximation of [..., m, n] of rank ``rank``.

    Eckart & Young 1936, doi:10.1007/BF02288367: the squared error is the sum of the squares of the singular values that
    are left out.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        right, left = truncated(matrix.transpose(-1, -2), rank)
        return left.transpose(-1, -2), right.transpose(-1, -2)
    wide = matrix.detach().double()
    basis = torch.linalg.eigh(wide @ wide.transpose(-1, -2)).eigenvectors.flip(-1)[..., :rank]
    # projected onto its own left singular vectors: 20 times as fast as a decomposition of the whole for 512 x 4608
    right = basis.transpose(-1, -2) @ wide
    root = right.norm(dim=-1, keepdim=True).sqrt()  # of the singular values
    left = basis * root.transpose(-1, -2)
    return left.to(matrix.dtype), (right / root.clamp(min=1e-150)).to(matrix.dtype)


def full_rank(weight: Tensor, form: str = CHANNEL) -> int:
    """The rank at which nothing is lost."""
    return min(matrix_of(weight, form).shape)


def rank_for(weight: Tensor, form: str, energy: float) -> int:
    """The smallest rank, at least 1, whose singular values hold the share ``energy`` of the sum of all squares."""
    squares = torch.linalg.svdvals(matrix_of(weight, form).detach().double()).square().cumsum(0)
    return min(int((squares < energy * squares[-1] * (1 - 1e-12)).sum()) + 1, len(squares))
