"""What stages for language models alone do to one layer of a small one, trained for an epoch on the shipped texts."""

from __future__ import annotations

import copy
import functools
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine import registry
from engine.home import Home
from engine.prefix import Trained
from engine.recipe import Part, Recipe
from engine.student import advance
from engine.weights.constraint import weight_of
from engine.workbench import Bench
from sample_data import pictures_stages

TASK, STUDENT = "language_model", "gpt_2"
LAYER = "transformer.h.1.attn.v_proj"
LAYERS = {"tie_embeddings": "lm_head", "quantize_embeddings": "transformer.wte"}
TRAINED: dict[str, Any] = {"epochs": 1, "loss": {"name": "cross_entropy"}, "teachers": []}


def suits(name: str) -> bool:
    """Whether a stage acts on running text and not on images."""
    modalities = registry.get("stages", name).modalities
    return "tokens" in modalities and "image" not in modalities


def picture(name: str, home: Home) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The entry of one stage: as :func:`pictures_stages.picture`, with student, layer and matrix of its own."""
    settings = pictures_stages.settings(name)
    stage = {"name": name, **settings}
    epochs = int(Part.from_json("stages", stage, "picture").needs_epochs is not None)
    own = {**(TRAINED if epochs else {"epochs": 0}), "stages": [stage]}
    bench = Bench(Recipe.from_json({"task": TASK, "student": STUDENT, "phases": [TRAINED, own]}), home)
    before = copy.deepcopy(_student(home))
    after = advance(bench, Trained(copy.deepcopy(before)), 1).model.eval()
    layer = LAYERS.get(name, LAYER)
    old, new = (weight_of(m.get_submodule(layer)).detach() for m in (before, after))
    facts: dict[str, Any] = {
        "settings": settings, "earlier": [], "epochs": epochs, "version": registry.get("stages", name).version,
        "student": STUDENT, "layer": layer, "was": list(old.shape),
        "parameters": [sum(p.numel() for p in m.parameters()) for m in (before, after)],
    }  # fmt: skip
    if name == "drop_layers":  # what stands at this place then is another layer: nothing to lay side by side
        new = old
    facts |= _facts(old, new)
    arrays = {"before": old, "after": new} if facts["changed"] else {}
    return facts, {what: pictures_stages.matrix(weights) for what, weights in arrays.items()}


def _facts(old: Tensor, new: Tensor) -> dict[str, Any]:
    reach = float(max(old.abs().max(), new.abs().max()))
    values, most = new.unique(), pictures_stages.LEVELS
    return {
        "shape": list(new.shape), "reach": reach, "zeros": float((new == 0).float().mean()),
        "counts": [torch.histc(w, pictures_stages.BINS, -reach, reach).int().tolist() for w in (old, new)],
        "levels": len(values) if len(values) <= most * len(new) else None,
        "row_levels": max(len(row.unique()) for row in new), "parts": [], "kept": _kept(old, new),
        "changed": old.shape != new.shape or not old.equal(new),
    }  # fmt: skip


def _kept(old: Tensor, new: Tensor) -> list[list[int]] | None:
    """Which rows and columns are left, where rows were cut out and nothing else."""
    rows = [next((i for i, row in enumerate(old) if row.equal(wanted)), None) for wanted in new]
    found = [i for i in rows if i is not None]
    return [found, list(range(old.shape[1]))] if len(found) == len(new) < len(old) else None


@functools.cache
def _student(home: Home) -> nn.Module:
    bench = Bench(Recipe.from_json({"task": TASK, "student": STUDENT, "phases": [TRAINED]}), home)
    return advance(bench, Trained(bench.fresh()), 0).model.eval()
