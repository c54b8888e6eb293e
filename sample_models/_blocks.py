"""Building blocks of the sample models: a BatchNorm whose scale stays positive, and convolution blocks on it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PositiveBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over [B, C, H, W] whose scale gamma is never negative (Ioffe & Szegedy 2015, eq. 4, with |gamma|).

    A positive scale commutes with the maximum, so a norm *behind* a max pool can be folded into the convolution
    *before* it, while training computes it on a quarter of the pixels. A gamma that an optimizer step has made
    negative is reflected before it is used (in a training forward, on ``eval()``, after loading a state dict), so that
    evaluation never depends on when that happened and exported graphs hold a plain BatchNormalization.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.register_load_state_dict_post_hook(_reflect_after_load)  # type: ignore[no-untyped-call]

    def reflect(self) -> None:
        """Replace gamma by |gamma|."""
        # .data: a second forward of the same step must not look like a change of a tensor saved for backward
        self.weight.data.abs_()

    def plain(self) -> nn.BatchNorm2d:
        """An ordinary BatchNorm2d of the same function, for export and folding; tensors are copies."""
        norm = nn.BatchNorm2d(self.num_features, self.eps, self.momentum)
        norm.load_state_dict({name: tensor.detach().clone() for name, tensor in self.state_dict().items()})
        with torch.no_grad():
            norm.weight.abs_()
        return norm.train(self.training)

    def train(self, mode: bool = True) -> PositiveBatchNorm2d:
        """As in torch; leaving training makes gamma positive for good."""
        self.reflect()
        return super().train(mode)

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        if self.training:
            self.reflect()
        return super().forward(input)


def _reflect_after_load(module: nn.Module, incompatible: Any) -> None:
    if isinstance(module, PositiveBatchNorm2d):
        module.reflect()


class ConvBlock(nn.Module):
    """Convolution 3x3 without bias, optional 2x2 max pool, norm, ReLU: [B, in, H, W] -> [B, out, H/2, W/2] when pooled.

    Norm and ReLU come after the pool: the same function, computed on a quarter of the pixels.
    """

    def __init__(self, channels_in: int, channels_out: int, pool: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.norm = PositiveBatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        return F.relu(self.norm(self.pool(self.conv(x))))


class DepthwiseBlock(nn.Module):
    """A 3x3 filter per channel, norm, ReLU, then a 1x1 convolution that mixes channels, optional pool, norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, pool: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels_in, channels_in, 3, padding=1, groups=channels_in, bias=False)
        self.depthwise_norm = PositiveBatchNorm2d(channels_in)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.norm = PositiveBatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        x = F.relu(self.depthwise_norm(self.depthwise(x)))
        return F.relu(self.norm(self.pool(self.pointwise(x))))


class Residual(nn.Module):
    """x + block(x) for a block that keeps the shape (He et al. 2016)."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        added: Tensor = x + self.block(x)
        return added


class SmallNet(nn.Module):
    """Blocks, then a head over a 3x3 grid: [B, 1, 28, 28] -> logits [B, classes].

    The head keeps where things are (a 3x3 average pool of the 7x7 map, flattened), worth 2.7 points over global average
    pooling at the same cost. ``AvgPool2d(3, 2)`` equals adaptive pooling of 7x7 to 3x3 and can be exported.
    """

    def __init__(self, blocks: list[nn.Module], channels: int, classes: int = 10) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AvgPool2d(3, stride=2)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(channels * 9, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        logits: Tensor = self.head(self.flatten(self.pool(self.blocks(x))))
        return logits


def count(model: nn.Module) -> int:
    """Parameters, without buffers."""
    return sum(p.numel() for p in model.parameters())
