"""What stages share that act on transformers: which attention blocks a pattern names, and who has none at all."""

from __future__ import annotations

import fnmatch

from torch import nn

from engine.errors import InputError
from engine.stages._base import Stage
from engine.weights.attention import Attention, attentions, blocks, constrained

STUDENTS = "a student with attention, such as bert_2 or gpt_2; this one has none"


def attention_of(stage: Stage, model: nn.Module) -> list[Attention]:
    """Attention blocks of which the stage's pattern names a layer; InputError for a model without any."""
    found = attentions(model)
    if not found:
        raise InputError(stage.name, type(model).__name__, STUDENTS)
    named = [a for a in found if any(fnmatch.fnmatchcase(layer, stage.layers) for layer in a.layers)]
    if any(constrained(a) for a in named):
        late = f"{stage.name} after pruning or rounding"
        raise InputError("recipe.phases", late, f"{stage.name} before what prunes or rounds the layers")
    return named


def blocks_of(stage: Stage, model: nn.Module) -> list[str]:
    """Paths of transformer blocks of which the pattern names a layer; InputError for a model without any."""
    found = blocks(model)
    if not found:
        raise InputError(stage.name, type(model).__name__, STUDENTS)
    inside = {b: [f"{b}.{name}" for name, _ in model.get_submodule(b).named_modules() if name] for b in found}
    return [b for b in found if any(fnmatch.fnmatchcase(name, stage.layers) for name in inside[b])]
