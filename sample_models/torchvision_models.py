"""Two well-known architectures of torchvision, adapted to 28x28 grey images; weights start fresh, no downloads."""

from __future__ import annotations

from typing import cast

from torch import nn
from torchvision.models import mobilenet_v3_small, resnet18

from engine.model_spec import ModelSpec
from engine.registry import register

# torchvision's momentum of 0.01 leaves the running statistics far behind after a few hundred steps
MOMENTUM = 0.1


def make_resnet18() -> nn.Module:
    """A 3x3 stem of stride 2 without the max pool (14x14 after it): [B, 1, 28, 28] -> logits [B, 10]."""
    model: nn.Module = resnet18(weights=None, num_classes=10)
    model.conv1 = nn.Conv2d(1, 64, 3, stride=2, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model


def make_mobilenet_v3_small() -> nn.Module:
    """A 3x3 stem of stride 1, so that the last map is 2x2 instead of 1x1: [B, 1, 28, 28] -> logits [B, 10]."""
    model = mobilenet_v3_small(weights=None, num_classes=10)
    model.features[0][0] = nn.Conv2d(1, 16, 3, padding=1, bias=False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = MOMENTUM
    return cast(nn.Module, model)


register(
    ModelSpec(
        name="resnet18",
        title="ResNet-18, 11.2 million parameters",
        help="A standard network, twenty times the teacher's size: far too large for these images. Useful to see how "
        "much a large network can lose, and how int8 speeds it up. One epoch takes minutes.",
        source="He et al. 2016, arXiv:1512.03385; torchvision.models.resnet18, stem for small images",
        family="resnet",
        tasks=("fashion_mnist",),
        make=make_resnet18,
        parameters=11_172_810,
        learning_rate=2e-3,
        seconds_per_epoch=170.0,
        taps={"last_feature": "avgpool", "last_map": "layer4", "middle_map": "layer2", "first_map": "layer1"},
    )
)
register(
    ModelSpec(
        name="mobilenet_v3_small",
        title="MobileNetV3-Small, 1.5 million parameters",
        help="A standard network for phones: few multiplications, many small layers. On these small images the "
        "overhead of its many layers outweighs the arithmetic.",
        source="Howard et al. 2019, arXiv:1905.02244; torchvision.models.mobilenet_v3_small, stem for small images",
        family="mobilenet",
        tasks=("fashion_mnist",),
        make=make_mobilenet_v3_small,
        parameters=1_527_818,
        learning_rate=2e-3,
        seconds_per_epoch=30.0,
        taps={
            "last_feature": "avgpool",
            "last_map": "features.12",
            "middle_map": "features.4",
            "first_map": "features.1",
        },
    )
)
