"""Moving scale between neighbours: what one layer makes is divided, channel by channel, and what reads it multiplied.

Which modules are neighbours is found out and not assumed: a pair counts where scaling both leaves the network's answers
alone. A LayerNorm and the layers that read it qualify, or values and the projection behind their attention; a norm that
a sum reads too, or a layer behind a GELU, does not. Source: Xiao et al. 2022, SmoothQuant, arXiv:2211.10438, section 4;
Lin et al. 2023, AWQ, arXiv:2306.00978, section 3.2; Nagel et al. 2019, arXiv:1906.04721, section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from engine.weights.constraint import Lattice, find, shared, trained
from engine.weights.layer_inputs import by_input

LOW, HIGH = 0.5, 2.0  # of the factors that a pair is tried with
SAME = 0.01  # of the change that half of the scaling makes: what may be left of it with both halves
NOISE = 1e-4  # of the largest answer: changes too small to judge by
CANDIDATES = 3  # modules before a layer, the last one first


@dataclass(frozen=True)
class Fold:
    """``layers``, which read one tensor of C channels, and ``source``, the module that can take their scale up."""

    source: nn.Module
    layers: tuple[nn.Module, ...]

    @property
    def channels(self) -> int:
        """C."""
        return channels_in(self.layers[0])

    @torch.no_grad()
    def apply(self, factor: Tensor) -> None:
        """Divide the source's channels by ``factor`` [C], above zero, and multiply the layers' inputs by it."""
        weight, bias = trained(self.source), self.source.bias
        weight.div_(factor.view(-1, *[1] * (weight.ndim - 1)))
        if isinstance(bias, Tensor):
            bias.div_(factor)
        for layer in self.layers:
            weight = trained(layer)
            weight.mul_(factor.view(1, -1, *[1] * (weight.ndim - 2)))

    def tensors(self) -> list[Tensor]:
        """What :meth:`apply` changes."""
        biases = [self.source.bias] if isinstance(self.source.bias, Tensor) else []
        return [trained(self.source), *biases, *(trained(layer) for layer in self.layers)]


@torch.no_grad()
def folds(model: nn.Module, layers: Sequence[nn.Module], inputs: Tensor) -> list[Fold]:
    """The folds of ``layers`` in the order in which they run; layers that belong to none are left out.

    ``inputs``: a batch to try them on. The model is left as it was, bit for bit.
    """
    tied, training = shared(model), model.training
    usable = [layer for layer in layers if layer not in tied and _plain(layer) and channels_in(layer)]
    model.eval()
    order = _calls(model, inputs)
    before, found = model(inputs), list[Fold]()
    for group in by_input(model, usable, inputs):
        earlier = [m for m in order[: min(order.index(layer) for layer in group)] if m not in tied and _plain(m)]
        fitting = [m for m in reversed(earlier) if _channels_out(m) == channels_in(group[0]) and m not in group]
        tries = (Fold(source, tuple(group)) for source in fitting[:CANDIDATES])
        found += [fold for fold in tries if _holds(model, fold, inputs, before)][:1]
    model.train(training)
    return found


def channels_in(layer: nn.Module) -> int:
    """Channels of a layer's input whose scale its weights can take up; 0 where there are none of their own."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    return layer.in_channels if isinstance(layer, nn.Conv2d) and layer.groups == 1 else 0


def by_channel(values: Tensor, layer: nn.Module) -> Tensor:
    """[1, K] of :mod:`engine.weights.layer_inputs` as [C, places of a kernel]."""
    return values.view(channels_in(layer), -1)


def largest_weights(fold: Fold) -> Tensor:
    """[C]: the largest magnitude among the weights that read a channel, of all layers of a fold."""
    each = [trained(layer).detach().abs().transpose(0, 1).flatten(1).amax(1) for layer in fold.layers]
    return torch.stack(each).amax(0)


def _channels_out(module: nn.Module) -> int:
    if isinstance(module, nn.Linear):
        return module.out_features
    if isinstance(module, nn.Conv2d):
        return module.out_channels
    norm = isinstance(module, nn.LayerNorm | _BatchNorm) and isinstance(module.weight, Tensor)
    return trained(module).numel() if norm and trained(module).ndim == 1 else 0


def _plain(module: nn.Module) -> bool:
    """Not rounded at present: a lattice would not follow its weights."""
    lattice = find(module, Lattice)
    return lattice is None or not bool(lattice.active)


def _calls(model: nn.Module, inputs: Tensor) -> list[nn.Module]:
    """Modules with channels of their own, as they are called; each where it is called last."""
    called: list[nn.Module] = []
    chosen = [m for m in model.modules() if _channels_out(m)]
    handles = [m.register_forward_pre_hook(lambda m, _: called.append(m)) for m in chosen]
    try:
        model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(reversed(called)))[::-1]


def _holds(model: nn.Module, fold: Fold, inputs: Tensor, before: Tensor) -> bool:
    """Whether scaling both sides changes next to nothing of what scaling the layers alone changes."""
    kept = [tensor.clone() for tensor in fold.tensors()]
    generator = torch.Generator().manual_seed(0)
    factor = LOW + (HIGH - LOW) * torch.rand(fold.channels, generator=generator).to(before.device)
    fold.apply(factor)
    both = model(inputs)
    for tensor, value in zip(fold.tensors()[: -len(fold.layers)], kept, strict=False):
        tensor.copy_(value)
    alone = model(inputs)
    for tensor, value in zip(fold.tensors(), kept, strict=True):
        tensor.copy_(value)
    effect, left = (float((changed - before).abs().max()) for changed in (alone, both))
    return effect > NOISE * float(before.abs().max()) and left < SAME * effect
