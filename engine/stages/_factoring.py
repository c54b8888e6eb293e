"""What stages share that put two smaller layers in place of one: which layers, what they cost, the exchange itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from engine.stages._base import Stage, StageContext
from engine.weights.constraint import weight_of

KEEP_FIRST = "Leave the first convolution whole: it has few weights and every later layer depends on them."


@dataclass(frozen=True)
class Factoring(Stage):
    """Replaces a layer NAME by a sequence of NAME.0, without bias, and NAME.1, with the layer's bias if it had one.

    A subclass says what may be factored (``candidates``), how a layer would be replaced (``operation``, plain data with
    the number of weights ``after``) and what stands there then (``factors``).
    """

    order = "shape"

    def candidates(self, model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """Layers that the method can act on, by name."""
        raise NotImplementedError

    def operation(self, layer: nn.Module, context: StageContext) -> dict[str, Any]:
        """How ``layer`` would be replaced; at least ``{"after": weights of both layers}``."""
        raise NotImplementedError

    def factors(self, layer: nn.Module, operation: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
        """The two layers, with their weights."""
        raise NotImplementedError

    def plan(self, model: nn.Module, context: StageContext) -> list[Any]:
        """``[{"layer", "before", "after", ...}]``, the last two in weights, for every layer that gets fewer of them.

        A layer that would not become smaller stays as it is and is not listed.
        """
        rows = [
            {"layer": name, "before": weight_of(layer).numel(), **self.operation(layer, context)}
            for name, layer in self.candidates(model)
        ]
        return [row for row in rows if row["after"] < row["before"]]

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """Put the two layers in place; they start from the layer's own weight, on a fresh copy from its fresh one."""
        for row in plan:
            layer = model.get_submodule(row["layer"])
            pair = nn.Sequential(*self.factors(layer, row))
            _exchange(model, layer, pair.train(layer.training))
        if plan:
            # new tensors are contiguous; training uses this format, and a resumed model must compute alike
            model.to(memory_format=torch.channels_last)


def is_first(model: nn.Module, layer: nn.Module) -> bool:
    """Whether ``layer`` is the model's first convolution."""
    return layer is next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Module:
    """A linear layer with these values."""
    outputs, inputs = weight.shape
    made = skip_init(nn.Linear, inputs, outputs, bias=bias is not None)  # type: ignore[no-untyped-call]
    return _filled(made, weight, bias)


def convolution(weight: Tensor, bias: Tensor | None = None, **geometry: Any) -> nn.Module:
    """A convolution with these values; ``geometry`` as in ``nn.Conv2d``."""
    inputs = weight.shape[1] * geometry.get("groups", 1)
    size = tuple(weight.shape[2:])
    geometry |= {"bias": bias is not None}
    made = skip_init(nn.Conv2d, inputs, weight.shape[0], size, **geometry)  # type: ignore[no-untyped-call]
    return _filled(made, weight, bias)


def geometry_of(layer: nn.Conv2d) -> dict[str, Any]:
    """Stride, padding and dilation, each (vertical, horizontal)."""
    return {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}


def ordinary(layer: nn.Module) -> bool:
    """A linear layer, or a convolution over all channels whose border is known (zeros)."""
    if isinstance(layer, nn.Conv2d):
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return isinstance(layer, nn.Linear)


def _filled(layer: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    layer.to(weight.device)
    with torch.no_grad():
        layer.get_parameter("weight").copy_(weight)
        if bias is not None:
            layer.get_parameter("bias").copy_(bias)
    return layer


def _exchange(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """At every place where ``old`` stands: a layer that is used twice stays one."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # named_children() tells a module only once
            if child is old:
                setattr(parent, name, new)
