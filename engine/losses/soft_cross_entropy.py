"""Cross-entropy with the teacher's softened probabilities as targets (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from engine.knobs import knob
from engine.losses._base import Loss, LossContext, Objective
from engine.losses._logits import LogitObjective
from engine.losses._temperature import schedule_knob
from engine.registry import register


def softened_cross_entropy(student: Tensor, teacher: Tensor, temperature: float | Tensor) -> Tensor:
    """-T^2 sum_c p_t(c) log p_s(c) at temperature T for logits [B, C], in nats, averaged over the B examples."""
    targets = F.softmax(teacher / temperature, dim=1)
    return temperature**2 * F.cross_entropy(student / temperature, targets)


class SoftCrossEntropyObjective(LogitObjective):
    """The loss of Hinton et al. as they wrote it."""

    def term(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Cross-entropy with one teacher's soft targets."""
        return softened_cross_entropy(student, teacher, self.temperature)


@register
@dataclass(frozen=True)
class SoftCrossEntropy(Loss):
    """Soft targets in a cross-entropy."""

    name: ClassVar[str] = "soft_cross_entropy"
    title: ClassVar[str] = "Distillation (cross-entropy with soft targets)"
    help: ClassVar[str] = (
        "Cross-entropy as with labels, but the target is the teacher's whole probability instead of one right class. "
        "It differs from soft targets with a KL divergence by the teacher's own uncertainty only, which no student can "
        "change: both push the student in exactly the same direction, the number of the loss is larger."
    )
    formula: ClassVar[str] = (
        r"L = (1-\alpha)\,\mathrm{CE}(y, p_s) - \frac{\alpha\,T^2}{n} \sum_{i=1}^{n} \sum_{c} "
        r"p_{t,i}^{T}(c)\, \log p_{s,i}^{T}(c), \quad p^{T} = \mathrm{softmax}(z / T)"
    )
    source: ClassVar[str] = "Hinton, Vinyals, Dean 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531"
    expect: ClassVar[str] = (
        "The same student as with soft targets at the same temperature and weight, up to rounding. The curve of the "
        "loss lies higher and cannot fall below the teacher's uncertainty times the square of T."
    )

    temperature: float = knob(
        4.0,
        0.5,
        20.0,
        "How much the teacher's probabilities are softened before they become targets. At 1 they are mostly close to "
        "0 or 1; a higher temperature shows which wrong classes the teacher finds likely.",
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
    # never learned: the adversary would only raise the teacher's entropy, of which the student feels nothing
    temperature_schedule: str = schedule_knob("fixed", "annealed")

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        return SoftCrossEntropyObjective(self.weight, self.temperature, self.temperature_schedule)
