"""SmoothQuant: which neighbours can share a scale, the factors by hand, the same function, less error in int8."""

from __future__ import annotations

import copy

import pytest
import torch
from block_tools import answers, context, ids, tiny
from small_nets import context as image_context
from small_nets import fresh, outputs, phase, stage
from torch import Tensor, nn

from engine.weights import inputs
from engine.weights.rescaling import folds


def names(model: nn.Module, found: list[object]) -> set[tuple[str, ...]]:
    known = {module: name for name, module in model.named_modules()}
    return {tuple(known[m].split(".")[-1] for m in (fold.source, *fold.layers)) for fold in found}  # type: ignore[attr-defined]


def of(model: nn.Module) -> set[tuple[str, ...]]:
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    return names(model, list(folds(model, layers, ids())))


PRE = {("ln_1", "q_proj", "k_proj", "v_proj"), ("v_proj", "o_proj"), ("ln_2", "up"), ("norm", "head")}


def test_neighbours_are_found_and_nothing_else() -> None:
    assert of(tiny()) == PRE, "a GELU does not pass a scale on"
    assert of(tiny(between=nn.ReLU())) == PRE | {("up", "down")}
    late = of(tiny(late=True))
    assert late == {("v_proj", "o_proj"), ("norm", "head")}, "a sum reads these norms too"


def test_tied_and_rounded_layers_are_left_out() -> None:
    model = tiny()
    model.head.weight = model.table.weight
    assert ("norm", "head") not in of(model)
    model = tiny()
    one = stage("quantize_linear", bits=4, layers="block.v_proj")
    one.attach(model, [])
    one.finish(model, context())
    assert of(model) == {("ln_2", "up"), ("norm", "head")}, "what is rounded cannot follow, and reads the first norm"


def test_looking_for_neighbours_changes_no_bit() -> None:
    model = tiny().train()
    before = copy.deepcopy(model.state_dict())
    of(model)
    assert model.training
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.5, 1.0])
def test_the_function_stays(strength: float) -> None:
    model = tiny()
    before = answers(model)
    stage("smooth_quant", strength=strength).finish(model, context())
    torch.testing.assert_close(answers(model), before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


def seen_by(model: nn.Module, layer: nn.Module) -> Tensor:
    found: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, args: found.append(args[0]))
    for batch, _ in context().calibration:
        model(batch)
    hook.remove()
    return torch.cat(found).detach().abs().flatten(0, 1).amax(0)


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_the_factors_by_definition(strength: float) -> None:
    model = tiny()
    block, before = model.block, copy.deepcopy(model)
    size = seen_by(before, before.block.q_proj)
    weight = torch.stack([before.block.get_submodule(n).weight.abs().amax(0) for n in ("q_proj", "k_proj", "v_proj")])
    factor = size**strength / weight.amax(0) ** (1 - strength)
    stage("smooth_quant", strength=strength, layers="*[qkv]_proj").finish(model, context())
    torch.testing.assert_close(block.ln_1.weight, before.block.ln_1.weight / factor)
    torch.testing.assert_close(block.ln_1.bias, before.block.ln_1.bias / factor)
    torch.testing.assert_close(block.k_proj.weight, before.block.k_proj.weight * factor)
    left = seen_by(model, block.q_proj)
    torch.testing.assert_close(left, size ** (1 - strength) * weight.amax(0) ** (1 - strength), rtol=1e-4, atol=1e-5)
    if strength == 1.0:
        torch.testing.assert_close(left, torch.ones_like(left), rtol=1e-4, atol=1e-5)


def test_eight_bits_lose_less_after_it() -> None:
    lost = {}
    for smooth in (False, True):
        lost[smooth] = 0.0
        for seed in range(3):
            model = tiny(seed)
            before = answers(model)
            stages = [stage("smooth_quant")] * smooth + [stage("quantize_linear", bits=8, scale="maximum")]
            for one in stages:
                one.attach(model, [])
                one.finish(model, context())
            lost[smooth] += float((answers(model) - before).square().mean())
    assert lost[True] < 0.5 * lost[False]


def test_in_a_network_of_images_norms_take_the_scale_of_convolutions_up() -> None:
    model = fresh(1)
    phase(model, [], epochs=1)
    found = folds(model, [m for m in model.modules() if isinstance(m, nn.Conv2d)], image_context().calibration[0][0])
    known = {module: name for name, module in model.named_modules()}
    pairs = {(known[f.source], known[f.layers[0]]) for f in found}
    assert pairs == {("blocks.1.depthwise_norm", "blocks.1.pointwise")}
    before = outputs(model)
    phase(model, [stage("smooth_quant")])
    torch.testing.assert_close(outputs(model), before, rtol=1e-4, atol=1e-4)
    assert not any(inputs.find(m) for m in model.modules())
