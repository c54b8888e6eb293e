"""Layers that are one layer: used in several places, trained by all of them, stored once.

The module itself is shared, so that its masks, its rounding and its trained tensors are the same everywhere by nature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from engine.weights.constraint import weight_of


def alike(layers: Mapping[str, nn.Module], size: int, places: Mapping[str, str] | None = None) -> list[list[str]]:
    """Names of layers that can stand for each other, in groups of at most ``size`` that follow one another.

    Equal are shape of weight and bias, stride, padding, dilation and groups; layers that equal no other are left out.
    ``places``: what a layer does, by its name, for layers that stand only for those that do the same.
    """
    kinds: dict[tuple[object, ...], list[str]] = {}
    for name, layer in layers.items():
        kinds.setdefault(((places or {}).get(name), *_kind(layer)), []).append(name)
    parts = [names[i : i + size] for names in kinds.values() for i in range(0, len(names), size)]
    return [part for part in parts if len(part) > 1]


@torch.no_grad()
def tie(model: nn.Module, names: Sequence[str], mean: bool = False) -> None:
    """Put the first of the named layers in the place of the others too; ``mean``: it takes on all layers' mean."""
    layers = [model.get_submodule(name) for name in names]
    first = layers[0]
    if mean:
        for name, parameter in first.named_parameters():
            parameter.copy_(torch.stack([layer.get_parameter(name) for layer in layers]).mean(0))
    for name in names[1:]:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, first)


def answering(model: nn.Module) -> tuple[str, str] | None:
    """The first table of embeddings and the last linear layer by name, where their weights are two of one shape."""
    tables = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Embedding)]
    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    if not tables or not layers:
        return None
    (table, rows), (layer, answers) = tables[0], layers[-1]
    first, second = weight_of(rows), weight_of(answers)
    return (table, layer) if first.shape == second.shape and first is not second else None


def _kind(layer: nn.Module) -> tuple[object, ...]:
    names = ("stride", "padding", "dilation", "groups", "padding_mode")
    bias = isinstance(getattr(layer, "bias", None), Tensor)
    settings = (getattr(layer, name, None) for name in names)
    return (
        isinstance(layer, nn.Conv2d),
        isinstance(layer, nn.LayerNorm),
        tuple(weight_of(layer).shape),
        bias,
        *settings,
    )
