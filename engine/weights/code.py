"""From a constrained model to what an artifact needs: integer codes, masks, and a plain model with the same weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.weights import inputs
from engine.weights.constraint import WEIGHT, Lattice, Mask, find, incoming, original, weight_of
from engine.weights.values import Code, InputCode, WeightCode

__all__ = ["Code", "InputCode", "WeightCode", "bake", "input_codes", "masks", "weight_codes"]


def weight_codes(model: nn.Module) -> dict[str, Code]:
    """The code of every layer's weight that is rounded or shared, by layer name; layers in float are absent."""
    codes: dict[str, Code] = {}
    for name, layer in _constrained(model):
        lattice = find(layer, Lattice)
        if lattice is not None and bool(lattice.active):
            codes[name] = lattice.code(incoming(layer, lattice))
    return codes


def input_codes(model: nn.Module) -> dict[str, InputCode]:
    """The code of every quantized layer's input, by layer name; layers whose input stays in float are absent."""
    found = ((name, inputs.find(layer)) for name, layer in model.named_modules())
    codes = {}
    for name, quantizer in found:
        if quantizer is not None and bool(quantizer.active):
            scale, zero_point = quantizer.code()
            codes[name] = InputCode(float(scale), int(zero_point), quantizer.bits)
    return codes


def masks(model: nn.Module) -> dict[str, Tensor]:
    """Every masked layer's mask (bool, True = kept), by layer name."""
    found = ((name, find(layer, Mask)) for name, layer in _constrained(model))
    return {name: mask.mask.clone() for name, mask in found if mask is not None}


@torch.no_grad()
def bake(model: nn.Module) -> nn.Module:
    """A deep copy that is an ordinary model: effective weights in place, no parametrization, no input quantizer.

    Quantized weights equal ``weight_codes(model)[name].dequantized()`` exactly. Its outputs equal the model's only
    where no input is quantized: that rounding is in :func:`input_codes`, for the artifact to write.
    """
    plain = copy.deepcopy(model)
    found = list(_constrained(plain))
    # by the trained tensor: a tied weight has several owners and must stay one tensor
    owned: dict[Tensor, nn.Parameter] = {}
    effective = [owned.setdefault(original(layer), _parameter(layer)) for _, layer in found]
    for (_, layer), weight in zip(found, effective, strict=True):
        _strip(layer, weight)
    for layer in plain.modules():
        inputs.detach(layer)
    return plain


def _parameter(layer: nn.Module) -> nn.Parameter:
    return nn.Parameter(weight_of(layer).detach().clone(), requires_grad=original(layer).requires_grad)


def _strip(layer: nn.Module, weight: nn.Parameter) -> None:
    """Make ``layer`` an ordinary layer again, its parameters in the order in which it was built (weight first).

    Not by ``remove_parametrizations``: it takes the weight's property off the class, which the layer shares with the
    one that it was copied from, and would break that one.
    """
    layer.__class__ = type(layer).__bases__[0]
    del layer._modules["parametrizations"]
    layer._parameters = {WEIGHT: weight, **layer._parameters}


def _constrained(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, layer in model.named_modules():
        if parametrize.is_parametrized(layer, WEIGHT):
            yield name, layer
