"""Penalties on channels: their values, their gradients, and that they make channels dispensable."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_nets import fresh, outputs, phase, stage
from torch import nn

from engine.errors import InputError
from engine.recipe import Recipe

NORMS = ("blocks.0.norm", "blocks.1.depthwise_norm", "blocks.1.norm")


def scales(model: nn.Module) -> torch.Tensor:
    return torch.cat([model.get_submodule(n).weight.detach() for n in NORMS])


def test_the_penalty_on_scales_is_their_l1_norm_with_its_sign_as_gradient() -> None:
    model = fresh()
    with torch.no_grad():
        model.blocks[0].norm.weight.copy_(torch.tensor([1.0, -2.0, 0.0, 0.5, 3.0, -0.5]))
    made = stage("slim_channels", strength=0.1).penalty(model)
    assert float(made) == pytest.approx(0.1 * (7 + 6 + 8))
    made.backward()
    assert model.blocks[0].norm.weight.grad.tolist() == pytest.approx([0.1, -0.1, 0, 0.1, 0.1, -0.1])
    assert model.blocks[0].norm.bias.grad is None
    assert model.head.weight.grad is None


def test_group_lasso_weighs_each_filter_by_the_root_of_its_size() -> None:
    """The gradient of a filter is a vector of length strength times sqrt(n) along it, whatever its length."""
    model = fresh()
    with torch.no_grad():
        model.blocks[1].pointwise.weight[3] = 0
    made = stage("slim_channels", target="group_lasso", strength=0.01).penalty(model)
    layers = {"blocks.0.conv": 9, "blocks.1.depthwise": 9, "blocks.1.pointwise": 6}
    expected = sum(math.sqrt(n) * model.get_submodule(k).weight.flatten(1).norm(dim=1).sum() for k, n in layers.items())
    assert float(made) == pytest.approx(0.01 * float(expected), rel=1e-5)
    made.backward()
    for name, size in layers.items():
        layer = model.get_submodule(name)
        along, step = layer.weight.detach().flatten(1), layer.weight.grad.flatten(1)
        for w, g in zip(along, step, strict=True):
            length = float(w.norm())
            wanted = 0.01 * math.sqrt(size) * w / length if length else torch.zeros_like(w)
            torch.testing.assert_close(g, wanted, rtol=1e-4, atol=1e-8)


def test_a_pattern_names_norms() -> None:
    model = fresh()
    stage("slim_channels", layers="blocks.1.*").penalty(model).backward()
    assert model.blocks[0].norm.weight.grad is None
    assert model.blocks[1].norm.weight.grad is not None


def test_no_strength_is_plain_training() -> None:
    one, other = fresh(), fresh()
    phase(one, [stage("slim_channels", strength=0.0)], epochs=1)
    phase(other, [], epochs=1)
    assert torch.equal(outputs(one), outputs(other))


@pytest.mark.parametrize("target", ["batchnorm", "group_lasso"])
def test_training_under_it_shrinks_what_it_names(target: str) -> None:
    found = {}
    for strength in (0.0, 0.3):
        model = fresh()
        phase(model, [stage("slim_channels", target=target, strength=strength)], epochs=8)
        filters = sum(float(m.weight.detach().flatten(1).norm(dim=1).sum()) for m in model.modules()
                      if isinstance(m, nn.Conv2d))  # fmt: skip
        found[strength] = float(scales(model).sum()) if target == "batchnorm" else filters
    assert found[0.3] < 0.7 * found[0.0]


def test_what_it_has_made_weak_can_be_removed_at_less_cost() -> None:
    """Removing by scale changes the slimmed network's answers less than those of one trained without the penalty."""
    change = {}
    for strength in (0.0, 0.02):
        model = fresh()
        phase(model, [stage("slim_channels", strength=strength)], epochs=30)
        narrow = copy.deepcopy(model)
        phase(narrow, [stage("prune_channels", score="batchnorm", scope="global", sparsity=0.3)])
        before, after = outputs(model).softmax(1), outputs(narrow).softmax(1)
        change[strength] = float((before - after).abs().mean())
    assert change[0.02] < 0.7 * change[0.0]


def test_it_is_refused_where_nothing_trains() -> None:
    body = {"task": "fashion_mnist", "student": "plain_5k", "phases": [{"stages": [{"name": "slim_channels"}]}]}
    with pytest.raises(InputError, match="slim_channels:target=batchnorm"):
        Recipe.from_json(body)
