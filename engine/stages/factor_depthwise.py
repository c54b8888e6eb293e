"""Depthwise-separable factorization: a filter for each channel, then a 1x1 convolution that mixes the channels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages._base import StageContext
from engine.stages._factoring import KEEP_FIRST, Factoring, convolution, geometry_of, is_first, ordinary
from engine.weights.constraint import weight_of
from engine.weights.factor import depthwise

STARTS = ("weights", "fresh")


@register
@dataclass(frozen=True)
class FactorDepthwise(Factoring):
    """Replaces ordinary convolutions by a depthwise and a pointwise one."""

    name = "factor_depthwise"
    modalities = ("image",)
    title = "Split into depthwise and pointwise"
    help = (
        "Replaces each convolution by one filter for every input channel and a 1x1 convolution that mixes the "
        "channels, the building block of networks for phones. The pair nearest to the trained weights is a rough copy, "
        "so it needs training afterwards; or take fresh weights and train it from the start."
    )
    formula = (
        r"W_{oi} \approx \sum_{t=1}^{m} p_{oit}\, d_{it}\ \text{(nearest, by SVD for each input channel } i),\qquad"
        r"\frac{\text{MACs after}}{\text{before}} = m\left(\frac{1}{O} + \frac{1}{k^2}\right)"
    )
    source = (
        "Howard et al. 2017, MobileNets, arXiv:1704.04861, section 3.1; values from trained weights and several "
        "filters a channel: Guo et al. 2018, arXiv:1808.05517, section 3"
    )
    expect = (
        "plain_29k, 2 epochs before and 2 after, one seed: 91.6 % whole, 89.9 % split, with 19 % of the multiply-adds "
        "and 0.46 of the time; without training afterwards 49.8 %. More filters a channel copy better (3: 87.0 % "
        "untrained) but have no fast kernel here: with 2 the network is slower than whole."
    )
    needs_epochs = {"start": ("fresh",)}

    multiplier: int = knob(1, 1, 9, help="Filters for each input channel; at 9 a 3x3 convolution is copied exactly.")
    start: str = knob(
        "weights", choices=STARTS, help="The pair nearest to the present weights, or fresh ones (needs epochs)."
    )
    keep_first: bool = knob(True, help=KEEP_FIRST)

    def candidates(self, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """Ordinary convolutions larger than 1x1."""
        for name, layer in self.selected(model, (nn.Conv2d,)):
            large = math.prod(layer.kernel_size) > 1 if isinstance(layer, nn.Conv2d) else False
            if large and ordinary(layer) and not (self.keep_first and is_first(model, layer)):
                yield name, layer

    def operation(self, layer: nn.Module, context: StageContext) -> dict[str, Any]:
        """How many filters a channel, the weights then, and where fresh ones are drawn from."""
        outputs, inputs, *size = weight_of(layer).shape
        area = math.prod(size)
        filters = min(self.multiplier, outputs, area)
        row = {"filters": filters, "after": inputs * filters * (area + outputs)}
        if self.start == "fresh":
            row["seed"] = int(torch.randint(2**31, (), generator=context.generator))
        return row

    def factors(self, layer: nn.Module, operation: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
        """Stride and border belong to the filters."""
        if not isinstance(layer, nn.Conv2d):
            raise TypeError(f"a {type(layer).__name__} is no convolution")
        first, second = depthwise(layer.weight, operation["filters"])
        if "seed" in operation:
            generator = torch.Generator().manual_seed(operation["seed"])
            first, second = _fresh(first, generator), _fresh(second, generator)
        filters = convolution(first, groups=layer.in_channels, **geometry_of(layer))
        return filters, convolution(second, layer.bias)


def _fresh(weight: Tensor, generator: torch.Generator) -> Tensor:
    """torch's own start of a convolution: even within 1 / sqrt(inputs of one output)."""
    bound = 1 / math.sqrt(weight[0].numel())
    return (torch.rand(weight.shape, generator=generator) * 2 - 1).to(weight) * bound
