"""Made-up texts for tests: ids of tokens, 0 is padding; the words of a class occur more often in its texts."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.tasks._base import Split

CLS = 1


def texts(count: int, vocabulary: int = 64, tokens: int = 16, classes: int = 2, seed: int = 0) -> Split:
    """Ids [count, tokens] int64 of texts of different lengths, each beginning with CLS, and their classes [count]."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    ids = torch.randint(2 + 4 * classes, vocabulary, (count, tokens), generator=generator)
    own = 2 + 4 * labels[:, None] + torch.randint(0, 4, (count, tokens), generator=generator)
    ids = torch.where(torch.rand(count, tokens, generator=generator) < 0.5, own, ids)
    lengths = torch.randint(tokens // 3, tokens + 1, (count,), generator=generator)
    ids[torch.arange(tokens) >= lengths[:, None]] = 0
    ids[:, 0] = CLS
    return Split(ids, labels)


def padded(ids: Tensor, more: int) -> Tensor:
    """The same texts with ``more`` positions of padding at the end."""
    return torch.cat([ids, torch.zeros(len(ids), more, dtype=ids.dtype)], 1)
