"""Each stage's declared effect is real, and its rules hold: counts, levels, widths, statistics."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import small_nets
import torch
from small_nets import fresh, outputs, phase, stage
from torch import Tensor, nn

from engine import registry
from engine.step import Batch, Step
from engine.weights import code, inputs
from engine.weights.constraint import Mask, find, weight_of
from engine.weights.sparsity import cubic_sparsity, sparsity_of

FIRST = "blocks.0.conv"
PRUNABLE = ("blocks.0.conv", "blocks.1.depthwise", "blocks.1.pointwise", "head")


def sparsity(model: nn.Module) -> float:
    return sparsity_of(list(code.masks(model).values()))


def layer(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {n: weight_of(layer(model, n)).detach().clone() for n in PRUNABLE}


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


# quantization


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_weights_have_at_most_two_to_the_bits_levels(bits: int, granularity: str) -> None:
    model = fresh()
    phase(model, [stage("quantize_linear", bits=bits, granularity=granularity)])
    codes = code.weight_codes(model)
    assert set(codes) == set(PRUNABLE)
    for name, w in weights(model).items():
        rows = w.flatten(1) if granularity == "channel" else w.reshape(1, -1)
        assert max(len(r.unique()) for r in rows) <= 2**bits
        assert len(w.unique()) > 1
        assert codes[name].scale.shape == ((len(w),) if granularity == "channel" else ())
    assert set(code.input_codes(model)) == (set(PRUNABLE) if bits == 8 else set())


def test_more_bits_are_closer_to_the_dense_network() -> None:
    dense = fresh()
    errors = []
    for bits in (2, 4, 6):
        model = copy.deepcopy(dense)
        phase(model, [stage("quantize_linear", bits=bits)])
        errors.append(float((outputs(model) - outputs(dense)).square().mean()))
    assert errors[0] > errors[1] > errors[2] > 0


@pytest.mark.parametrize("bits", [1, 2, 8])
def test_pruned_weights_stay_zero_when_quantized(bits: int) -> None:
    model = fresh()
    phase(
        model, [stage("prune_magnitude", sparsity=0.7), stage("quantize_linear", bits=bits, training="qat")], epochs=2
    )
    for name, mask in code.masks(model).items():
        assert bool((weight_of(layer(model, name))[~mask] == 0).all())
        assert (code.weight_codes(model)[name].integers[~mask.numpy()] == 0).all()


def test_one_bit_of_a_pruned_layer_takes_the_mean_of_what_is_left() -> None:
    model = fresh()
    pruned = copy.deepcopy(model)
    phase(pruned, [stage("prune_magnitude", sparsity=0.5)])
    phase(model, [stage("prune_magnitude", sparsity=0.5), stage("quantize_linear", bits=1, granularity="tensor")])
    kept = weights(pruned)["head"]
    expected = kept[kept != 0].abs().mean()
    torch.testing.assert_close(weights(model)["head"].abs().max(), expected)


def test_post_training_rounds_only_after_the_phase_and_qat_during_it() -> None:
    context = small_nets.context(10)
    for training, rounds in (("post", False), ("qat", True)):
        model = fresh()
        quantize = stage("quantize_linear", bits=3, training=training)
        quantize.attach(model, [])
        quantize.prepare(model, context)
        assert bool(code.weight_codes(model)) is rounds
        quantize.finish(model, context)
        assert code.weight_codes(model)


@pytest.mark.parametrize("scale", ["maximum", "least_squares"])
def test_qat_trains_a_network_that_post_training_ruins(scale: str) -> None:
    dense = fresh()
    phase(dense, [], epochs=6)
    losses = {}
    for training in ("post", "qat"):
        model = copy.deepcopy(dense)
        quantize = stage("quantize_linear", bits=2, scale=scale, training=training)
        phase(model, [quantize], epochs=3 * (training == "qat"), number=1)
        losses[training] = nn.functional.cross_entropy(outputs(model), small_nets.data().labels)
    assert losses["qat"] < losses["post"]


def test_qat_scales_end_at_the_final_weights() -> None:
    model = fresh()
    phase(model, [stage("quantize_linear", bits=4, scale="maximum", training="qat")], epochs=1)
    for name in PRUNABLE:
        held = layer(model, name).parametrizations.weight
        torch.testing.assert_close(held[0].scale, held.original.detach().flatten(1).abs().amax(1) / 7)


def test_requantizing_never_adds_levels() -> None:
    model = fresh()
    phase(model, [stage("quantize_linear", bits=8)])
    assert code.input_codes(model)
    phase(model, [stage("quantize_linear", bits=3)])
    assert {c.bits for c in code.weight_codes(model).values()} == {3}
    assert not code.input_codes(model), "widths under 8 bits are of weights only"
    phase(model, [stage("quantize_linear", bits=8)])
    assert {c.bits for c in code.weight_codes(model).values()} == {3}
    assert not code.input_codes(model)


def test_inputs_after_relu_have_zero_point_zero_and_others_an_exact_zero() -> None:
    model = fresh()
    phase(model, [stage("quantize_linear"), stage("recalibrate")])
    codes = code.input_codes(model)
    assert codes["blocks.1.depthwise"].zero_point == codes["head"].zero_point == 0
    assert 0 < codes[FIRST].zero_point < 255


def test_ranges_follow_recalibrated_statistics() -> None:
    """Pruning shrinks activations and recalibration restores them: old ranges would cut them off."""
    model = fresh()
    phase(model, [], epochs=2)
    heavy = stage("prune_magnitude", sparsity=0.9)
    phase(model, [heavy, stage("quantize_linear")], number=1)
    before = code.input_codes(model)["head"].scale
    phase(model, [stage("recalibrate")], number=2)
    after = code.input_codes(model)["head"].scale
    assert after > before * 1.2
    with inputs.paused(model):
        exact = outputs(model)
    assert (outputs(model) - exact).abs().max() < 0.05 * exact.abs().max()


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


# recalibration


def test_recalibration_repairs_what_pruning_breaks() -> None:
    model = fresh()
    phase(model, [], epochs=4)
    dense = outputs(model)
    phase(model, [stage("prune_magnitude", sparsity=0.7)], number=1)
    broken = outputs(model)
    weights_before = weights(model)
    phase(model, [stage("recalibrate")], number=2)
    repaired = outputs(model)
    assert (repaired - dense).square().mean() < (broken - dense).square().mean()
    assert all(torch.equal(w, weights(model)[n]) for n, w in weights_before.items())
    norm = model.blocks[1].norm
    assert norm.momentum == 0.1


def test_recalibration_does_not_depend_on_old_statistics() -> None:
    a, b = fresh(), fresh()
    b.blocks[0].norm.running_mean += 5
    phase(a, [stage("recalibrate")])
    phase(b, [stage("recalibrate")])
    assert torch.equal(outputs(a), outputs(b))


def test_recalibration_leaves_networks_without_batchnorm_alone() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    before = copy.deepcopy(model.state_dict())
    phase(model, [stage("quantize_linear"), stage("recalibrate")])
    assert torch.equal(model[1].parametrizations.weight.original, before["1.weight"])


def test_deep_copies_quantize_their_own_inputs() -> None:
    model = fresh()
    phase(model, [stage("quantize_linear")])
    twin = copy.deepcopy(model)
    before = outputs(twin)
    quantizer = inputs.find(layer(model, "head"))
    assert quantizer is not None
    quantizer.high.fill_(1e-3)
    assert not torch.equal(outputs(model), before)
    assert torch.equal(outputs(twin), before)
    assert find(layer(twin, "head"), Mask) is None
