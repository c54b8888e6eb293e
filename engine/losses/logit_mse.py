"""Matching the teacher's logits by squared error (Ba and Caruana 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.registry import register
from engine.step import Step


class LogitMSEObjective(Objective):
    """Cross-entropy over labelled rows, squared error to the teacher's logits over all rows; mean over teachers."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.uses_unlabelled = weight > 0  # without the teacher's term an unlabelled image teaches nothing

    def loss(self, step: Step) -> Tensor:
        """(1 - weight) CE + weight MSE of one batch; the error is averaged over examples and classes."""
        logits = step.student().logits
        teachers = [step.teacher(k=k).logits for k in range(len(step.teachers))]
        error = sum(F.mse_loss(logits, t) for t in teachers) / len(teachers)
        return (1 - self.weight) * labelled_cross_entropy(logits, step.batch) + self.weight * error


@register
@dataclass(frozen=True)
class LogitMSE(Loss):
    """Squared error of logits."""

    name: ClassVar[str] = "logit_mse"
    title: ClassVar[str] = "Distillation (matching logits)"
    help: ClassVar[str] = (
        "The student copies the teacher's raw scores (logits) instead of its probabilities. Soft targets turn into "
        "this at a very high temperature: every class counts the same, also those that the teacher has ruled out."
    )
    formula: ClassVar[str] = (
        r"L = (1-\alpha)\,\mathrm{CE}(y, p_s) + \frac{\alpha}{C} \left\lVert z_s - z_t \right\rVert_2^2"
    )
    source: ClassVar[str] = "Ba, Caruana 2014, Do Deep Nets Really Need to be Deep?, arXiv:1312.6184, eq. 1"
    expect: ClassVar[str] = (
        "Like soft targets at a high temperature. A small student spends part of its capacity on the scores of classes "
        "that are out of the question anyway."
    )

    weight: float = knob(
        0.9,
        0.0,
        1.0,
        "How much the teacher's logits count against the labels: 0 is training on labels only, 1 ignores the labels.",
        step=0.05,
    )

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return LogitMSEObjective(self.weight)
