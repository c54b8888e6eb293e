"""Tied embeddings: a language model reads its answers off the table that its inputs are looked up in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from engine.errors import InputError
from engine.knobs import knob
from engine.registry import register
from engine.stages._base import Stage, StageContext
from engine.weights.constraint import constraints, weight_of
from engine.weights.sharing import answering

STARTS = ("input", "output", "mean")
ALLOWED = "a student with two tables of one shape, one for inputs and one for answers, such as gpt_1"


@register
@dataclass(frozen=True)
class TieEmbeddings(Stage):
    """Puts the table of inputs in the place of the weights that give the answers."""

    name = "tie_embeddings"
    title = "Tie inputs and answers"
    help = (
        "A language model has two tables with a row for every token: one turns tokens into numbers, the other turns "
        "numbers into scores of the next token. This makes them one, trained by both uses and stored once. In small "
        "models the tables are most of the file. Train from the start with it, or on afterwards."
    )
    formula = r"E = W^{\mathrm{out}} = W^{\mathrm{in}},\qquad \mathrm{logits} = h\,E^\top"
    source = "Press & Wolf 2017, arXiv:1608.05859, section 3; Inan et al. 2017, arXiv:1611.01462"
    expect = (
        "gpt_2, 3 epochs, one seed: 2.635 bits a character in 487 kB when tied from the start, 2.616 in 599 kB apart. "
        "Tied after 2 epochs and trained for one more: 2.746, as tables that were trained apart differ. A call "
        "computes as much as before."
    )
    order = "shape"
    modalities = ("tokens",)
    needs_epochs = {"start": STARTS}  # one table in the place of two that were trained apart knows neither's work

    start: str = knob(
        "input",
        choices=STARTS,
        help="What the one table starts as: that of the inputs, that of the answers, or their mean.",
        advanced=True,
    )

    def plan(self, model: nn.Module, context: StageContext) -> list[Any]:
        """``[[table, layer]]`` by name; :class:`InputError` for a model that has no two, or has one already."""
        named = {name for name, _ in self.selected(model, (nn.Linear,))}
        pair = answering(model)
        if pair is None:
            raise InputError(self.name, type(model).__name__, ALLOWED)
        if any(constraints(model.get_submodule(name)) for name in pair):
            raise InputError("recipe.phases", f"{self.name} after pruning or rounding", f"{self.name} before those")
        return [list(pair)] if pair[1] in named else []

    @torch.no_grad()
    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """One parameter in both places."""
        for table, layer in plan:
            inputs, answers = model.get_submodule(table), model.get_submodule(layer)
            first, second = weight_of(inputs), weight_of(answers)
            kept = {"input": first, "output": second, "mean": (first + second) / 2}[self.start]
            first.copy_(kept)
            answers.register_parameter("weight", inputs.get_parameter("weight"))
