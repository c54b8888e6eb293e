"""Quantization and recalibration do what they declare: levels, zeros that stay, ranges, statistics."""

from __future__ import annotations

import copy

import pytest
import small_nets
import torch
from small_nets import fresh, outputs, phase, stage
from torch import Tensor, nn

from engine.weights import code, inputs
from engine.weights.constraint import Mask, find, weight_of

FIRST = "blocks.0.conv"
PRUNABLE = ("blocks.0.conv", "blocks.1.depthwise", "blocks.1.pointwise", "head")


def layer(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {n: weight_of(layer(model, n)).detach().clone() for n in PRUNABLE}


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
