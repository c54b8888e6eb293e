"""Several teachers, each trusted image by image (confidence-aware distillation, CA-MKD, Zhang et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import InputError
from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._temperature import SCHEDULES, schedule_knob, temperature_of
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.registry import register
from engine.step import Step

LEAST = 2
TRUST = ("label", "agreement", "equal")


def attention_weights(teachers: Tensor, targets: Tensor) -> Tensor:
    """[K, B] weights of K teachers for each example, each in 0 to 1/(K-1), together 1 (Zhang et al. 2022, eq. 1 and 2).

    ``teachers`` [K, B, C] are logits, ``targets`` [B, C] probabilities. A teacher's weight falls with its share in the
    softmax over the teachers' cross-entropies. Fewer than two teachers raise :class:`InputError`.
    """
    if len(teachers) < LEAST:
        raise InputError("ensemble.teachers", len(teachers), f"at least {LEAST} teachers; the loss kd takes one")
    surprise = -(targets * F.log_softmax(teachers, dim=2)).sum(2)
    return (1 - F.softmax(surprise, dim=0)) / (len(teachers) - 1)


class EnsembleObjective(Objective):
    """(1 - weight) CE over labelled rows + weight T^2 times the trusted mean of KL to each teacher over all rows."""

    def __init__(self, trust: str, temperature: float, weight: float, schedule: str) -> None:
        super().__init__()
        self.trust, self.weight, self.schedule = trust, weight, temperature_of(schedule, temperature)
        self.uses_unlabelled = weight > 0  # without the teachers' term an unlabelled image teaches nothing

    def weights(self, teachers: Tensor, step: Step) -> Tensor:
        """[K, B] how much each of the teachers' logits [K, B, C] counts for each example of the batch."""
        if self.trust == "equal":
            return teachers.new_full(teachers.shape[:2], 1 / len(teachers))
        opinion = F.softmax(teachers, dim=2).mean(0)
        if self.trust == "agreement":
            return attention_weights(teachers, opinion)
        classes = F.one_hot(step.batch.labels.clamp(min=0), teachers.shape[2]).to(opinion.dtype)
        return attention_weights(teachers, classes.where(step.batch.labelled[:, None], opinion))

    def loss(self, step: Step) -> Tensor:
        """The mix for one batch."""
        logits = step.student().logits
        teachers = torch.stack([step.teacher(k=k).logits for k in range(len(step.teachers))])
        temperature = self.schedule.at(step)
        student_log = F.log_softmax(logits / temperature, dim=1)
        teacher_log = F.log_softmax(teachers / temperature, dim=2)
        each = F.kl_div(student_log.expand_as(teacher_log), teacher_log, reduction="none", log_target=True).sum(2)
        soft = temperature**2 * (self.weights(teachers, step) * each).sum(0).mean()
        return (1 - self.weight) * labelled_cross_entropy(logits, step.batch) + self.weight * soft

    def moved(self) -> dict[str, float]:
        """The temperature, where it moves."""
        return self.schedule.moved()


@register
@dataclass(frozen=True)
class Ensemble(Loss):
    """Attention over teachers."""

    name: ClassVar[str] = "ensemble"
    title: ClassVar[str] = "Distillation (several teachers, weighted)"
    help: ClassVar[str] = (
        "Several teachers at once, and for each image the one counts most that knows it best: the one that gives the "
        "right class most probability, or, where there is no label, the one closest to what all say together. A plain "
        "mean would let a weak teacher spoil the lesson on images that another one understands."
    )
    formula: ClassVar[str] = (
        r"L = (1-\alpha)\,\mathrm{CE}(y, p_s) + \alpha\,T^2 \sum_{k=1}^{K} w_k\,\mathrm{KL}\left(p_k^{T} \,\|\, "
        r"p_s^{T}\right), \quad w_k = \frac{1}{K-1}\left(1 - \frac{e^{\ell_k}}{\sum_j e^{\ell_j}}\right), \quad "
        r"\ell_k = \mathrm{CE}(y, p_k)"
    )
    source: ClassVar[str] = (
        "Zhang, Chen, Wang 2022, Confidence-Aware Multi-Teacher Distillation, arXiv:2201.00007, eq. 1-3"
    )
    expect: ClassVar[str] = (
        "At most as good as the best teacher lets it be: a second teacher helps where it is right when the first is "
        "wrong. With K teachers none counts more than 1/(K-1), so that the weights matter most between two."
    )
    least_teachers: ClassVar[int] = LEAST

    trust: str = knob(
        "label",
        help="What a teacher is judged by on each image: the label (where it is hidden, what all teachers say "
        "together), always what they say together, or nothing, which is the plain mean.",
        choices=TRUST,
    )
    temperature: float = knob(
        4.0, 0.5, 20.0, "How much both sides' probabilities are softened before they are compared.", step=0.5, log=True
    )
    weight: float = knob(
        0.9, 0.0, 1.0, "How much the teachers count against the labels: 0 is labels only, 1 ignores them.", step=0.05
    )
    temperature_schedule: str = schedule_knob(*SCHEDULES)

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return EnsembleObjective(self.trust, self.temperature, self.weight, self.temperature_schedule)
