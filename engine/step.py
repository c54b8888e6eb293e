"""Step: one batch as losses and stages see it; forwards are memoised so that BatchNorm moves once a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

NO_LABEL = -1


@dataclass(frozen=True)
class Output:
    """What a forward gives: logits [B * positions, C] and the tensors at the taps asked for, by role."""

    logits: Tensor
    taps: Mapping[str, Tensor] = field(default_factory=dict)


def flat(logits: Tensor) -> Tensor:
    """[..., C] as [M, C]: the answers of a model with several positions an example, one below the other."""
    return logits.flatten(0, -2)


class TeacherSource(Protocol):
    """Where a teacher's outputs come from."""

    def __call__(self, inputs: Tensor, rows: Tensor | None, grad: bool) -> Output:
        """The output for ``inputs``; ``rows`` [B] are their rows in the training split, None for changed inputs.

        ``grad``: gradients may flow back to ``inputs`` (never to the teacher's weights).
        """


@dataclass(frozen=True)
class Batch:
    """``inputs`` [B, ...]; ``index`` [B] their rows in the training split.

    ``labelled`` [B * positions] bool: whose labels may be used; the others' ``labels`` are ``NO_LABEL``.
    """

    inputs: Tensor
    labels: Tensor
    labelled: Tensor
    index: Tensor


class Step:
    """One batch of the loop. ``number`` counts from 0; ``progress`` is the fraction of the phase that is done."""

    def __init__(self, model: nn.Module, batch: Batch, teachers: Sequence[TeacherSource],
                 optimizer: torch.optim.Optimizer, number: int, steps: int,
                 student_reader: Callable[[Tensor], Output] | None = None) -> None:  # fmt: skip
        self.model, self.batch, self.teachers, self.optimizer = model, batch, teachers, optimizer
        self.number, self.progress = number, number / max(steps, 1)
        self._reader = student_reader
        self._memo: dict[Any, tuple[Tensor, Output]] = {}

    def student(self, inputs: Tensor | None = None) -> Output:
        """The student's output for ``inputs`` (default: the batch), with gradient; memoised by tensor."""
        x = self.batch.inputs if inputs is None else inputs
        return self._once(("student", id(x)), x, lambda: self._forward(x))

    def teacher(self, inputs: Tensor | None = None, k: int = 0, grad: bool = False) -> Output:
        """Teacher ``k``'s output: a cache row when ``inputs`` is the batch's own, else a live forward."""
        x = self.batch.inputs if inputs is None else inputs
        rows = self.batch.index if x is self.batch.inputs else None
        return self._once(("teacher", k, grad, id(x)), x, lambda: self.teachers[k](x, rows, grad))

    def _forward(self, x: Tensor) -> Output:
        return self._reader(x) if self._reader else Output(flat(self.model(x)))

    def _once(self, key: Any, x: Tensor, make: Callable[[], Output]) -> Output:
        # the tensor is kept beside its output, so that its id cannot be given to another one within the step
        if key not in self._memo:
            self._memo[key] = (x, make())
        return self._memo[key][1]
