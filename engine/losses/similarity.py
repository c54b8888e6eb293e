"""Similarity-preserving distillation: which images of a batch resemble each other (Tung and Mori 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._features import FeatureObjective, label_weight_knob, layer_knob
from engine.registry import register


def similarities(features: Tensor) -> Tensor:
    """[B, ...] -> [B, B]: inner products of the examples, each row of length 1."""
    flat = features.flatten(1)
    return F.normalize(flat @ flat.T, dim=1)


def similarity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of the two [B, B] matrices; the features [B, ...] may differ in every other size."""
    return F.mse_loss(similarities(student), similarities(teacher))


class SimilarityObjective(FeatureObjective):
    """One pair of layers."""

    def __init__(self, layer: str, weight: float, label_weight: float) -> None:
        super().__init__((layer,), weight, label_weight)
        self.layer = layer

    def term(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], k: int) -> Tensor:
        """The distance of the similarity matrices."""
        return similarity_distance(student[self.layer], teacher[self.layer])


@register
@dataclass(frozen=True)
class Similarity(Loss):
    """Pairs of examples instead of single ones."""

    name: ClassVar[str] = "similarity"
    title: ClassVar[str] = "Distillation (similar images stay similar)"
    help: ClassVar[str] = (
        "Two images that look alike to the teacher should look alike to the student too. Inside each network every "
        "image of a batch is compared with every other; the student learns the table of similarities, not the "
        "features themselves, so the two networks may differ in every size."
    )
    formula: ClassVar[str] = (
        r"L = \lambda\,\mathrm{CE}(y, p_s) + \frac{\gamma}{n^2} \left\lVert G_t - G_s \right\rVert_F^2, \quad "
        r"G_{[i,:]} = \frac{(Q Q^\top)_{[i,:]}}{\lVert (Q Q^\top)_{[i,:]} \rVert_2}"
    )
    source: ClassVar[str] = "Tung, Mori 2019, Similarity-Preserving Knowledge Distillation, arXiv:1907.09682, eq. 4"
    expect: ClassVar[str] = (
        "A small gain over labels only in its source (0.3 to 1 point on CIFAR-10), and more when summed with soft "
        "targets. The teacher has to run for every batch, so an epoch takes several times as long as with soft targets."
    )

    layer: str = layer_knob("last_map")
    similarity_weight: float = knob(
        3000.0,
        1.0,
        10000.0,
        "How much the similarities count; their squared differences are tiny, hence the large number (3,000 in the "
        "source).",
        log=True,
    )
    label_weight: float = label_weight_knob()

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return SimilarityObjective(self.layer, self.similarity_weight, self.label_weight)
