"""Layer dropping: whole transformer blocks are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.errors import InputError
from engine.knobs import knob
from engine.registry import register
from engine.stages._base import Stage, StageContext
from engine.stages._transformer import blocks_of
from engine.weights.attention import blocks, drop
from engine.weights.heads import least_missed

RULES = ("alternate", "last", "importance")


@register
@dataclass(frozen=True)
class DropLayers(Stage):
    """Some blocks go; what enters them goes on to the next one."""

    name = "drop_layers"
    title = "Drop whole layers"
    help = (
        "Leaves out whole blocks of a transformer, attention and feed-forward layers alike: what would enter such a "
        "block goes straight to the next. Time falls as much as weights do. At least one block stays. Train on "
        "afterwards, so that the others get used to it."
    )
    formula = r"x_{l+1} = x_l \ \text{ for dropped } l, \qquad x_{l+1} = x_l + f_l(x_l) \ \text{ for all others}"
    source = (
        "Fan et al. 2019 (LayerDrop), arXiv:1909.11556 (every other layer, search by loss); Sajjad et al. 2020, "
        "arXiv:2004.03844, section 3 (last layers, alternate ones)"
    )
    expect = (
        "A block that goes takes its whole time along. bert_2 on spam, one block of two, one seed: 96.0 % at once "
        "and 97.2 after one more epoch (dense 96.2 and 96.6), 0.53 of the time. gpt_2: 0.037 bits a character more at "
        "once, 0.006 after one more epoch."
    )
    order = "shape"
    modalities = ("text", "tokens")

    fraction: float = knob(0.5, 0.0, 0.95, step=0.05, help="Fraction of the blocks that is dropped.")
    rule: str = knob(
        "alternate",
        choices=RULES,
        help="Which ones: spread evenly (every other one at a half), the last, or one after the other the one whose "
        "absence raises the loss on training examples least (importance).",
    )

    def plan(self, model: nn.Module, context: StageContext) -> list[Any]:
        """The paths of the blocks that go."""
        found = blocks_of(self, model)
        if len(blocks(model)) == 1:
            raise InputError(
                self.name, type(model).__name__, "a student of two blocks or more, such as bert_2 or gpt_2"
            )
        count = min(round(self.fraction * len(found)), max(len(found) - 1, 0))
        if self.rule == "last":
            return found[len(found) - count :]
        if self.rule == "importance" and count:
            return least_missed(model, found, count, context.calibration, context.loss)
        # the first block of each of `count` equal stretches stays, so every other one goes at a half
        return [found[(i + 1) * len(found) // count - 1] for i in range(count)]

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """Losses that look at the first or the last layer find the first or the last one that is left."""
        drop(model, plan)
