"""Constraints on weights as parametrizations: what a layer computes with is a function of the weight that is trained.

They chain in the order of their registration (mask, then quantizer), and every state lives in buffers, so that a
state dict restores them on a model with the same structure.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.errors import InputError
from engine.weights import affine
from engine.weights.values import Code, WeightCode

WEIGHT, TIED = "weight", "tied_layers"


class Constraint(nn.Module):
    """Base: subclasses implement :meth:`map`; whatever it does, a weight of exactly zero stays zero."""

    def map(self, weight: Tensor) -> Tensor:
        """The constrained weight, with the gradient that training shall see."""
        raise NotImplementedError

    def forward(self, weight: Tensor) -> Tensor:
        """``map``, except that zeros stay zeros: a codebook or an offset after a mask would undo it."""
        return torch.where(weight == 0, 0.0, self.map(weight))


class Mask(Constraint):
    """Keeps the weights where ``mask`` is True. ``initial`` is the sparsity when the current phase began."""

    mask: Tensor
    initial: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))
        self.register_buffer("initial", torch.zeros(()))

    def forward(self, weight: Tensor) -> Tensor:
        """Zeros under the mask; no gradient reaches them."""
        return torch.where(self.mask, weight, 0.0)

    def tighten(self, mask: Tensor) -> None:
        """Also mask what ``mask`` masks; nothing that is masked comes back."""
        self.mask.logical_and_(mask)


class Lattice(Constraint):
    """Base of what rounds a weight to few levels once it is ``active``; a layer has one at most.

    ``bits`` is the width of a level's number; ``made_by`` the stage that puts it on a layer.
    """

    made_by: ClassVar[str]
    bits: int
    active: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("active", torch.zeros((), dtype=torch.bool))

    def code(self, weight: Tensor) -> Code:
        """What an artifact stores for ``weight`` (as it arrives here); dequantized it equals ``forward(weight)``."""
        raise NotImplementedError


class Fitted(Lattice):
    """A lattice whose levels follow from the weights by a rule."""

    def fit(self, weight: Tensor) -> None:
        """Choose the levels for ``weight`` (what arrives here, masked already) and switch the rounding on."""
        raise NotImplementedError


class Quantizer(Fitted):
    """Rounds to a lattice (see :mod:`affine`) once ``active``; the gradient passes straight through inside its range.

    Beyond the outermost level by more than half a step it stops: otherwise such weights drift away from the lattice
    (Hubara et al. 2016, arXiv:1602.02830, eq. 4; at 2 bits with a fixed scale that is worth 7 points of accuracy).

    ``bits``, ``granularity``, ``method``, ``scheme`` and ``group`` are structure, given at attachment; ``scale`` (),
    [out] or [out, groups] is state, and so is ``zero``, of the same shape, None where the lattice is symmetric.
    """

    made_by = "quantize_linear"
    scale: Tensor
    zero: Tensor | None

    def __init__(
        self, weight: Tensor, bits: int, granularity: str, method: str, scheme: str = "symmetric", group: int = 0
    ) -> None:
        super().__init__()
        self.configure(weight, bits, granularity, method, scheme, group)

    def configure(
        self, weight: Tensor, bits: int, granularity: str, method: str, scheme: str = "symmetric", group: int = 0
    ) -> None:
        """Set the structure; the scale starts at one until :meth:`fit`."""
        self.bits, self.granularity, self.method = bits, granularity, method
        self.scheme, self.group = scheme, group or affine.GROUP
        shape = affine.scale_shape(weight.shape, granularity, self.group)
        self.register_buffer("scale", torch.ones(shape, device=weight.device))
        self.register_buffer("zero", torch.zeros(shape, device=weight.device) if scheme == "affine" else None)

    def map(self, weight: Tensor) -> Tensor:
        """Integers times scale, exactly; adding ``inside - inside.detach()`` (zero) carries the gradient."""
        if not self.active:
            return weight
        fixed = weight.detach()
        integers = affine.round_to_integers(fixed, self.scale, self.bits, self.zero, self.group)
        value = affine.dequantize(integers, self.scale, self.group)
        low, high = self._reach(fixed)
        inside = torch.minimum(torch.maximum(weight, low), high)
        return value + (inside - inside.detach())

    def _reach(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Half a step beyond the outermost levels."""
        column = affine.column(self.scale, weight, self.group)
        if self.zero is None:
            reach = column * (affine.limit(self.bits) + 0.5)
            return -reach, reach
        low, high = affine.bounds(self.bits, affine.column(self.zero, weight, self.group))
        return column * (low - 0.5), column * (high + 0.5)

    @torch.no_grad()
    def fit(self, weight: Tensor) -> None:
        """Choose the lattice for ``weight`` (what arrives here, masked already) and switch the rounding on."""
        self.set(*affine.fit(weight, self.bits, self.granularity, self.method, self.scheme, self.group))

    @torch.no_grad()
    def set(self, scale: Tensor, zero: Tensor | None) -> None:
        """Take this lattice and switch the rounding on."""
        self.scale.copy_(scale)
        if self.zero is not None and zero is not None:
            self.zero.copy_(zero)
        self.active.fill_(True)

    def code(self, weight: Tensor) -> WeightCode:
        """Integers, scale and zero point."""
        return affine.encode(weight, self.scale, self.bits, self.zero, self.group)


C = TypeVar("C", bound=Constraint)


def weight_of(layer: nn.Module) -> Tensor:
    """The weight that ``layer`` computes with."""
    weight = layer.weight
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(layer).__name__}.weight is no tensor")
    return weight


def original(layer: nn.Module) -> Tensor:
    """The tensor that training changes, behind a constrained layer's weight."""
    tensor = _chain(layer).original
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{type(layer).__name__}.weight is parametrized by several tensors")
    return tensor


def trained(layer: nn.Module) -> Tensor:
    """The tensor that training changes, whether ``layer`` is constrained or not."""
    return original(layer) if constraints(layer) else weight_of(layer)


def shared(model: nn.Module) -> set[nn.Module]:
    """The modules whose weight another module has too (an embedding and the head that is tied to it)."""
    owners: dict[int, list[nn.Module]] = {}
    for module in model.modules():
        if isinstance(getattr(module, WEIGHT, None), Tensor):
            owners.setdefault(id(trained(module)), []).append(module)
    return {module for group in owners.values() if len(group) > 1 for module in group}


def constraints(layer: nn.Module) -> list[Constraint]:
    """The constraints on ``layer``'s weight in the order in which they act."""
    if not parametrize.is_parametrized(layer, WEIGHT):
        return []
    return [c for c in _chain(layer) if isinstance(c, Constraint)]


def find(layer: nn.Module, kind: type[C]) -> C | None:
    """The constraint of class ``kind`` on ``layer``, if there is one."""
    return next((c for c in constraints(layer) if isinstance(c, kind)), None)


def add(layer: nn.Module, constraint: C) -> C:
    """Register ``constraint`` after those that ``layer`` already has; InputError for a lattice of a second kind.

    Layers of the same trained tensor (see :func:`mark_tied`) get the same constraint: they stay one tensor.
    """
    held = find(layer, Lattice) if isinstance(constraint, Lattice) else None
    if held is not None:
        both = f"{constraint.made_by} after {held.made_by}"
        raise InputError("recipe.phases", both, "one way of rounding for each layer; give the stages other layers each")
    for one in (layer, *layer.__dict__.get(TIED, ())):
        parametrize.register_parametrization(one, WEIGHT, constraint)
    return constraint


def mark_tied(model: nn.Module) -> None:
    """Note at layers whose weight is one trained tensor, as a table of embeddings that is the last layer, which others.

    Stages call it before they constrain anything; a deep copy keeps the note.
    """
    owners: dict[Tensor, list[nn.Module]] = {}
    for layer in model.modules():
        layer.__dict__.pop(TIED, None)
        constrained = parametrize.is_parametrized(layer, WEIGHT)
        weight = original(layer) if constrained else layer._parameters.get(WEIGHT)
        if weight is not None:
            owners.setdefault(weight, []).append(layer)
    for layers in (found for found in owners.values() if len(found) > 1):
        for layer in layers:
            layer.__dict__[TIED] = tuple(one for one in layers if one is not layer)


@torch.no_grad()
def incoming(layer: nn.Module, constraint: Constraint) -> Tensor:
    """The weight as it arrives at ``constraint``: the trained one after the constraints before it."""
    chain = _chain(layer)
    weight = original(layer).detach()
    for earlier in chain:
        if earlier is constraint:
            return weight
        weight = earlier(weight)
    raise ValueError("the constraint is not registered on this layer")


def _chain(layer: nn.Module) -> parametrize.ParametrizationList:
    held = cast(nn.ModuleDict, layer.parametrizations)
    return cast(parametrize.ParametrizationList, held[WEIGHT])
