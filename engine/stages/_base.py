"""Stage: a compression method, declared by a frozen dataclass whose fields are knobs; registered as a class."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from engine.knobs import knob
from engine.modalities import MODALITIES, narrowed
from engine.weights.constraint import mark_tied

if TYPE_CHECKING:
    from engine.step import Step

LAYERS_HELP = "Which layers to act on, as a pattern over their names (* means all that the method can act on)."


@dataclass
class StageContext:
    """What a stage may use. ``calibration``: labelled training batches [(inputs, labels), ...], 512 examples in all.

    ``loss(inputs, labels)`` is the phase's plain loss for scores by gradient; ``steps`` is the number of optimizer
    steps of the phase (0 when it only applies); ``initial()`` gives the untrained student in its present shape.
    """

    calibration: Sequence[tuple[Tensor, Tensor]]
    example: Tensor
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor]
    generator: torch.Generator
    steps: int = 0
    initial: Callable[[], nn.Module] | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Stage:
    """Every hook does nothing by default; they are called in the order written here.

    ``order`` is one of shape, mask, quantizer, recalibration. ``needs_epochs`` names knob values that act only
    while training: ``{"schedule": ("gradual",)}``. ``modalities``: what the examples of a task may be that this stage
    can be used on (see :class:`engine.tasks._base.Task`).
    """

    kind: ClassVar[str] = "stages"
    name: ClassVar[str]
    title: ClassVar[str]
    help: ClassVar[str]
    source: ClassVar[str]
    formula: ClassVar[str]
    order: ClassVar[str]
    expect: ClassVar[str] = ""
    version: ClassVar[int] = 1
    needs_epochs: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    modalities: ClassVar[tuple[str, ...]] = MODALITIES

    layers: str = knob("*", help=LAYERS_HELP, advanced=True)

    def plan(self, model: nn.Module, context: StageContext) -> list[Any]:
        """Decide on structure: JSON operations that :meth:`attach` replays on a fresh copy of the model."""
        return []

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """Change the structure: shapes, parametrizations, quantizers at taps. Deterministic, no data."""

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """Set values before training or applying: masks, scales."""

    def before_step(self, step: Step) -> None:
        """Before the optimizer's step; gradients are there."""

    def after_step(self, step: Step) -> None:
        """After the optimizer's step."""

    def penalty(self, model: nn.Module) -> Tensor | float:
        """Added to the loss at each step."""
        return 0.0

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """After the phase's last step, or at once with 0 epochs."""

    def selected(self, model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> Iterator[tuple[str, nn.Module]]:
        """Layers of the given classes whose names match ``layers``."""
        mark_tied(model)
        for name, module in model.named_modules():
            if isinstance(module, kinds) and fnmatch.fnmatchcase(name, self.layers):
                yield name, module

    @classmethod
    def facts(cls) -> dict[str, Any]:
        """What the catalogue holds besides words."""
        needs = {k: list(v) for k, v in cls.needs_epochs.items()}
        return {"order": cls.order, "needs_epochs": needs, **narrowed(cls.modalities)}
