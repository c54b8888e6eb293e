"""Loss (knobs, declared) and Objective (what it builds for one phase)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from engine.modalities import MODALITIES, narrowed

if TYPE_CHECKING:
    from engine.step import Output, Step

TEACHER_MODES = ("none", "cached", "either", "live")


@dataclass(frozen=True)
class LossContext:
    """What a loss may use when it builds its objective.

    ``taps``: the student's, by role, as its ModelSpec maps them. ``inputs`` [N, ...]: those of the training split.
    ``make_student(i)``: a fresh student with initial weights of its own, the i-th besides the one that is trained.
    """

    taps: Mapping[str, str] = field(default_factory=dict)
    inputs: Tensor | None = None
    make_student: Callable[[int], nn.Module] | None = None

    def training_inputs(self) -> Tensor:
        """The inputs of the training split [N, ...]; ValueError where whoever made this context gave none."""
        if self.inputs is None:
            raise ValueError("this loss reads the training inputs: LossContext(inputs=...)")
        return self.inputs

    def another_student(self, number: int) -> nn.Module:
        """What ``make_student(number)`` gives; ValueError where whoever made this context gave none."""
        if self.make_student is None:
            raise ValueError("this loss trains a second student: LossContext(make_student=...)")
        return self.make_student(number)


class Objective(nn.Module):
    """Turns one batch into a scalar. Its own ``parameters()`` join the loop's optimizer.

    Those that require no gradient are left out: an objective with an optimizer of its own (a discriminator, learned
    settings) keeps them so, or in buffers, and random draws come from torch's own generator, which the loop seeds.
    ``student_taps`` and ``teacher_taps`` are roles that ModelSpec maps to module paths; ``teacher_mode`` says whether
    teacher outputs may come from the cache (either: those for the batch's own inputs; for others the teacher runs).
    ``uses_unlabelled`` False: batches are drawn from labelled examples only.
    ``student_paths`` are the module paths of ``student_taps``, filled in by ``training.build_objective``.
    """

    student_taps: tuple[str, ...] = ()
    teacher_taps: tuple[str, ...] = ()
    teacher_mode: str = "cached"
    uses_unlabelled: bool = True
    student_paths: Mapping[str, str] = {}

    def prepare(self, student: Output, teachers: Sequence[Output]) -> None:
        """Make the parameters whose sizes follow from the tapped tensors (a projector, say).

        Called once before the optimizer is built, and only when taps are asked for, with the outputs for two examples.
        """

    def loss(self, step: Step) -> Tensor:
        """The scalar to minimise for one batch."""
        raise NotImplementedError

    def moved(self) -> dict[str, float]:
        """Settings that the objective changes by itself while it trains, by name, as they are now; for the curve."""
        return {}


@dataclass(frozen=True)
class Loss:
    """Declared by a frozen dataclass whose fields are knobs; registered as a class.

    ``least_teachers``: how many teachers a phase with this loss must have, where it needs any. ``modalities``: what
    the examples of a task may be that this loss can be used on (see :class:`engine.tasks._base.Task`).
    """

    kind: ClassVar[str] = "losses"
    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    source: ClassVar[str]
    formula: ClassVar[str]
    expect: ClassVar[str] = ""
    version: ClassVar[int] = 1
    needs_teacher: ClassVar[bool] = True
    least_teachers: ClassVar[int] = 1
    modalities: ClassVar[tuple[str, ...]] = MODALITIES

    def build(self, context: LossContext) -> Objective:
        """The objective of one phase."""
        raise NotImplementedError

    @classmethod
    def facts(cls) -> dict[str, Any]:
        """What the catalogue holds besides words."""
        several = {"least_teachers": cls.least_teachers} if cls.least_teachers > 1 else {}
        return {"needs_teacher": cls.needs_teacher, **several, **narrowed(cls.modalities)}
