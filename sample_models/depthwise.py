"""Depthwise-separable students: a 3x3 filter for each channel, then a 1x1 convolution to mix them, in five sizes."""

from __future__ import annotations

import functools
import itertools

from torch import nn

from engine.model_spec import ModelSpec
from engine.registry import register
from sample_models._blocks import ConvBlock, DepthwiseBlock, SmallNet
from sample_models.plain import Size, taps

SOURCE = "Depthwise-separable convolutions: Howard et al. 2017, MobileNets, arXiv:1704.04861; widths chosen here"

SIZES = (
    Size("depthwise_1k4", "Depthwise CNN, 1,386 parameters", (8, 12), 1_386, 1.7, 2e-2,
         "The smallest student: one ordinary and one depthwise-separable convolution."),
    Size("depthwise_5k", "Depthwise CNN, 4,586 parameters", (12, 24, 32), 4_586, 2.8, 2e-2,
         "Fewer multiplications than a plain network of its size, which does not always mean fewer milliseconds: "
         "depthwise filters reuse little of what is in the processor's cache."),
    Size("depthwise_10k", "Depthwise CNN, 9,874 parameters", (20, 48, 56), 9_874, 3.9, 2e-2,
         "Compare it with the plain student of the same size: most of its weights sit in 1x1 convolutions."),
    Size("depthwise_28k", "Depthwise CNN, 28,346 parameters", (24, 64, 96, 96), 28_346, 5.9, 2e-2,
         "Four blocks. The single filter per channel is sensitive to few bits: quantizing it per channel helps."),
    Size("depthwise_134k", "Depthwise CNN, 134,058 parameters", (48, 128, 256, 256), 134_058, 18.4, 1e-2,
         "The largest of its family; most of its weights are spare and prune well."),
)  # fmt: skip


def make(widths: tuple[int, ...]) -> nn.Module:
    """A convolution, then depthwise-separable blocks; pools after the first two: [B, 1, 28, 28] -> logits [B, 10]."""
    blocks: list[nn.Module] = [ConvBlock(1, widths[0], pool=True)]
    for i, (a, b) in enumerate(itertools.pairwise(widths)):
        blocks.append(DepthwiseBlock(a, b, pool=i == 0))
    return SmallNet(blocks, widths[-1])


for size in SIZES:
    register(
        ModelSpec(
            name=size.name,
            title=size.title,
            help=size.help,
            source=SOURCE,
            family="depthwise",
            tasks=("fashion_mnist",),
            make=functools.partial(make, size.widths),
            parameters=size.parameters,
            learning_rate=size.learning_rate,
            seconds_per_epoch=size.seconds,
            taps=taps(len(size.widths)),
        )
    )
