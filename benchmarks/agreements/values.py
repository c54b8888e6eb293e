"""An agreement: what is compared with what, on which inputs, and the function that finds the largest difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

LIMIT = 1e-5


@dataclass(frozen=True)
class Agreement:
    """``needs``: the package to import, whose version the table names. ``largest`` gives the largest difference.

    The difference is relative to the larger of 1 and the reference; of masks and sets it is the share that differs.
    """

    what: str
    other: str
    needs: str
    inputs: str
    largest: Callable[[], float]


def apart(ours: ArrayLike | Tensor, theirs: ArrayLike | Tensor) -> float:
    """The largest difference of two arrays of one shape, relative where the reference is above 1."""
    a, b = (np.asarray(x.detach() if isinstance(x, Tensor) else x, np.float64) for x in (ours, theirs))
    if a.shape != b.shape:
        raise ValueError(f"shapes {a.shape} and {b.shape} cannot agree")
    return float((np.abs(a - b) / np.maximum(1.0, np.abs(b))).max(initial=0.0))


def logits(seed: int, count: int = 64, classes: int = 10) -> Tensor:
    """Seeded scores [count, classes] in double precision."""
    return 3 * torch.randn(count, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def features(seed: int, *shape: int) -> Tensor:
    """Seeded features in double precision."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
