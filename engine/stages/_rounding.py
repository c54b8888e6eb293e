"""What stages that round weights share: one lattice a layer, at 8 bits its input too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from engine.stages._base import Stage, StageContext
from engine.step import Step
from engine.weights import inputs
from engine.weights.constraint import Fitted, Lattice, add, find, incoming, weight_of

ACTIVATION_BITS = 8
GRANULARITIES = ("channel", "tensor")
TRAININGS = ("post", "qat")
TRAINING_HELP = "Round once after the phase (post), or train with rounded weights throughout (qat, needs epochs)."
FIRST_HELP = "Leave the first convolution in float: it has few weights and every later layer depends on them."

L = TypeVar("L", bound=Lattice)


@dataclass(frozen=True)
class Rounding(Stage, Generic[L]):
    """A lattice on each convolution and linear layer; a subclass says which one and when it is fitted."""

    order = "quantizer"

    @property
    def spares_first(self) -> bool:
        """Whether the first convolution stays in float."""
        return False

    def lattice(self, weight: Tensor) -> L:
        """The lattice for a layer that has none, inactive."""
        raise NotImplementedError

    def again(self, lattice: L, weight: Tensor) -> None:
        """Change the structure of one that an earlier stage of this kind made; it must not gain levels."""

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """A lattice on each layer behind the mask, if any; 8 bits: a quantizer for the layer's input too."""
        for layer in self._chosen(model):
            weight = weight_of(layer)
            made = self.lattice(weight)
            held = find(layer, type(made))
            if held is None:
                held = add(layer, made)
            else:
                self.again(held, weight)
            if held.bits == ACTIVATION_BITS:
                inputs.attach(layer)
            else:
                inputs.detach(layer)

    def lattices(self, model: nn.Module) -> Iterator[tuple[L, nn.Module]]:
        """The lattices of this stage with their layers."""
        for layer in self._chosen(model):
            found = find(layer, type(self.lattice(weight_of(layer))))
            if found is not None:
                yield found, layer

    def _chosen(self, model: nn.Module) -> Iterator[nn.Module]:
        first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
        for _, layer in self.selected(model, (nn.Conv2d, nn.Linear)):
            if layer is not first or not self.spares_first:
                yield layer


F = TypeVar("F", bound=Fitted)


@dataclass(frozen=True)
class FittedRounding(Rounding[F]):
    """Lattices that are fitted after the phase, or anew at each step of it."""

    needs_epochs = {"training": ("qat",)}

    @property
    def trains(self) -> bool:
        """Whether weights are rounded while the phase trains."""
        raise NotImplementedError

    def prepare(self, model: nn.Module, context: StageContext) -> None:
        """QAT: round from the first step on."""
        self._fit(model, only_active=not self.trains)

    def after_step(self, step: Step) -> None:
        """The levels follow the weights."""
        if self.trains:
            self._fit(step.model)

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Fix the levels for the final weights."""
        self._fit(model)

    def _fit(self, model: nn.Module, only_active: bool = False) -> None:
        for lattice, layer in self.lattices(model):
            if bool(lattice.active) or not only_active:
                lattice.fit(incoming(layer, lattice))
