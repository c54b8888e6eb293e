"""Cross-layer sharing: layers of equal shape use one and the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.errors import InputError
from engine.knobs import knob
from engine.registry import register
from engine.stages._base import Stage, StageContext
from engine.weights.attention import places
from engine.weights.constraint import constraints
from engine.weights.sharing import alike, tie

STARTS = ("first", "mean")


@register
@dataclass(frozen=True)
class ShareLayers(Stage):
    """Puts one layer in the place of several."""

    name = "share_layers"
    title = "Share weights between layers"
    help = (
        "Lets layers of equal shape use the same weights: they are trained together, and the file holds them once. It "
        "computes as much as before. Transformers of several blocks share from block to block; of the others "
        "residual_23k, resnet18 and mobilenet_v3_small repeat a layer. Each place keeps its own BatchNorm. Put it "
        "before stages that make zeros."
    )
    formula = (
        r"W^{(1)} = \dots = W^{(m)} = W,\qquad \frac{\partial L}{\partial W} = "
        r"\sum_{l=1}^{m} \frac{\partial L}{\partial W^{(l)}}"
    )
    source = "Lan et al. 2019, ALBERT, arXiv:1909.11942, sections 3.1 and 4.5; for convolutions the same idea"
    expect = (
        "After one epoch residual_23k has 87.6 % in 80 kB, 86.9 with its three blocks shared (46 kB) and 86.6 with all "
        "four equal layers (28 kB; one seed). Shared layers keep their BatchNorm as operations of their own and "
        "compute in floats at every width: calls do not get faster."
    )
    order = "mask"
    needs_epochs = {"start": STARTS}  # trained layers that are merged would know nothing without training on

    size: int = knob(12, 2, 12, help="At most so many layers use the same weights; more make further groups.")
    start: str = knob(
        "first",
        choices=STARTS,
        help="What to go on from: the weights of the first, or the mean.",
        advanced=True,
    )

    def plan(self, model: nn.Module, context: StageContext) -> list[Any]:
        """Which layers become one; :class:`InputError` where none can, or where they are masked already."""
        layers = dict(self.selected(model, (nn.Conv2d, nn.Linear, nn.LayerNorm)))
        groups = alike(layers, self.size, places(model))
        if layers and not groups:
            shapes = "layers of equal shape, of which this student has none there; residual_23k and bert_2 do"
            raise InputError("share_layers.layers", self.layers, shapes)
        if any(constraints(layers[name]) for names in groups for name in names):
            raise InputError("recipe.phases", "share_layers after pruning", "share_layers before what prunes a layer")
        return groups

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """Make them one."""
        for names in plan:
            tie(model, names, self.start == "mean")
