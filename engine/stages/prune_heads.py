"""Head pruning: attention heads are cut out of a transformer for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from engine.knobs import knob
from engine.registry import register
from engine.stages import _channels
from engine.stages._base import Stage, StageContext
from engine.stages._transformer import attention_of
from engine.weights.attention import Attention, attentions, keep, strength
from engine.weights.heads import effects

SCORES = ("taylor", "magnitude")
SCOPES = ("layer", "global")


@register
@dataclass(frozen=True)
class PruneHeads(Stage):
    """Removes the heads that matter least, with their queries, keys, values and what reads them."""

    name = "prune_heads"
    title = "Remove attention heads"
    help = (
        "Every layer of a transformer looks at the text with several heads at once. This removes those whose absence "
        "the loss would feel least, together with their queries, keys, values and the weights that read them. One head "
        "stays in every layer. Heads that share keys go together."
    )
    formula = (
        r"I_h = \mathbb{E}_x\left|\frac{\partial L(x)}{\partial \xi_h}\right| = "
        r"\mathbb{E}_x\left|\mathrm{Att}_h(x)^\top\frac{\partial L(x)}{\partial\,\mathrm{Att}_h(x)}\right|,"
        r"\quad \text{remove the } \mathrm{round}(s\,H) \text{ heads of smallest } I_h"
    )
    source = (
        "Michel et al. 2019, arXiv:1905.10650, eq. 2 (effect of a head) and section 4.1 (over all layers each layer's "
        "effects are divided by their L2 norm); Voita et al. 2019, arXiv:1905.09418"
    )
    expect = (
        "bert_2 on spam, half of the heads, one seed: 96.3 % at once and 96.8 after one more epoch, where the dense "
        "student has 96.2 and 96.6; 0.75 of the multiply-adds and 0.76 of the time. The table of words and the "
        "feed-forward layers keep their size."
    )
    order = "shape"
    modalities = ("text", "tokens")

    fraction: float = knob(0.5, 0.0, 0.95, step=0.05, help="Fraction of the heads that is removed.")
    score: str = knob(
        "taylor",
        choices=SCORES,
        help="What makes a head weak: little effect on the loss of training examples (taylor), or small weights.",
    )
    scope: str = knob(
        "layer",
        choices=SCOPES,
        help="The same fraction of every layer, or of all heads together wherever they are (global).",
    )

    def plan(self, model: nn.Module, context: StageContext) -> list[Any]:
        """``[{"attention": path, "keep": heads}]`` for every block that loses some (groups, where keys are shared)."""
        found = attention_of(self, model)
        scores = self.scores(model, found, context)
        together = self.scope == "global"
        if together:
            scores = [s / s.norm().clamp(min=1e-12) for s in scores]
        gone = _channels.weakest(scores, self.fraction, together)
        return [
            {"attention": a.name, "keep": [g for g in range(a.groups) if g not in lost]}
            for a, lost in zip(found, gone, strict=True)
            if lost
        ]

    def scores(self, model: nn.Module, found: list[Attention], context: StageContext) -> list[Tensor]:
        """What each head of each block is worth."""
        if self.score == "magnitude":
            return [strength(a).cpu() for a in found]
        told = effects(model, found, context.calibration, context.loss) if found else {}
        return [told[a.name] for a in found]

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """Cut the other heads out, on any copy of the model that the plan was made for."""
        named = {a.name: a for a in attentions(model)}
        for row in plan:
            keep(named[row["attention"]], row["keep"])
