"""What the tests of losses share: given logits as student and teacher, in double precision."""

from __future__ import annotations

import torch
from tiny_training import plan
from torch import Tensor, nn

from engine.losses._base import Loss, LossContext
from engine.step import NO_LABEL, Batch, Step
from engine.training import CachedTeacher, build_optimizer

BATCH, CLASSES = 8, 10


def logits(seed: int) -> Tensor:
    """[8, 10], double precision so that closed forms can be met closely."""
    return 3 * torch.randn(BATCH, CLASSES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Given(nn.Module):
    """A student whose logits are its weights."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values.clone())

    def forward(self, _inputs: Tensor) -> Tensor:
        return self.values


def step_of(student: Tensor, teachers: list[Tensor], labelled: Tensor | None = None) -> tuple[Step, Given]:
    """A step whose student and teachers give these logits; labels are 0, 1, 2, ..."""
    mask = torch.ones(len(student), dtype=torch.bool) if labelled is None else labelled
    labels = (torch.arange(len(student)) % student.shape[1]).where(mask, NO_LABEL)
    batch = Batch(torch.zeros(len(student), 1), labels, mask, torch.arange(len(student)))
    model = Given(student)
    return Step(model, batch, [CachedTeacher(t) for t in teachers], build_optimizer(model, plan()), 0, 1), model


def gradient(loss: Loss, student: Tensor, teacher: Tensor) -> Tensor:
    """d loss / d logits [B, C]."""
    step, model = step_of(student, [teacher])
    loss.build(LossContext()).loss(step).backward()
    assert model.values.grad is not None
    return model.values.grad


def value(loss: Loss, student: Tensor, *teachers: Tensor, labelled: Tensor | None = None) -> Tensor:
    """The loss of one batch; labels are 0, 1, 2, ..."""
    step, _ = step_of(student, list(teachers), labelled)
    return loss.build(LossContext()).loss(step)
