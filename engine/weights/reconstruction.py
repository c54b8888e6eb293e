"""How much rounding a layer's weights changes what the layer computes, as a function of the weights alone.

For a layer with weights ``W`` whose inputs are ``x`` in the network before rounding and ``y`` once the layers before it
are rounded, the error of other weights ``V`` is the mean of ``|W x - V y|^2`` over examples and places. It is a
quadratic function of ``D = V - W`` with ``r = W (x - y)``: ``E|r|^2 - 2 <D, E[r y^T]> + D E[y y^T] D^T``, so the data
are read once and the search for ``V`` needs them no more. Source of the objective: Nagel et al. 2020, AdaRound,
arXiv:2004.10568, equation 25, without the activation function (norms and pools stand between).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.weights.constraint import weight_of

Batches = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Reconstruction:
    """The error of a layer's outputs, row by row (output channels are independent of each other).

    ``weight`` [out, K]: before rounding. ``gram`` [groups, K, K], ``cross`` [out, K], ``constant`` [out]: as above.
    """

    weight: Tensor
    gram: Tensor
    cross: Tensor
    constant: Tensor

    def error(self, rounded: Tensor) -> Tensor:
        """[out]: the mean squared error of each output with these weights, [out, ...]."""
        change = rounded.flatten(1) - self.weight
        return self.constant + (change * (self._product(change) - 2 * self.cross)).sum(1)

    def slope(self, rounded: Tensor) -> Tensor:
        """[out, K]: the derivative of each row's error by its weights."""
        return 2 * (self._product(rounded.flatten(1) - self.weight) - self.cross)

    def _product(self, change: Tensor) -> Tensor:
        grouped = change.view(len(self.gram), -1, change.shape[1])
        return torch.bmm(grouped, self.gram).view_as(change)


def order_of_use(model: nn.Module, layers: Sequence[nn.Module], inputs: Tensor) -> list[nn.Module]:
    """``layers`` in the order in which the model first calls them; those that it does not call are left out."""
    called: list[nn.Module] = []
    hooks = [layer.register_forward_pre_hook(lambda layer, _: called.append(layer)) for layer in layers]
    try:
        model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return list(dict.fromkeys(called))


def reconstruction(before: nn.Module, now: nn.Module, name: str, batches: Batches) -> Reconstruction:
    """The objective for layer ``name``: ``before`` is the network as it was, ``now`` the one rounded up to this layer.

    Both in eval mode, of the same structure. All tensors are float32.
    """
    layer = before.get_submodule(name)
    weight = weight_of(layer).detach().flatten(1)
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    size = weight.shape[1]
    gram = weight.new_zeros(groups, size, size)
    cross, constant, count = torch.zeros_like(weight), weight.new_zeros(len(weight)), 0
    rows = weight.view(groups, -1, size)
    for x, y in _inputs(before, now, name, batches):
        seen, moved = columns(layer, y), columns(layer, x - y)  # [groups, K, places]
        rest = torch.bmm(rows, moved)
        gram += torch.bmm(seen, seen.transpose(1, 2))
        cross += torch.bmm(rest, seen.transpose(1, 2)).view_as(cross)
        constant += rest.square().sum(2).flatten()
        count += seen.shape[2]
    return Reconstruction(weight, gram / count, cross / count, constant / count)


def frozen(model: nn.Module) -> nn.Module:
    """A copy in eval mode."""
    return copy.deepcopy(model).eval()


def _inputs(before: nn.Module, now: nn.Module, name: str, batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """What arrives at the layer in both networks, once a call (a shared layer is called several times)."""
    for inputs, _ in batches:
        yield from zip(_seen(before, name, inputs), _seen(now, name, inputs), strict=True)


def _seen(model: nn.Module, name: str, inputs: Tensor) -> list[Tensor]:
    found: list[Tensor] = []
    hook = model.get_submodule(name).register_forward_pre_hook(lambda _, args: found.append(args[0]))
    try:
        model(inputs)
    finally:
        hook.remove()
    return found


def columns(layer: nn.Module, x: Tensor) -> Tensor:
    """Inputs as the columns that the flattened weights multiply: [groups, K, examples * places]."""
    if not isinstance(layer, nn.Conv2d):
        return x.reshape(1, -1, x.shape[-1]).transpose(1, 2)
    padded = F.pad(x, layer._reversed_padding_repeated_twice)  # sides as numbers, also where the layer says "same"
    patches = F.unfold(padded, layer.kernel_size, layer.dilation, stride=layer.stride)
    return patches.view(len(x), layer.groups, -1, patches.shape[2]).permute(1, 2, 0, 3).flatten(2)
