"""Bench: what one recipe is worked on with; its data and declarations, looked up once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from engine import cuda, progress, registry, transfer
from engine.home import Home
from engine.model_spec import ModelSpec
from engine.recipe import Recipe
from engine.stages._base import StageContext
from engine.step import NO_LABEL, flat
from engine.tasks._base import Split, Task
from engine.teaching import forward

CALIBRATION_EXAMPLES, CALIBRATION_BLOCKS = 512, 64  # blocks of running text hold many labels each
CALIBRATION_BATCH = 128

Report = Callable[[dict[str, Any]], None]


def _silent(_event: dict[str, Any]) -> None:
    pass


@dataclass(frozen=True)
class Bench:
    """What one recipe is worked on with; data and specs are looked up once.

    ``report`` takes progress as plain data; ``breathe`` is called at every step, so that a latency
    measurement can wait for a moment without competitors.
    """

    recipe: Recipe
    home: Home
    report: Report = _silent
    breathe: Callable[[], None] = field(default=lambda: None)
    lead: progress.Lead = field(default_factory=progress.Lead)

    @cached_property
    def task(self) -> Task:
        """The recipe's task."""
        task: Task = registry.get("tasks", self.recipe.task)
        return task

    @cached_property
    def spec(self) -> ModelSpec:
        """The student's declaration."""
        spec: ModelSpec = registry.get("models", self.recipe.student)
        return spec

    @cached_property
    def training(self) -> Split:
        """The training split as far as the student may see it."""
        return transfer.without(self.task, self.recipe)

    @cached_property
    def labelled(self) -> Tensor:
        """Rows of :attr:`training` whose labels may be used."""
        return self.task.labelled(self.training.labels, self.recipe.labels, self.recipe.seed)

    @cached_property
    def calibration(self) -> list[tuple[Tensor, Tensor]]:
        """512 training examples (64 blocks of running text) in batches; labels that may not be used are -1."""
        train = self.training
        generator = torch.Generator().manual_seed(self.recipe.seed)
        count = CALIBRATION_EXAMPLES if self.task.positions == 1 else CALIBRATION_BLOCKS
        rows = torch.randperm(len(train), generator=generator)[:count]
        labels = torch.full_like(train.labels, NO_LABEL)
        labels[self.labelled] = train.labels[self.labelled]
        return [(train.inputs[r], labels[r]) for r in torch.split(rows, CALIBRATION_BATCH)]

    def quality(self, model: nn.Module) -> float:
        """The task's metric on validation, from the training graph (the artifact is measured at the end)."""
        inputs = self.task.split(self.recipe.data, "validation").inputs
        return self.task.quality(forward(model, inputs), self.targets("validation")).value

    def targets(self, split: str, count: int | None = None) -> Tensor:
        """Labels [M] of a split, those of its first ``count`` answers; M = examples times positions."""
        return self.task.split(self.recipe.data, split).labels.flatten()[:count]

    @cached_property
    def device(self) -> torch.device:
        """Where students train and stages act; between phases, and to be measured, they are on the CPU."""
        return cuda.resolve()

    @cached_property
    def example(self) -> Tensor:
        """Two training examples, for tracing and counting."""
        return self.calibration[0][0][:2].contiguous()

    def inputs(self, split: str) -> npt.NDArray[Any]:
        """The inputs of a split as an artifact takes them: float32, token ids int64."""
        found: npt.NDArray[Any] = self.task.split(self.recipe.data, split).inputs.contiguous().numpy()
        return found

    def context(self, number: int, steps: int) -> StageContext:
        """What the stages of phase ``number`` may use; the generator depends on seed and phase alone."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1009 + number)
        calibration = [(inputs.to(self.device), labels.to(self.device)) for inputs, labels in self.calibration]
        example, device = calibration[0][0][:1], str(self.device)
        return StageContext(calibration, example, _plain_loss, generator, steps, device=device)

    def fresh(self) -> nn.Module:
        """The student with its initial weights, which depend on the seed alone."""
        torch.manual_seed(self.recipe.seed)
        # one memory format from the start: a resumed student must compute bit for bit like one in memory
        return self.spec.make().to(memory_format=torch.channels_last)

    def peer(self, seed: int) -> nn.Module:
        """Another untrained student, with the initial weights of ``seed``; torch's generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.spec.make()


def _plain_loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(flat(model(inputs)), labels.flatten(), ignore_index=NO_LABEL)
