"""Unstructured pruning: the weights of smallest magnitude become zero and stay zero."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from engine.registry import register
from engine.stages._scored import ScoredPruning
from engine.weights.constraint import Mask, incoming


@register
@dataclass(frozen=True)
class PruneMagnitude(ScoredPruning):
    """Masks over the weights of convolutions and linear layers."""

    name = "prune_magnitude"
    title = "Prune small weights"
    help = (
        "Sets the smallest weights to zero. The file shrinks because zeros pack well; it is no faster here, because "
        "the kernels multiply zeros like any other number. Biases and BatchNorm are left alone, and so is the first "
        "convolution unless you say otherwise. Repeating it adds zeros and never brings a weight back."
    )
    formula = r"m_i = [\,|w_i| > t\,],\quad s_t = s_f + (s_i - s_f)\left(1 - \frac{t - t_0}{n\,\Delta t}\right)^3"
    source = "Han et al. 2015, arXiv:1506.02626 (magnitude); Zhu & Gupta 2017, arXiv:1710.01878, eq. 1 (gradual)"
    expect = (
        "Half of the weights of a small network can go at a cost of a point or two; gradually, while training, four "
        "fifths. Without training, recalibrate BatchNorm afterwards: it repairs most of the damage."
    )

    def score(self, name: str, mask: Mask, layer: nn.Module) -> Tensor:
        """The weight's magnitude."""
        return incoming(layer, mask).abs()
