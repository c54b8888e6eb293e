"""Generalized Jensen-Shannon divergence between teacher and student (GKD, Agarwal et al. 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._logits import LogitObjective
from engine.losses._temperature import SCHEDULES, schedule_knob
from engine.registry import register


def generalized_jsd(student: Tensor, teacher: Tensor, beta: float, temperature: float | Tensor) -> Tensor:
    """T^2 JSD_beta(teacher || student) for logits [B, C] and 0 < beta < 1, in nats, averaged over the B examples."""
    student_log = F.log_softmax(student / temperature, dim=1)
    teacher_log = F.log_softmax(teacher / temperature, dim=1)
    middle = torch.logaddexp(teacher_log + math.log(beta), student_log + math.log1p(-beta))
    from_teacher = F.kl_div(middle, teacher_log, reduction="batchmean", log_target=True)
    from_student = F.kl_div(middle, student_log, reduction="batchmean", log_target=True)
    return temperature**2 * (beta * from_teacher + (1 - beta) * from_student)


class JSDObjective(LogitObjective):
    """Both sides are compared with their mixture."""

    def __init__(self, beta: float, weight: float, temperature: float, schedule: str) -> None:
        super().__init__(weight, temperature, schedule)
        self.beta = beta

    def term(self, student: Tensor, teacher: Tensor) -> Tensor:
        """T^2 JSD with one teacher."""
        return generalized_jsd(student, teacher, self.beta, self.temperature)


@register
@dataclass(frozen=True)
class JSD(Loss):
    """Between forward and reverse KL."""

    name: ClassVar[str] = "jsd"
    title: ClassVar[str] = "Distillation (Jensen-Shannon)"
    help: ClassVar[str] = (
        "Compares teacher and student with a mixture of both instead of with each other. However far apart they are, "
        "the divergence stays bounded, so that single odd images cannot dominate a batch. Beta leads from soft targets "
        "(near 0) to the reverse KL divergence (near 1)."
    )
    formula: ClassVar[str] = (
        r"L = (1-\alpha)\,\mathrm{CE}(y, p_s) + \alpha\,T^2 \left[ \beta\,\mathrm{KL}(p_t^{T} \,\|\, m) + "
        r"(1-\beta)\,\mathrm{KL}(p_s^{T} \,\|\, m) \right], \quad m = \beta p_t^{T} + (1-\beta) p_s^{T}"
    )
    source: ClassVar[str] = "Agarwal et al. 2023, Generalized Knowledge Distillation, arXiv:2306.13649, eq. 1"
    expect: ClassVar[str] = (
        "Close to soft targets among ten classes. The term is smaller than a KL divergence (about a quarter of it at "
        "beta 0.5 when both are alike), so that the labels count relatively more at the same weight."
    )

    beta: float = knob(
        0.5,
        0.05,
        0.95,
        "The teacher's share of the mixture. Near 0 the student covers all that the teacher finds possible, near 1 it "
        "avoids what the teacher finds impossible; 0.5 treats both alike.",
        step=0.05,
    )
    temperature: float = knob(
        4.0, 0.5, 20.0, "How much both sides' probabilities are softened before they are mixed.", step=0.5, log=True
    )
    weight: float = knob(
        0.9, 0.0, 1.0, "How much the teacher counts against the labels: 0 is labels only, 1 ignores them.", step=0.05
    )
    temperature_schedule: str = schedule_knob(*SCHEDULES)

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return JSDObjective(self.beta, self.weight, self.temperature, self.temperature_schedule)
