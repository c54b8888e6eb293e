"""AWQ: its search by brute force, never worse than nearest rounding, the same function but for the rounding."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from block_tools import answers, context, tiny
from small_nets import stage
from torch import Tensor, nn

from engine.artifact import runtime, writing
from engine.stages.quantize_awq import scaled_error, scales
from engine.weights import affine, code
from engine.weights.compensated import Lattice
from engine.weights.constraint import weight_of


def apply(model: nn.Module, name: str, **knobs: object) -> nn.Module:
    one = stage(name, **knobs)
    one.attach(model, [])
    one.finish(model, context())
    return model


def seen(model: nn.Module, layer: nn.Module) -> Tensor:
    found: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, args: found.append(args[0].detach().flatten(0, -2)))
    for batch, _ in context().calibration:
        model(batch)
    hook.remove()
    return torch.cat(found)


def test_the_scales_by_hand() -> None:
    torch.testing.assert_close(scales(torch.tensor([1.0, 4.0, 16.0]), 0.5), torch.tensor([0.5, 1.0, 2.0]))
    assert torch.equal(scales(torch.tensor([1.0, 4.0, 0.0]), 0.0), torch.ones(3))
    assert torch.isfinite(scales(torch.tensor([1.0, 0.0]), 1.0)).all()


def test_the_error_is_that_of_a_layer_that_runs() -> None:
    torch.manual_seed(0)
    weight, x, factor = torch.randn(5, 8), torch.randn(50, 8), torch.rand(8) + 0.5
    lattice = Lattice(3)
    rounded = affine.quantize(weight * factor, 3).dequantized()
    expected = ((x / factor) @ torch.tensor(rounded).T - x @ weight.T).square().mean(0).sum()
    torch.testing.assert_close(scaled_error(weight, (x.T @ x / 50)[None], lattice, factor), expected)


@pytest.mark.parametrize("granularity", ["channel", "group"])
def test_the_chosen_scale_is_the_best_of_all_that_are_tried(granularity: str) -> None:
    model = tiny()
    before = copy.deepcopy(model)
    x, layer = seen(before, before.block.up), before.block.up
    apply(model, "quantize_awq", bits=3, granularity=granularity, group=8, layers="block.up")
    size = x.abs().mean(0)
    errors = []
    for step in range(21):
        powered = size ** (step / 20)
        factor = powered / (powered.max() * powered.min()).sqrt()
        rounded = affine.quantize(layer.weight * factor, 3, granularity, group=8).dequantized()
        errors.append(float((x @ (torch.tensor(rounded) / factor - layer.weight).T).square().sum().detach()))
    folded = model.block.ln_2.weight / before.block.ln_2.weight
    found = x @ (weight_of(model.block.up) * folded - layer.weight).T
    assert float(found.square().sum().detach()) == pytest.approx(min(errors), rel=1e-3)
    assert min(errors) < 0.9 * errors[0], "the outliers of this model make scales worth while"


def test_less_is_lost_than_by_nearest_rounding() -> None:
    lost = {"quantize_linear": 0.0, "quantize_awq": 0.0}
    for seed in range(3):
        before = answers(tiny(seed))
        for name in lost:
            found = answers(apply(tiny(seed), name, bits=3, granularity="group", group=8))
            lost[name] += float((found - before).square().mean())
    assert lost["quantize_awq"] < 0.8 * lost["quantize_linear"]


def test_taking_the_rounding_away_leaves_the_function() -> None:
    """The scales themselves change nothing: with eight bits and large groups what is left is tiny."""
    model = tiny()
    before = answers(model)
    apply(model, "quantize_awq", bits=3)
    for module in model.modules():
        if hasattr(module, "active"):
            module.active.fill_(False)
    torch.testing.assert_close(answers(model), before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


def test_where_no_scale_can_be_folded_it_is_nearest_rounding() -> None:
    model, other = tiny(late=True), tiny(late=True)
    for name, one in (("quantize_awq", model), ("quantize_linear", other)):
        apply(one, name, bits=4, layers="block.[quk]*")
    assert torch.equal(answers(model), answers(other))


def test_zeros_of_a_mask_stay_zero() -> None:
    model = tiny()
    pruning = stage("prune_magnitude", sparsity=0.5)
    pruning.attach(model, [])
    pruning.prepare(model, context())
    apply(model, "quantize_awq", bits=4)
    baked = code.bake(model)
    for name, mask in code.masks(model).items():
        assert bool((baked.get_parameter(f"{name}.weight")[~mask] == 0).all())


def test_the_file_computes_what_the_network_computes() -> None:
    model = apply(tiny(), "quantize_awq", granularity="group", group=16)
    built = writing.build(model, context().calibration[0][0][:2])
    found = runtime.predict(runtime.session(built.onnx), context().calibration[0][0].numpy())
    with torch.no_grad():
        expected = model(context().calibration[0][0]).flatten(0, 1)
    np.testing.assert_allclose(found.reshape(expected.shape), expected.numpy(), atol=1e-4 * float(expected.abs().max()))
