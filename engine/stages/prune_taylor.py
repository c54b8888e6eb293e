"""Unstructured pruning by the squared first-order change of the loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.registry import register
from engine.stages._gradients import GradientPruning


@register
@dataclass(frozen=True)
class PruneTaylor(GradientPruning):
    """The mean over small batches of (gradient times weight) squared."""

    name = "prune_taylor"
    title = "Prune by effect on the loss"
    help = (
        "Estimates for each weight how much the loss would change without it (gradient times weight, squared, "
        "averaged over small batches of training images) and sets those of least effect to zero. At once it asks 512 "
        "images; gradually it goes on asking at every step. A large weight that the loss does not feel goes too."
    )
    formula = r"I_i = \mathbb{E}_{\text{batch}}\!\left[\left(\frac{\partial L}{\partial w_i}\,w_i\right)^{2}\right]"
    source = (
        "Molchanov et al. 2019, arXiv:1906.10771, eq. 8; Molchanov et al. 2017, arXiv:1611.06440; gradual: Zhu & "
        "Gupta 2017, arXiv:1710.01878, eq. 1"
    )
    expect = (
        "About as good as pruning small weights at moderate zeros, and better where layers differ much in scale, "
        "because it compares weights by what they do and not by their size."
    )

    def term(self, product: Tensor) -> Tensor:
        """The square: effects of opposite sign must not cancel."""
        return product.square()
