"""Masks by score, and the schedule of gradual pruning."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

SCOPES = ("global", "layer")


def magnitude_mask(
    weights: Mapping[str, Tensor], sparsity: float, scope: str = "global", keep: Collection[str] = ()
) -> dict[str, Tensor]:
    """Masks (bool, True = kept) that zero the ``round(sparsity * n)`` weights of smallest magnitude.

    ``scope`` "global" ranks all layers together, "layer" each by itself; layers named in ``keep`` are neither masked
    nor counted. Ties go by position, so the count is exact. Weights that are zero already are taken first: the masks
    of rising sparsities are nested. Source: Han et al. 2015 (arXiv:1506.02626); the count is that of
    torch.nn.utils.prune.
    """
    dense = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items() if name in keep}
    scores = {name: w.detach().abs() for name, w in weights.items() if name not in keep}
    return dense | score_mask(scores, sparsity, scope)


def score_mask(scores: Mapping[str, Tensor], sparsity: float, scope: str = "global") -> dict[str, Tensor]:
    """Masks (bool, True = kept) that zero the ``round(sparsity * n)`` weights of lowest score, as above."""
    if scope == "layer" or not scores:
        return {name: _kept(score, sparsity) for name, score in scores.items()}
    flat = _kept(torch.cat([s.flatten() for s in scores.values()]), sparsity)
    parts = torch.split(flat, [s.numel() for s in scores.values()])
    return {name: part.view_as(score) for (name, score), part in zip(scores.items(), parts, strict=True)}


def cubic_sparsity(progress: float, initial: float, final: float, begin: float = 0.0, end: float = 1.0) -> float:
    """Sparsity at ``progress`` (0..1): from ``initial`` at ``begin`` fast, then ever slower to ``final`` at ``end``.

    Source: Zhu & Gupta 2017 (arXiv:1710.01878), equation 1.
    """
    share = min(max((progress - begin) / (end - begin), 0.0), 1.0)
    return final + (initial - final) * (1.0 - share) ** 3


def sparsity_of(masks: Collection[Tensor]) -> float:
    """The fraction of zeros in all masks together; 0 without masks."""
    total = sum(m.numel() for m in masks)
    return 1.0 - sum(int(m.sum()) for m in masks) / total if total else 0.0


def _kept(score: Tensor, sparsity: float) -> Tensor:
    """True except at the ``round(sparsity * n)`` smallest scores; the first ones among equals."""
    flat = score.flatten()
    count = round(sparsity * flat.numel())
    if count == 0:
        return torch.ones_like(score, dtype=torch.bool)
    threshold = torch.kthvalue(flat, count).values
    kept = flat > threshold
    ties = torch.nonzero(flat == threshold).flatten()
    spare = count - int((flat < threshold).sum())
    kept[ties[spare:]] = True
    return kept.view_as(score)


def n_m_mask(score: Tensor, zeros: int, group: int) -> Tensor:
    """True except at the ``zeros`` lowest scores of every ``group`` neighbours; the first ones among equals.

    ``score`` [out, in, ...]: neighbours follow each other along a row [in], of a convolution [height, width, in] (the
    rows of its matrix product). A rest of fewer than ``group`` is kept. Source: Mishra et al. 2021 (arXiv:2104.08378).
    """
    rows = score.movedim(1, -1).flatten(1)
    whole = rows.shape[1] - rows.shape[1] % group
    groups = rows[:, :whole].reshape(-1, group)
    lowest = groups.argsort(dim=1, stable=True)[:, :zeros]
    kept = torch.ones_like(rows, dtype=torch.bool)
    kept[:, :whole] = torch.ones_like(groups, dtype=torch.bool).scatter_(1, lowest, False).reshape(len(rows), whole)
    return kept.view(score.movedim(1, -1).shape).movedim(-1, 1).contiguous()
