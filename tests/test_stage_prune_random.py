"""Pruning by chance: exact counts, no preference, the same lots at once and gradually, torch's own counts."""

from __future__ import annotations

import pytest
import small_nets
import torch
from small_nets import fresh, phase, stage
from torch import nn
from torch.nn.utils import prune as reference

from engine.weights import code
from engine.weights.constraint import weight_of

PRUNED = ("blocks.1.depthwise", "blocks.1.pointwise", "head")


def masks(**knobs: object) -> dict[str, torch.Tensor]:
    model = fresh()
    phase(model, [stage("prune_random", **knobs)])
    return code.masks(model)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.77, 0.99])
def test_it_takes_exactly_as_many_as_torch_does(share: float) -> None:
    model = fresh()
    layers = {name: model.get_submodule(name) for name in PRUNED}
    found = masks(sparsity=share, scope="layer")
    reference.global_unstructured(
        [(layer, "weight") for layer in layers.values()], pruning_method=reference.RandomUnstructured, amount=share
    )
    expected = sum(int((layer.weight_mask == 0).sum()) for layer in layers.values())
    assert abs(sum(int((~m).sum()) for m in found.values()) - expected) <= len(layers)  # rounded in each layer
    for name, layer in layers.items():
        assert int((~found[name]).sum()) == round(share * layer.weight.numel())
    assert sum(int((~m).sum()) for m in masks(sparsity=share).values()) == expected


def test_small_and_large_weights_go_alike() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(200, 100))
    with torch.no_grad():
        layer[1].weight.copy_(torch.arange(20_000.0).view(100, 200) + 1)
    one = stage("prune_random", sparsity=0.5)
    one.attach(layer, [])
    one.prepare(layer, small_nets.context())
    kept = weight_of(layer[1]).detach()
    kept = kept[kept != 0]
    assert len(kept) == 10_000
    # the mean rank of half of 20,000 numbers, drawn without looking: 10,000.5 with a standard error of 40.8
    assert float(kept.mean()) == pytest.approx(10_000.5, abs=4 * 40.8)


def test_it_ends_alike_at_once_and_gradually_and_the_draw_is_the_generator_s() -> None:
    at_once, model = masks(sparsity=0.7), fresh()
    phase(model, [stage("prune_random", sparsity=0.7, schedule="gradual")], epochs=1)
    assert all(torch.equal(m, at_once[n]) for n, m in code.masks(model).items())
    expected = torch.rand(at_once["blocks.1.depthwise"].shape, generator=small_nets.context().generator)
    layered = masks(sparsity=0.5, scope="layer")["blocks.1.depthwise"]
    assert torch.equal(layered, expected > expected.flatten().kthvalue(round(0.5 * expected.numel())).values)


def test_more_zeros_hold_fewer_and_repeating_keeps_the_old_ones() -> None:
    few, many = masks(sparsity=0.4), masks(sparsity=0.8)
    assert all(bool((few[n] | ~many[n]).all()) for n in few)
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.5)])
    before = code.masks(model)
    phase(model, [stage("prune_random", sparsity=0.75)], epochs=1, number=1)
    after = code.masks(model)
    assert all(bool((before[n] | ~after[n]).all()) for n in before)
    total = sum(m.numel() for m in after.values())
    assert sum(int((~m).sum()) for m in after.values()) == round(0.75 * total)
