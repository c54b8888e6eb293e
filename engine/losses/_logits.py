"""What the losses on logits share: labels for labelled rows, a term to the teacher for all rows."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.losses._base import Objective
from engine.losses._temperature import Temperature, temperature_of
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.step import Step


class LogitObjective(Objective):
    """(1 - weight) CE over labelled rows + weight times :meth:`term` over all rows; the mean over several teachers.

    ``temperature`` is the present one; it moves where ``schedule`` says so.
    """

    def __init__(self, weight: float, temperature: float = 1.0, schedule: str = "fixed") -> None:
        super().__init__()
        self.weight = weight
        self.temperature: float | Tensor = temperature
        self.schedule: Temperature = temperature_of(schedule, temperature)
        self.uses_unlabelled = weight > 0  # without the teacher's term an unlabelled image teaches nothing

    def term(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The distance of logits [B, C] from one teacher's logits [B, C], averaged over the B examples."""
        raise NotImplementedError

    def loss(self, step: Step) -> Tensor:
        """The mix for one batch."""
        logits = step.student().logits
        self.temperature = self.schedule.at(step)
        terms = [self.term(logits, step.teacher(k=k).logits) for k in range(len(step.teachers))]
        hard = labelled_cross_entropy(logits, step.batch)
        return (1 - self.weight) * hard + self.weight * torch.stack(terms).mean()

    def moved(self) -> dict[str, float]:
        """The temperature, where it moves."""
        return self.schedule.moved()
