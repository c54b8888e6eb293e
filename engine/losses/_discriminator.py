"""A small network that tells a teacher's logits from a student's; it learns by an optimizer of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.losses._base import Objective
from engine.losses.cross_entropy import labelled_cross_entropy
from engine.step import Batch, Step

WIDTH = 64
BETAS = (0.5, 0.999)


class DiscriminatorObjective(Objective):
    """(1 - weight) CE + weight times what it costs to be told from the teacher; the mean over several teachers.

    The discriminator puts out one number for "this is the teacher" and one for each class (its class outputs learn from
    labelled rows only). Before the student's term is computed it makes one step of its own on logits without a graph.
    Between its steps its parameters ask for no gradient, so that neither the loop's optimizer nor a backward pass
    touches them.
    """

    def __init__(self, weight: float, rate: float) -> None:
        super().__init__()
        self.weight, self.rate = weight, rate
        self.uses_unlabelled = weight > 0
        self.judge: nn.Module = nn.Identity()  # made at the first batch, when the number of classes is known
        self.optimizer: torch.optim.Optimizer | None = None

    def loss(self, step: Step) -> Tensor:
        """The mix for one batch; the discriminator learns first."""
        student = step.student().logits
        teachers = [step.teacher(k=k).logits for k in range(len(step.teachers))]
        self.learn(student.detach(), teachers, step.batch)
        fooled = self.judged(student, step.batch, teacher=True)
        return (1 - self.weight) * labelled_cross_entropy(student, step.batch) + self.weight * fooled

    def learn(self, student: Tensor, teachers: list[Tensor], batch: Batch) -> None:
        """One step of the discriminator on logits [B, C] of the student and of each teacher."""
        optimizer = self.optimizer or self._made(student)
        self.judge.requires_grad_(True)
        told = torch.stack([self.judged(t.detach(), batch, teacher=True) for t in teachers]).mean()
        cost = told + self.judged(student, batch, teacher=False)
        parameters = list(self.judge.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(cost, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.judge.requires_grad_(False)

    def judged(self, logits: Tensor, batch: Batch, teacher: bool) -> Tensor:
        """Mean cost of calling ``logits`` [B, C] the teacher's (or the student's), and of their class, in nats."""
        verdict = self.judge(logits)
        side = torch.full_like(verdict[:, 0], float(teacher))
        return F.binary_cross_entropy_with_logits(verdict[:, 0], side) + labelled_cross_entropy(verdict[:, 1:], batch)

    def _made(self, logits: Tensor) -> torch.optim.Optimizer:
        classes = logits.shape[1]
        layers = (nn.Linear(classes, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.judge = nn.Sequential(*layers, nn.Linear(WIDTH, 1 + classes)).to(logits)
        self.optimizer = torch.optim.Adam(self.judge.parameters(), lr=self.rate, betas=BETAS)
        return self.optimizer
