"""Hints: the student predicts a teacher's inner features through a learned projector (FitNets, Romero et al. 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._features import FeatureObjective, label_weight_knob, layer_knob
from engine.registry import register
from engine.step import Output


def aligned(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Maps [B, C, H, W] averaged to the smaller grid of the two; anything else flattened to [B, features]."""
    if student.ndim != 4 or teacher.ndim != 4:
        return student.flatten(1), teacher.flatten(1)
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    return F.adaptive_avg_pool2d(student, size), F.adaptive_avg_pool2d(teacher, size)


def projector(student: Tensor, teacher: Tensor) -> nn.Module:
    """A fresh linear map from the student's channels to the teacher's: 1x1 for maps, dense for vectors."""
    channels_in, channels_out = student.shape[1], teacher.shape[1]
    return nn.Conv2d(channels_in, channels_out, 1) if student.ndim == 4 else nn.Linear(channels_in, channels_out)


class HintObjective(FeatureObjective):
    """A projector for each teacher; they are trained with the student and left behind afterwards."""

    def __init__(self, layer: str, weight: float, label_weight: float) -> None:
        super().__init__((layer,), weight, label_weight)
        self.layer = layer
        self.projectors = nn.ModuleList()

    def prepare(self, student: Output, teachers: Sequence[Output]) -> None:
        """Projectors of the sizes that the two layers have."""
        pairs = [aligned(student.taps[self.layer], teacher.taps[self.layer]) for teacher in teachers]
        self.projectors = nn.ModuleList(projector(*pair) for pair in pairs)

    def term(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], k: int) -> Tensor:
        """Mean squared error of the projected features."""
        guided, hint = aligned(student[self.layer], teacher[self.layer])
        return F.mse_loss(self.projectors[k](guided), hint)


@register
@dataclass(frozen=True)
class Hint(Loss):
    """Features of an inner layer."""

    name: ClassVar[str] = "hint"
    title: ClassVar[str] = "Distillation (hints from inside)"
    help: ClassVar[str] = (
        "The student is also told what the teacher computes half-way. A small linear map, trained along and thrown "
        "away at the end, translates the student's few channels into the teacher's many; the student learns features "
        "from which the teacher's can be read off."
    )
    formula: ClassVar[str] = (
        r"L = \lambda\,\mathrm{CE}(y, p_s) + \frac{\gamma}{d} \left\lVert F_t - r(F_s) \right\rVert_2^2, \quad "
        r"r(F) = W F + b"
    )
    source: ClassVar[str] = "Romero et al. 2015, FitNets: Hints for Thin Deep Nets, arXiv:1412.6550, eq. 3"
    expect: ClassVar[str] = (
        "Made for thin, deep students that are hard to train. As a first phase without labels it prepares the layers; "
        "a large weight beside the labels spends a small student's channels on features that its own head may not need."
    )

    layer: str = layer_knob("middle_map")
    hint_weight: float = knob(
        1.0, 0.01, 1000.0, "How much the features count. 1 is about as much as the labels at the start.", log=True
    )
    label_weight: float = label_weight_knob()

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return HintObjective(self.layer, self.hint_weight, self.label_weight)
