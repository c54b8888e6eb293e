"""Reverse KL divergence: the student's probabilities judge the teacher's (MiniLLM, Gu et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._logits import LogitObjective
from engine.losses._temperature import SCHEDULES, schedule_knob
from engine.losses.kd import softened_kl
from engine.registry import register


class ReverseKLObjective(LogitObjective):
    """KL with the student in front; with classes it is computed exactly, MiniLLM has to sample it for text."""

    def term(self, student: Tensor, teacher: Tensor) -> Tensor:
        """T^2 KL(student || one teacher)."""
        return softened_kl(teacher, student, self.temperature)  # it puts its second argument in front


@register
@dataclass(frozen=True)
class ReverseKL(Loss):
    """KL the other way round."""

    name: ClassVar[str] = "reverse_kl"
    title: ClassVar[str] = "Distillation (reverse KL)"
    help: ClassVar[str] = (
        "Soft targets with the two sides of the KL divergence swapped. The student pays for probability that it puts "
        "where the teacher sees none, and little for leaving out one of the teacher's possibilities: a small student "
        "may settle on what it can do well instead of spreading itself thin."
    )
    formula: ClassVar[str] = (
        r"L = (1-\alpha)\,\mathrm{CE}(y, p_s) + \alpha\,T^2\,\mathrm{KL}\left(p_s^{T} \,\|\, p_t^{T}\right), "
        r"\quad p^{T} = \mathrm{softmax}(z / T)"
    )
    source: ClassVar[str] = "Gu, Dong, Wei, Huang 2023, MiniLLM, arXiv:2306.08543, eq. 1"
    expect: ClassVar[str] = (
        "At high temperatures the same as soft targets: both directions tend to matching logits. At T = 1 a more "
        "decided student, with fewer small probabilities. Its source shows the gain for text, where there are very "
        "many possibilities; among ten classes expect a small difference."
    )

    temperature: float = knob(
        4.0,
        0.5,
        20.0,
        "How much both sides' probabilities are softened before they are compared. The two directions of the "
        "divergence differ most at low temperatures.",
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
        return ReverseKLObjective(self.weight, self.temperature, self.temperature_schedule)
