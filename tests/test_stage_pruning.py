"""Pruning does what it declares: exact counts, nested masks, the cubic curve, really narrower networks."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import small_nets
import torch
from small_nets import fresh, outputs, phase, stage
from torch import nn

from engine import registry
from engine.step import Batch, Step
from engine.weights import code
from engine.weights.constraint import Mask, weight_of
from engine.weights.sparsity import cubic_sparsity, sparsity_of

FIRST = "blocks.0.conv"
PRUNABLE = ("blocks.0.conv", "blocks.1.depthwise", "blocks.1.pointwise", "head")


def sparsity(model: nn.Module) -> float:
    return sparsity_of(list(code.masks(model).values()))


def layer(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name)


# pruning of weights


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.77, 0.99])
def test_one_shot_masks_exactly_that_many(scope: str, share: float) -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=share, scope=scope)])
    masks = code.masks(model)
    assert set(masks) == set(PRUNABLE) - {FIRST}
    groups = [list(masks.values())] if scope == "global" else [[m] for m in masks.values()]
    for group in groups:
        assert sum(int((~m).sum()) for m in group) == round(share * sum(m.numel() for m in group))
    assert all(bool((weight_of(layer(model, n))[~m] == 0).all()) for n, m in masks.items())


def test_the_first_convolution_can_be_pruned_too() -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", keep_first=False)])
    assert set(code.masks(model)) == set(PRUNABLE)


def test_what_remains_and_biases_are_not_changed_by_one_shot() -> None:
    model, dense = fresh(), fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.6)])
    for name, mask in code.masks(model).items():
        assert torch.equal(weight_of(layer(model, name))[mask], weight_of(layer(dense, name))[mask])
    assert torch.equal(layer(model, "head").bias, layer(dense, "head").bias)


def test_repeating_tightens_and_never_revives() -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.6)])
    before = code.masks(model)
    phase(model, [stage("prune_magnitude", sparsity=0.3)], epochs=1)
    assert {n: int(m.sum()) for n, m in code.masks(model).items()} == {n: int(m.sum()) for n, m in before.items()}
    phase(model, [stage("prune_magnitude", sparsity=0.8)])
    after = code.masks(model)
    assert all(bool((before[n] | ~after[n]).all()) for n in before)
    assert sparsity(model) == pytest.approx(0.8, abs=0.003)
    assert sum(isinstance(m, Mask) for m in model.modules()) == len(before)


def fake_step(model: nn.Module, number: int, steps: int) -> Step:
    empty = torch.zeros(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    return Step(model, Batch(empty, empty, empty, empty), [], optimizer, number, steps)


@pytest.mark.parametrize("start", [0.0, 0.4])
def test_gradual_follows_the_cubic_curve_and_then_holds(start: float) -> None:
    model, steps = fresh(), 240
    if start:
        phase(model, [stage("prune_magnitude", sparsity=start)])
    gradual = stage("prune_magnitude", sparsity=0.9, schedule="gradual")
    gradual.attach(model, [])
    gradual.prepare(model, small_nets.context(steps))
    seen, changes = [sparsity(model)], 0
    assert seen[0] == pytest.approx(start, abs=0.003)
    for number in range(steps):
        gradual.after_step(fake_step(model, number, steps))
        seen.append(sparsity(model))
        changes += seen[-1] != seen[-2]
        expected = cubic_sparsity(number / steps, start, 0.9, 0.0, 0.75)
        assert expected - 0.06 <= seen[-1] <= expected + 0.005  # at most one update of 60 behind
    assert changes <= 60
    assert all(a <= b for a, b in itertools.pairwise(seen))
    assert seen[int(0.8 * steps)] == seen[-1] == pytest.approx(0.9, abs=0.003)
    gradual.finish(model, small_nets.context(steps))
    assert sparsity(model) == seen[-1]


@pytest.mark.parametrize("epochs", [1, 4])
def test_gradual_reaches_its_sparsity_however_short_the_phase(epochs: int) -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.7, schedule="gradual")], epochs=epochs)
    masks = code.masks(model)
    total = sum(m.numel() for m in masks.values())
    assert sum(int((~m).sum()) for m in masks.values()) == round(0.7 * total)


def test_finishing_reaches_the_sparsity_even_after_a_single_step() -> None:
    model, context = fresh(), small_nets.context(1)
    gradual = stage("prune_magnitude", sparsity=0.7, schedule="gradual")
    gradual.attach(model, [])
    gradual.prepare(model, context)
    gradual.after_step(fake_step(model, 0, 1))
    assert sparsity(model) == 0
    gradual.finish(model, context)
    assert sparsity(model) == pytest.approx(0.7, abs=0.003)


# channels


@pytest.mark.parametrize("name", ["plain_1k5", "plain_10k", "depthwise_1k4", "depthwise_28k"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_students_become_really_narrower(name: str, share: float) -> None:
    check_narrowing(name, share)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_torchvision_models_become_really_narrower(name: str) -> None:
    check_narrowing(name, 0.5)


def check_narrowing(name: str, share: float) -> None:
    torch.manual_seed(0)
    model = registry.get("models", name).make()
    again = copy.deepcopy(model)
    size = sum(p.numel() for p in model.parameters())
    images = torch.randn(4, 1, 28, 28)
    context: Any = small_nets.context()
    context.example = images[:1]
    prune = stage("prune_channels", sparsity=share)
    plan = prune.plan(model, context)
    assert sum(p.numel() for p in model.parameters()) == size, "planning must not touch the model"
    prune.attach(model, plan)
    prune.attach(again, plan)
    assert model.eval()(images).shape == (4, 10)
    assert torch.equal(model(images), again.eval()(images))
    left = sum(p.numel() for p in model.parameters())
    if share:
        assert left < size * (1 - 0.9 * share)  # one channel a layer stays
        widths = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
        assert min(widths) >= 1
    else:
        assert left == size


def test_the_weakest_channels_go_and_the_rest_is_copied() -> None:
    model = fresh()
    with torch.no_grad():
        for name in ("conv.weight", "norm.weight"):
            model.blocks[0].get_parameter(name)[[1, 4]] *= 0.01
        model.blocks[1].depthwise.weight[[1, 4]] *= 0.01
        model.blocks[1].depthwise_norm.weight[[1, 4]] *= 0.01
        model.blocks[1].pointwise.weight[:, [1, 4]] *= 0.01
    dense = copy.deepcopy(model)
    phase(model, [stage("prune_channels", sparsity=1 / 3, layers="blocks.0.*")])
    # the group holds the depthwise filters too, which the pattern leaves out: nothing may happen
    assert torch.equal(outputs(model), outputs(dense))
    phase(model, [stage("prune_channels", sparsity=1 / 3, layers="blocks.*")])
    assert model.blocks[0].conv.out_channels == 4
    assert torch.equal(model.blocks[0].conv.weight, dense.blocks[0].conv.weight[[0, 2, 3, 5]])
    assert model.head.out_features == small_nets.CLASSES


def test_repeating_removes_the_same_fraction_of_what_is_left() -> None:
    model, again = fresh(), fresh()
    stages = [stage("prune_channels", sparsity=0.5), stage("prune_channels", sparsity=0.5)]
    plans = phase(model, stages)
    assert model.blocks[1].pointwise.out_channels == 2
    for one, plan in zip(stages, plans, strict=True):
        one.attach(again, plan)
    assert torch.equal(outputs(model), outputs(again))
