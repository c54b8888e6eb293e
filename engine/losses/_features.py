"""What the losses on inner tensors share: which layer they look at, and how their term joins the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Objective
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.step import Step

MAPS = ("first_map", "middle_map", "last_map")


class FeatureObjective(Objective):
    """label_weight CE over labelled rows + weight times :meth:`term` over all rows; the mean over several teachers."""

    teacher_mode = "live"  # inner tensors of the whole training set would not fit where its logits do

    def __init__(self, roles: tuple[str, ...], weight: float, label_weight: float) -> None:
        super().__init__()
        self.student_taps = self.teacher_taps = roles
        self.weight, self.label_weight = weight, label_weight
        self.uses_unlabelled = weight > 0  # without the teacher's term an unlabelled image teaches nothing

    def term(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], k: int) -> Tensor:
        """The distance of the student's tapped tensors [B, ...] from those of teacher ``k``, by role."""
        raise NotImplementedError

    def loss(self, step: Step) -> Tensor:
        """The mix for one batch."""
        student = step.student()
        terms = [self.term(student.taps, step.teacher(k=k).taps, k) for k in range(len(step.teachers))]
        hard = labelled_cross_entropy(student.logits, step.batch)
        return self.label_weight * hard + self.weight * torch.stack(terms).mean()


def layer_knob(default: str, choices: tuple[str, ...] = (*MAPS, "last_feature")) -> Any:
    """Which pair of layers is compared."""
    words = "Which layers are compared, by their place: the maps after the first, a middle or the last group of layers"
    more = ", or the features that the last layer turns into classes" if "last_feature" in choices else ""
    return knob(default, help=f"{words}{more}.", choices=choices)


def label_weight_knob() -> Any:
    """How much the labels count."""
    return knob(
        1.0,
        0.0,
        1.0,
        "How much the labels count beside this term. At 0 the student sees the teacher only: for a first phase that "
        "prepares the layers, or where another loss of the sum brings the labels. With few labels a batch holds one or "
        "two labelled images only: add soft targets then.",
        step=0.05,
    )
