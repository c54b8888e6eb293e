"""Knowledge distillation with softened probabilities (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._temperature import SCHEDULES, schedule_knob, temperature_of
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.registry import register
from engine.step import Step


def softened_kl(student: Tensor, teacher: Tensor, temperature: float | Tensor) -> Tensor:
    """T^2 KL(teacher || student) at temperature T for logits [B, C], in nats, averaged over the B examples.

    The factor T^2 undoes the 1/T^2 by which softening shrinks the gradient (Hinton et al. 2015, section 2.1).
    """
    student_log = F.log_softmax(student / temperature, dim=1)
    teacher_log = F.log_softmax(teacher / temperature, dim=1)
    return temperature**2 * F.kl_div(student_log, teacher_log, reduction="batchmean", log_target=True)


class KDObjective(Objective):
    """Cross-entropy over labelled rows, KL to the teacher over all rows; with several teachers, their mean KL."""

    def __init__(self, temperature: float, weight: float, schedule: str = "fixed") -> None:
        super().__init__()
        self.schedule, self.weight = temperature_of(schedule, temperature), weight
        self.uses_unlabelled = weight > 0  # without the teacher's term an unlabelled image teaches nothing

    def loss(self, step: Step) -> Tensor:
        """(1 - weight) CE + weight T^2 KL of one batch."""
        logits = step.student().logits
        teachers = [step.teacher(k=k).logits for k in range(len(step.teachers))]
        temperature = self.schedule.at(step)
        soft = sum(softened_kl(logits, t, temperature) for t in teachers) / len(teachers)
        return (1 - self.weight) * labelled_cross_entropy(logits, step.batch) + self.weight * soft

    def moved(self) -> dict[str, float]:
        """The temperature, where it moves."""
        return self.schedule.moved()


@register
@dataclass(frozen=True)
class KD(Loss):
    """Soft targets."""

    name: ClassVar[str] = "kd"
    title: ClassVar[str] = "Distillation (soft targets)"
    help: ClassVar[str] = (
        "The student learns to give the same probabilities as the teacher, not only the right class. A shirt that "
        "looks a little like a coat is taught as such: which classes the teacher finds similar "
        "is knowledge beyond the label."
    )
    formula: ClassVar[str] = (
        r"L = (1-\alpha)\,\mathrm{CE}(y, p_s) + \alpha\,T^2\,\mathrm{KL}\left(p_t^{T} \,\|\, p_s^{T}\right), "
        r"\quad p^{T} = \mathrm{softmax}(z / T)"
    )
    source: ClassVar[str] = "Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531"
    expect: ClassVar[str] = (
        "With all labels about 0.7 to 1 point over labels only at T = 2 to 4, and hardly anything from T = 8 on. With "
        "few labels and the other images unlabelled 4 to 14 points, mostly because the teacher has seen all labels."
    )

    temperature: float = knob(
        4.0,
        0.5,
        20.0,
        "How much the teacher's probabilities are softened before the student copies them. At 1 they are the teacher's "
        "own, mostly close to 0 or 1; a higher temperature shows which wrong classes it finds likely.",
        step=0.5,
        log=True,
    )
    weight: float = knob(
        0.9,
        0.0,
        1.0,
        "How much the teacher counts against the labels: 0 is training on labels only, 1 ignores the labels.",
        step=0.05,
    )
    temperature_schedule: str = schedule_knob(*SCHEDULES)

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return KDObjective(self.temperature, self.weight, self.temperature_schedule)
