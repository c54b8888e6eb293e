"""A weighted sum of objectives: what a list of losses in a recipe means."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.losses._base import TEACHER_MODES, Objective
from engine.step import Output, Step


class SumObjective(Objective):
    """``factors[i] * parts[i]``, added up. The student still runs once a step: Step memoises its forward."""

    def __init__(self, parts: Sequence[Objective], factors: Sequence[float]) -> None:
        super().__init__()
        self.parts, self.factors = nn.ModuleList(parts), tuple(factors)
        self.student_taps = tuple(dict.fromkeys(t for p in parts for t in p.student_taps))
        self.teacher_taps = tuple(dict.fromkeys(t for p in parts for t in p.teacher_taps))
        self.teacher_mode = max((p.teacher_mode for p in parts), key=TEACHER_MODES.index)
        self.uses_unlabelled = any(p.uses_unlabelled for p in parts)

    def prepare(self, student: Output, teachers: Sequence[Output]) -> None:
        """Every part that reads taps sees them all."""
        for part in self._objectives():
            part.prepare(student, teachers)

    def loss(self, step: Step) -> Tensor:
        """The sum for one batch."""
        terms = [f * p.loss(step) for f, p in zip(self.factors, self._objectives(), strict=True)]
        return torch.stack(terms).sum()

    def moved(self) -> dict[str, float]:
        """What any part moves; of two of one name the first."""
        return {name: value for part in reversed(self._objectives()) for name, value in part.moved().items()}

    def _objectives(self) -> list[Objective]:
        # by its class: indexing nn.ModuleList loses the objectives' type
        return [part for part in self.parts if isinstance(part, Objective)]
