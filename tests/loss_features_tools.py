"""Made-up inner tensors for the tests of losses that look inside."""

from __future__ import annotations

import torch
from torch import Tensor


def features(seed: int, *shape: int) -> Tensor:
    """Seeded normal numbers in double precision, [6, 3, 4, 4] unless told."""
    return torch.randn(shape or (6, 3, 4, 4), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
