"""Decoupled distillation: the right class and the others taught apart (DKD, Zhao et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._temperature import SCHEDULES, schedule_knob, temperature_of
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.registry import register
from engine.step import Step


def decoupled_parts(
    student: Tensor, teacher: Tensor, target: Tensor, temperature: float | Tensor
) -> tuple[Tensor, Tensor]:
    """(TCKD, NCKD), each times T^2, for logits [B, C] and classes [B], in nats, averaged over the B examples.

    TCKD is the KL divergence of (target, everything else), NCKD that among the other classes alone.
    """
    is_target = F.one_hot(target, student.shape[1]).bool()
    student_binary, student_rest = _split(student / temperature, is_target)
    teacher_binary, teacher_rest = _split(teacher / temperature, is_target)
    binary = F.kl_div(student_binary, teacher_binary, reduction="batchmean", log_target=True)
    rest = F.kl_div(student_rest, teacher_rest, reduction="batchmean", log_target=True)
    return temperature**2 * binary, temperature**2 * rest


def _split(logits: Tensor, is_target: Tensor) -> tuple[Tensor, Tensor]:
    """Log probabilities [B, 2] of target and not target, and [B, C - 1] of the others given that it is not."""
    others = logits[~is_target].view(len(logits), -1)
    binary = torch.stack([logits[is_target], others.logsumexp(1)], 1)
    return F.log_softmax(binary, dim=1), F.log_softmax(others, dim=1)


class DecoupledObjective(Objective):
    """CE + alpha TCKD + beta NCKD; where the label may not be used, the teacher's first choice is the target."""

    def __init__(self, temperature: float, alpha: float, beta: float, schedule: str) -> None:
        super().__init__()
        self.schedule, self.alpha, self.beta = temperature_of(schedule, temperature), alpha, beta
        self.uses_unlabelled = alpha + beta > 0

    def loss(self, step: Step) -> Tensor:
        """The mix for one batch, mean over the teachers."""
        logits, temperature = step.student().logits, self.schedule.at(step)
        terms = [self._term(logits, step.teacher(k=k).logits, step, temperature) for k in range(len(step.teachers))]
        return labelled_cross_entropy(logits, step.batch) + torch.stack(terms).mean()

    def moved(self) -> dict[str, float]:
        """The temperature, where it moves."""
        return self.schedule.moved()

    def _term(self, student: Tensor, teacher: Tensor, step: Step, temperature: float | Tensor) -> Tensor:
        target = step.batch.labels.where(step.batch.labelled, teacher.argmax(1))
        binary, rest = decoupled_parts(student, teacher, target, temperature)
        return self.alpha * binary + self.beta * rest


@register
@dataclass(frozen=True)
class Decoupled(Loss):
    """Two parts of the KL divergence with weights of their own."""

    name: ClassVar[str] = "decoupled"
    title: ClassVar[str] = "Distillation (right and wrong classes apart)"
    help: ClassVar[str] = (
        "Soft targets hold two lessons: how sure the teacher is of the right class, and how it ranks the wrong ones. "
        "Ordinarily the second counts less the surer the teacher is; here each gets a weight of its own."
    )
    formula: ClassVar[str] = (
        r"L = \mathrm{CE}(y, p_s) + T^2 \left[ \alpha\,\mathrm{KL}(b_t \,\|\, b_s) + "
        r"\beta\,\mathrm{KL}(\hat p_t \,\|\, \hat p_s) \right], \quad b = (p_y, 1 - p_y), \; "
        r"\hat p_c = \frac{p_c}{1 - p_y}, \; c \neq y"
    )
    source: ClassVar[str] = "Zhao et al. 2022, Decoupled Knowledge Distillation, arXiv:2203.08679, eq. 7"
    expect: ClassVar[str] = (
        "More from the wrong classes where the teacher is very sure. Its source gains 1 to 2 points over soft targets "
        "on CIFAR-100 in 240 epochs; with ten classes and few epochs expect less, and lower beta if the loss jumps."
    )

    temperature: float = knob(
        4.0, 0.5, 20.0, "How much both sides' probabilities are softened before they are compared.", step=0.5, log=True
    )
    alpha: float = knob(1.0, 0.0, 10.0, "How much the teacher's sureness of the right class counts.", step=0.5)
    beta: float = knob(8.0, 0.0, 20.0, "How much the teacher's ranking of the wrong classes counts.", step=0.5)
    temperature_schedule: str = schedule_knob(*SCHEDULES)

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return DecoupledObjective(self.temperature, self.alpha, self.beta, self.temperature_schedule)
