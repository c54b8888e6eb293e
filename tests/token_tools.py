"""A made-up task of running text and a tiny model for it: what a language model needs of the engine."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from engine.result import Quality
from engine.tasks._base import Split, Task

WORDS, PLACES = 7, 5


def cycle(count: int, seed: int) -> Tensor:
    """Ids [count, PLACES + 1] of which each follows from the one before: i, i + 1, ... modulo WORDS."""
    start = torch.randint(WORDS, (count, 1), generator=torch.Generator().manual_seed(seed))
    return (start + torch.arange(PLACES + 1)) % WORDS


class Cycle(Task):
    """Next ids of a cycle; quality is the bits an id, the fewer the better."""

    name = "cycle"
    title, help, source, licence, caveat = "Cycle", "Say what comes next.", "made up", "none", "made up"
    metric, direction = "bits", "minimize"
    classes, class_names, input_shape = WORDS, tuple(map(str, range(WORDS))), (PLACES,)
    train_size, hashes = 40, {"sample": "cycle"}
    default = {"task": "cycle", "student": "cycle_model", "phases": [{"epochs": 1, "teachers": ["cycle_teacher"]}]}
    modality, positions = "tokens", PLACES

    def split(self, data: str, name: str) -> Split:
        ids = cycle({"train": 40, "validation": 12, "test": 12}[name], {"train": 0, "validation": 1, "test": 2}[name])
        return Split(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())

    def shipped_outputs(self, teacher: str, data: str, split: str) -> Tensor | None:
        return None

    def quality(self, logits: Tensor, labels: Tensor) -> Quality:
        bits = _bits(logits, labels)
        return Quality("bits", float(bits.mean()), float(bits.min()), float(bits.max()), "minimize", "bootstrap")

    def metrics(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor | None) -> dict[str, float]:
        return {"bits": float(_bits(logits, labels).mean())}

    def kept(self, logits: Tensor, labels: Tensor) -> Tensor:
        return _bits(logits, labels).view(-1, PLACES).mean(1, keepdim=True)


def _bits(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, labels, reduction="none") / float(np.log(2))


class NextId(nn.Module):
    """Ids [B, T] -> logits [B, T, WORDS] of the next ones."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(WORDS, 8)
        self.head = nn.Linear(8, WORDS)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids))
