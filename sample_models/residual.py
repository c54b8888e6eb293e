"""A residual student whose blocks repeat, so that layers can share their weights."""

from __future__ import annotations

from torch import nn

from engine.model_spec import ModelSpec
from engine.registry import register
from sample_models._blocks import ConvBlock, Residual, SmallNet

WIDTH, REPEATS = 24, 3


def make() -> nn.Module:
    """Two pooled convolutions, then three residual blocks of one shape: [B, 1, 28, 28] -> logits [B, 10]."""
    blocks: list[nn.Module] = [ConvBlock(1, WIDTH, pool=True), ConvBlock(WIDTH, WIDTH, pool=True)]
    blocks += [Residual(ConvBlock(WIDTH, WIDTH, pool=False)) for _ in range(REPEATS)]
    return SmallNet(blocks, WIDTH)


register(
    ModelSpec(
        name="residual_23k",
        title="Residual CNN, 23,362 parameters",
        help="Two convolutions and three residual blocks of the same shape. Its layers can share their weights, which "
        "leaves two fifths of the parameters; otherwise choose a plain student of its size.",
        source="Residual blocks: He et al. 2016, arXiv:1512.03385; widths chosen here",
        family="residual",
        tasks=("fashion_mnist",),
        make=make,
        parameters=23_362,
        learning_rate=2e-2,
        seconds_per_epoch=7.0,
        taps={
            "last_feature": "flatten",
            "last_map": f"blocks.{REPEATS + 1}",
            "middle_map": "blocks.1",
            "first_map": "blocks.0",
        },
    )
)
