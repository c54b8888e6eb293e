"""What stages share that round weights by :class:`engine.weights.constraint.Quantizer`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from engine.stages._base import Stage
from engine.weights import affine
from engine.weights.constraint import Quantizer, add, find, incoming, weight_of

REFRESH = 4  # steps between two least-squares searches while training: at 2 bits 16 costs accuracy, 1 gains none


@dataclass(frozen=True)
class Uniform(Stage):
    """Quantizers behind the masks (if any) of convolutions and linear layers."""

    order = "quantizer"

    def layers_of(self, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """The layers that it acts on."""
        yield from self.selected(model, (nn.Conv2d, nn.Linear))

    def fit(self, model: nn.Module, only_active: bool = False) -> None:
        """Choose every layer's scales anew for its present weights."""
        for _, layer in self.layers_of(model):
            quantizer = find(layer, Quantizer)
            if quantizer is not None and (bool(quantizer.active) or not only_active):
                quantizer.fit(incoming(layer, quantizer))


def put(
    layer: nn.Module, bits: int, granularity: str, scale: str, scheme: str = "symmetric", group: int = affine.GROUP
) -> Quantizer:
    """A quantizer on ``layer``'s weight; one that is there takes the new form, and never more bits than it had."""
    quantizer, weight = find(layer, Quantizer), weight_of(layer)
    if quantizer is None:
        return add(layer, Quantizer(weight, bits, granularity, scale, scheme, group))
    quantizer.configure(weight, min(bits, quantizer.bits), granularity, scale, scheme, group)
    return quantizer
