"""The teacher: a residual network of 575,594 parameters, shipped trained (see README.md beside it)."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from engine.model_spec import ModelSpec
from engine.registry import register
from sample_models._blocks import ConvBlock, Residual

WEIGHTS = Path(__file__).with_name("weights") / "teacher_fashion_mnist.safetensors"


def make() -> nn.Module:
    """[B, 1, 28, 28] -> logits [B, 10], with fresh weights."""
    return nn.Sequential(
        ConvBlock(1, 32, pool=True),
        ConvBlock(32, 64, pool=False),
        Residual(ConvBlock(64, 64, pool=False)),
        nn.MaxPool2d(2),
        ConvBlock(64, 128, pool=False),
        Residual(ConvBlock(128, 128, pool=False)),
        nn.MaxPool2d(2),
        ConvBlock(128, 256, pool=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


register(
    ModelSpec(
        name="teacher",
        title="Residual teacher, 576k parameters",
        help="A residual network trained in advance on 55,000 labelled images. Its weights come with the project, so a "
        "run starts from what it knows. It has seen the label of every training image, also where you give the student "
        "only a few labels.",
        source="Residual blocks: He et al. 2016, arXiv:1512.03385; trained by sample_models/train_teacher.py",
        family="residual",
        tasks=("fashion_mnist",),
        make=make,
        parameters=575_594,
        role="teacher",
        learning_rate=5e-3,
        batch_size=200,
        weight_decay=0.03,
        seconds_per_epoch=33.0,
        taps={"last_feature": "9", "last_map": "7", "middle_map": "5", "first_map": "2"},
        weights=WEIGHTS,
    )
)
