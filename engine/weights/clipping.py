"""A clipping level of activations that is learned by gradient: PACT.

Source: Choi et al. 2018 (arXiv:1805.06085), equations 1 to 3: ``y = clip(x, 0, alpha)``, rounded to 2^k - 1 steps; the
gradient of alpha is 1 where x is alpha or more and 0 elsewhere.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from engine.weights.inputs import InputQuantizer

SMALLEST = 1e-3  # a level of zero would silence the layer for good


class LearnedClip(InputQuantizer):
    """An input quantizer whose upper end ``high`` is alpha, a parameter; the first calibration sets where it starts.

    Where inputs go below zero (a picture, a hardswish) the lower end is that of the calibration, and stays.
    """

    learned: ClassVar[bool] = True

    def open_top(self) -> None:
        """``high`` as a parameter."""
        self.high = nn.Parameter(torch.zeros(()))

    def inside(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """``x`` within the range, alpha itself where it reaches that."""
        return torch.where(x < self.high, torch.maximum(x, low), self.high)

    def follow(self, x: Tensor) -> None:
        """No moving average: alpha is learned."""

    @torch.no_grad()
    def keep_open(self) -> None:
        """Keep alpha above zero."""
        self.high.clamp_(min=SMALLEST)
