"""Plain convolutional students: two or three 3x3 convolutions and a linear head, in five sizes."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import nn

from engine.model_spec import ModelSpec
from engine.registry import register
from sample_models._blocks import ConvBlock, SmallNet

SOURCE = "Plain convolutions with BatchNorm, Ioffe & Szegedy 2015, arXiv:1502.03167; widths chosen here"


@dataclass(frozen=True)
class Size:
    """One size; ``seconds`` is one epoch of 20,000 images on one thread."""

    name: str
    title: str
    widths: tuple[int, ...]
    parameters: int
    seconds: float
    learning_rate: float
    help: str


SIZES = (
    Size("plain_1k5", "Plain CNN, 1,536 parameters", (6, 10), 1_536, 1.6, 2e-2,
         "Two small convolutions. So small that it cannot hold all that the teacher knows, and that int8 often makes "
         "it slower: the conversions cost more than the arithmetic saves."),
    Size("plain_5k", "Plain CNN, 5,058 parameters", (8, 16, 16), 5_058, 1.7, 2e-2,
         "Three convolutions in about 5 kB of 8-bit weights. A good choice for a tight budget of bytes."),
    Size("plain_10k", "Plain CNN, 10,174 parameters", (12, 24, 24), 10_174, 2.9, 2e-2,
         "The usual student of this project: trains in seconds and still shows what the teacher, pruning "
         "and few bits do."),
    Size("plain_29k", "Plain CNN, 29,178 parameters", (16, 32, 64), 29_178, 3.8, 2e-2,
         "Three times the weights of the usual student for about half a point of accuracy."),
    Size("plain_150k", "Plain CNN, 153,482 parameters", (32, 80, 160), 153_482, 14.0, 1e-2,
         "Large enough that many weights are spare: it can lose most of them and keep its accuracy, and int8 makes "
         "it faster."),
)  # fmt: skip


def make(widths: tuple[int, ...]) -> nn.Module:
    """Convolutions of these widths, a max pool after each of the first two: [B, 1, 28, 28] -> logits [B, 10]."""
    inputs = (1, *widths[:-1])
    blocks: list[nn.Module] = [ConvBlock(a, b, pool=i < 2) for i, (a, b) in enumerate(zip(inputs, widths, strict=True))]
    return SmallNet(blocks, widths[-1])


def taps(blocks: int) -> dict[str, str]:
    """Where losses may look: the features before the head [B, 9C] and the maps after each block [B, C, H, W]."""
    maps = {"last_map": f"blocks.{blocks - 1}", "middle_map": "blocks.1", "first_map": "blocks.0"}
    return {"last_feature": "flatten", **maps}


for size in SIZES:
    register(
        ModelSpec(
            name=size.name,
            title=size.title,
            help=size.help,
            source=SOURCE,
            family="plain",
            tasks=("fashion_mnist",),
            make=functools.partial(make, size.widths),
            parameters=size.parameters,
            learning_rate=size.learning_rate,
            seconds_per_epoch=size.seconds,
            taps=taps(len(size.widths)),
        )
    )
