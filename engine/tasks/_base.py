"""Task: the data, the metric and the words of one problem, registered as an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from engine.result import Quality


@dataclass(frozen=True)
class Split:
    """Examples of one split, in memory: ``inputs`` [N, ...] ready for a model, ``labels`` [N] int64.

    A task with T positions an example (a language model) has ``labels`` [N, T].
    """

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Task:
    """Subclass, set the class attributes, implement the methods, register one instance.

    ``hashes`` maps a data set-up ("sample", "full") to the hash that enters every key. ``default`` is the default run
    as a recipe in JSON. ``train_size`` is the size of the sample's training split. ``modality`` is what an example is:
    image [channels, height, width], text (token ids [T], 0 is padding) or tokens (ids of running text [T]).
    ``positions``: for how many places of an example the model answers; losses and measures see M = N * positions
    answers, example by example: logits [M, classes] and labels [M].
    """

    kind: ClassVar[str] = "tasks"
    name: str
    title: str
    help: str
    source: str
    licence: str
    caveat: str
    metric: str
    direction: str = "maximize"
    classes: int
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    train_size: int
    hashes: Mapping[str, str]
    default: Mapping[str, Any]
    version: int = 1
    modality: str = "image"
    positions: int = 1

    def split(self, data: str, name: str) -> Split:
        """``name`` is train, validation or test. Raises FileError with the remedy where data is not installed."""
        raise NotImplementedError

    def shipped_outputs(self, teacher: str, data: str, split: str) -> Tensor | None:
        """A shipped teacher's logits [N, classes] ([N, positions, classes]), or None when none are shipped."""
        raise NotImplementedError

    def quality(self, logits: Tensor, labels: Tensor) -> Quality:
        """The task's metric with its 95 % interval, of logits [M, classes] and labels [M]."""
        raise NotImplementedError

    def kept(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[N, K] of a trial's answers on validation: what stays in the store for paired comparisons and pages.

        The logits themselves where that is little; else one score an example, [N, 1], whose mean is the quality.
        """
        return logits

    def metrics(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None) -> dict[str, float]:
        """All measures of a finished trial by name."""
        raise NotImplementedError

    def labelled(self, labels: Tensor, count: int | None, seed: int) -> Tensor:
        """Indices [count] of the labelled training examples, balanced over classes, drawn by ``seed``."""
        if count is None:
            return torch.arange(len(labels))
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(labels), generator=generator)
        if labels.ndim > 1:  # every example holds labels of many classes
            return order[:count].sort().values
        rank = torch.zeros(len(labels), dtype=torch.long)
        for label in range(self.classes):
            mine = order[labels[order] == label]
            rank[mine] = torch.arange(len(mine))
        chosen = order[torch.argsort(rank[order], stable=True)[:count]]
        return chosen.sort().values

    def facts(self) -> dict[str, Any]:
        """What the catalogue holds besides words."""
        names = ("licence", "caveat", "metric", "direction", "classes", "train_size")
        row: dict[str, Any] = {name: getattr(self, name) for name in names}
        row |= {"class_names": list(self.class_names), "input_shape": list(self.input_shape)}
        row |= {"modality": self.modality, "positions": self.positions}
        row |= {"hashes": dict(self.hashes), "default": dict(self.default)}
        return row
