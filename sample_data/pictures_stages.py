"""What every registered stage does to one layer of the shipped student, by the loop that trials use."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine import catalogue, registry
from engine.errors import InputError
from engine.home import Home
from engine.prefix import Trained
from engine.recipe import Part
from engine.student import advance
from engine.weights.constraint import weight_of
from engine.workbench import Bench
from sample_data.pictures_student import LAYER, norms, recipe, shipped_student

BINS, LEVELS = 61, 256
FEW_BITS = 3  # few levels are easier to see than the usual 8 bits
ROWS, COLUMNS = 48, 144  # of a weight matrix, at most
# what a stage needs to find: statistics are wrong only behind damage, and tickets are drawn under masks
DAMAGE = [{"name": "prune_magnitude", "sparsity": 0.7}, {"name": "quantize_linear", "bits": 4}]
MASKS = [{"name": "prune_magnitude", "sparsity": 0.8}]


def picture(name: str, home: Home) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The entry of one stage: settings and counts, and the layer after it."""
    stage = {"name": name, **settings(name)}
    earlier: list[dict[str, Any]] = list(DAMAGE) if registry.get("stages", name).order == "recalibration" else []
    try:
        before, after, epochs = apply(stage, earlier, home)
    except InputError as problem:  # it cannot act on this student (no layers of equal shape, say): the page says so
        return {"version": registry.get("stages", name).version, "refused": str(problem)}, {}
    if registry.get("stages", name).order == "mask" and not zeros(after):
        earlier = list(MASKS)
        before, after, epochs = apply(stage, earlier, home)
    facts: dict[str, Any] = {"settings": settings(name), "earlier": earlier, "epochs": epochs}
    facts["version"] = registry.get("stages", name).version
    arrays = _norms(before, after) if earlier == DAMAGE else {}
    found, more = _layer(before, after)
    facts["parameters"] = [sum(p.numel() for p in m.parameters()) for m in (before, after)]
    return facts | found, {**more, **arrays}


def settings(name: str) -> dict[str, Any]:
    """The settings of the picture: defaults, with few bits where there is a number of bits."""
    few = [k for k in catalogue.from_lists(catalogue.build()).knobs("stages", name) if k.name == "bits"]
    return {k.name: int(min(max(FEW_BITS, k.low or 1), k.high or 8)) for k in few}


def apply(stage: dict[str, Any], earlier: list[dict[str, Any]], home: Home) -> tuple[nn.Module, nn.Module, int]:
    """The student before and after a stage, and the epochs that it trained with."""
    part = Part.from_json("stages", stage, "picture")
    epochs = int(part.needs_epochs is not None)
    trained = {"loss": {"name": "kd"}, "teachers": ["teacher"]} if epochs else {}
    own = {"epochs": epochs, "stages": [stage], **trained}
    wanted = recipe([{"stages": earlier}, own] if earlier else [{"epochs": 1}, own])
    bench, result = Bench(wanted, home), Trained(shipped_student())
    if earlier:
        result = advance(bench, result, 0)
    before = copy.deepcopy(result.model).eval()
    return before, advance(bench, result, 1).model.eval(), epochs


def zeros(model: nn.Module) -> int:
    """Zeros in the layer that is shown."""
    return int((kernel(model) == 0).sum())


@torch.no_grad()
def kernel(model: nn.Module) -> Tensor:
    """The weights that the layer at ``LAYER`` computes with, [out, in, 3, 3]; of several layers in its place their
    product, read off their answers to single pixels."""
    layer = model.get_submodule(LAYER)
    if isinstance(getattr(layer, "weight", None), Tensor):
        return weight_of(layer).detach()
    inputs = _input_of(model).shape[1]
    dots = torch.zeros(inputs, inputs, 7, 7)
    dots[torch.arange(inputs), torch.arange(inputs), 3, 3] = 1.0
    answers = layer(dots) - layer(torch.zeros_like(dots))
    return answers[:, :, 2:5, 2:5].flip(2, 3).transpose(0, 1).contiguous()


def matrix(weights: Tensor) -> NDArray[np.float16]:
    """[out, in * height * width], the first rows and columns of it where it is large."""
    return weights.flatten(1)[:ROWS, :COLUMNS].numpy().astype(np.float16)


def _layer(before: nn.Module, after: nn.Module) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    old, new = kernel(before), kernel(after)
    values = new.unique()
    reach = float(max(old.abs().max(), new.abs().max()))
    counts = [torch.histc(w, BINS, -reach, reach).int().tolist() for w in (old, new)]
    facts: dict[str, Any] = {
        "shape": list(new.shape), "reach": reach, "zeros": float((new == 0).float().mean()), "counts": counts,
        "levels": len(values) if len(values) <= LEVELS * len(new) else None,
        "row_levels": max(len(row.unique()) for row in new.flatten(1)),
        "parts": _parts(after), "kept": _kept(old, new), "changed": old.shape != new.shape or not old.equal(new),
    }  # fmt: skip
    arrays = {"after": matrix(new)} if facts["changed"] else {}
    entering = [_input_of(m) for m in (before, after)]
    if len(entering[1].unique()) <= LEVELS < len(entering[0].unique()):
        arrays |= _inputs(entering)
        facts["input_levels"] = len(entering[1].unique())
    return facts, arrays


def _parts(model: nn.Module) -> list[dict[str, Any]]:
    """Where other layers stand in the place of one: their shapes."""
    layer = model.get_submodule(LAYER)
    inside = [(n, m) for n, m in layer.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    rows = [{"name": n, "shape": list(weight_of(m).shape), "groups": getattr(m, "groups", 1)} for n, m in inside]
    return rows if len(rows) > 1 else []


def _kept(old: Tensor, new: Tensor) -> list[list[int]] | None:
    """Which outputs and inputs of the layer are left, where it became smaller and nothing else."""
    if new.shape == old.shape or new.shape[2:] != old.shape[2:]:
        return None
    rows = [_same(w, old, 0) for w in new]
    inputs = [_same(new[:, i], old.transpose(0, 1), 0) for i in range(new.shape[1])]
    return None if None in rows or None in inputs else [rows, inputs]  # type: ignore[list-item]


def _same(part: Tensor, whole: Tensor, first: int) -> int | None:
    """The first slice of ``whole`` whose kernels include all kernels of ``part``, in their order."""
    wanted = part.flatten(1)
    for i in range(first, len(whole)):
        there = (wanted[:, None] == whole[i].flatten(1)[None]).all(2).any(1)
        if bool(there.all()):
            return i
    return None


def _norms(before: nn.Module, after: nn.Module) -> dict[str, NDArray[Any]]:
    """Mean and variance of each channel, before and after, of the norm behind the layer that is shown."""
    path = LAYER.removesuffix("conv") + "norm"
    pair = [norms(m)[path] for m in (before, after)]
    found: Mapping[str, list[Any]] = {
        "mean": [n.running_mean.numpy() for n in pair], "variance": [n.running_var.numpy() for n in pair]
    }  # fmt: skip
    return {name: np.stack(values).astype(np.float32) for name, values in found.items()}


def _inputs(entering: list[Tensor]) -> dict[str, NDArray[Any]]:
    """How often which value enters the layer."""
    top = float(max(x.max() for x in entering))
    low = float(min(x.min() for x in entering))
    return {
        "inputs": np.stack([torch.histc(x, BINS, low, top).numpy() for x in entering]).astype(np.int32),
        "input_range": np.array([low, top], np.float32),
    }


@torch.no_grad()
def _input_of(model: nn.Module) -> Tensor:
    """What enters the layer for 64 validation images."""
    seen: list[Tensor] = []
    hook = model.get_submodule(LAYER).register_forward_pre_hook(lambda _m, x: seen.append(x[0]))
    model.eval()(registry.get("tasks", "fashion_mnist").split("sample", "validation").inputs[:64])
    hook.remove()
    return seen[0]
