"""Attention transfer: where in the image a layer is active (Zagoruyko and Komodakis 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import TrialFailedError
from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._features import MAPS, FeatureObjective, label_weight_knob, layer_knob
from engine.losses.hint import aligned
from engine.registry import register

SCOPES = ("global", "local", "hierarchical")


def activity(features: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, H, W]: the mean over channels of the squares (F_sum^2 up to a factor that drops out)."""
    if features.ndim != 4:
        raise TrialFailedError(f"attention needs maps [B, C, H, W], this layer gives {list(features.shape)}")
    return features.square().mean(1)


def attention_distance(student: Tensor, teacher: Tensor, regions: int = 1) -> Tensor:
    """Mean squared difference of the attention of maps [B, C, H, W] (any C; averaged to the smaller grid of the two).

    With ``regions`` > 1 the grid is cut into regions x regions windows and each is brought to length 1 on its own.
    """
    pair = aligned(activity(student)[:, None], activity(teacher)[:, None])
    found = []
    for window_s, window_t in zip(*(_windows(side, regions) for side in pair), strict=True):
        found.append((F.normalize(window_s.flatten(1)) - F.normalize(window_t.flatten(1))).square())
    return torch.cat(found, 1).mean()


def _windows(grid: Tensor, regions: int) -> list[Tensor]:
    """[B, 1, H, W] in nearly equal windows of at least two places a side: one place alone has no attention."""
    tall, wide = (max(1, min(regions, size // 2)) for size in grid.shape[2:])
    rows = torch.tensor_split(grid, tall, dim=2)
    return [window for row in rows for window in torch.tensor_split(row, wide, dim=3)]


class AttentionObjective(FeatureObjective):
    """One pair of layers as a whole or in windows, or all three depths."""

    def __init__(self, attention: Attention) -> None:
        roles = MAPS if attention.scope == "hierarchical" else (attention.layer,)
        super().__init__(roles, attention.attention_weight, attention.label_weight)
        self.regions = attention.regions if attention.scope == "local" else 1

    def term(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], k: int) -> Tensor:
        """The sum over the layers, as in the source."""
        return torch.stack([attention_distance(student[r], teacher[r], self.regions) for r in self.student_taps]).sum()


@register
@dataclass(frozen=True)
class Attention(Loss):
    """Where instead of what."""

    name: ClassVar[str] = "attention"
    title: ClassVar[str] = "Distillation (look where the teacher looks)"
    help: ClassVar[str] = (
        "A layer's attention is a small picture of where in the image it is active. The student learns to be active at "
        "the same places as the teacher: over the whole map (global), within each region of it (local), or at three "
        "depths at once, from fine edges to whole objects (hierarchical)."
    )
    formula: ClassVar[str] = (
        r"L = \lambda\,\mathrm{CE}(y, p_s) + \gamma \sum_{j} \frac{1}{d_j} \left\lVert "
        r"\frac{q_s^{j}}{\lVert q_s^{j} \rVert_2} - \frac{q_t^{j}}{\lVert q_t^{j} \rVert_2} \right\rVert_2^2, \quad "
        r"q = \mathrm{vec}\Big(\sum_c F_c^2\Big)"
    )
    source: ClassVar[str] = (
        "Zagoruyko, Komodakis 2017, Paying More Attention to Attention, arXiv:1612.03928, eq. 2, with mean squares as "
        "in the authors' code; the windows of the local scope are this project's"
    )
    expect: ClassVar[str] = (
        "A small gain over labels only in its source (about 0.3 to 0.6 points on CIFAR-10, hierarchical), and one that "
        "adds up with soft targets. In small centred photographs there is not much to look away from: at the source's "
        "weight a student of 5,000 weights lost 4.7 points in two epochs here."
    )

    scope: str = knob("hierarchical", help="Whether the whole map of one layer, regions of it, or the maps of three "
                      "depths are compared.", choices=SCOPES)  # fmt: skip
    layer: str = layer_knob("middle_map", MAPS)
    regions: int = knob(2, 2, 4, "Into how many regions a side is cut (local scope only), none under 2x2 places.")
    attention_weight: float = knob(
        1000.0, 1.0, 10000.0, "How much attention counts; its squares are tiny (1,000 in the source).", log=True
    )
    label_weight: float = label_weight_knob()

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return AttentionObjective(self)
