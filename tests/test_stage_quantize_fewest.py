"""Two and three levels: closed forms on small vectors, gradients by hand, what training buys, bits in the file."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import small_nets
import torch
from small_nets import fresh, outputs, phase, stage
from torch import nn

from engine.artifact import build, unpack
from engine.weights import code
from engine.weights.constraint import add, original, weight_of
from engine.weights.fewest import Binary, SignRounding, Ternary, ternary


def test_threshold_and_scale_of_three_levels_by_hand() -> None:
    weight = torch.tensor([[0.1, -0.2, 0.9, -1.2], [2.0, 2.0, -0.1, 0.0]])
    threshold, scale = ternary(weight, "channel")
    torch.testing.assert_close(threshold, 0.7 * torch.tensor([2.4 / 4, 4.1 / 3]))  # a zero is no weight
    torch.testing.assert_close(scale, torch.tensor([1.05, 2.0]))
    threshold, scale = ternary(weight, "tensor")
    assert float(threshold) == pytest.approx(0.7 * 6.5 / 7)
    assert float(scale) == pytest.approx((0.9 + 1.2 + 2 + 2) / 4)
    layer = nn.Linear(4, 2, bias=False)
    held = add(layer, Ternary(weight, "tensor"))
    held.fit(weight)
    torch.testing.assert_close(held(weight), 1.525 * torch.tensor([[0.0, 0, 1, -1], [1, 1, 0, 0]]))


def test_the_scale_is_the_best_one_for_the_chosen_signs() -> None:
    """Equation 3: for fixed signs the least squared error is at the mean magnitude of what is kept."""
    torch.manual_seed(0)
    weight = torch.randn(1, 300)
    threshold, scale = ternary(weight)
    signs = torch.sign(weight) * (weight.abs() > threshold)
    errors = [float((weight - s * signs).square().sum()) for s in (scale * 0.99, scale, scale * 1.01)]
    assert errors[1] == min(errors)


def test_zeros_and_empty_rows_make_no_nan() -> None:
    threshold, scale = ternary(torch.zeros(2, 3), "channel")
    assert threshold.tolist() == [0, 0]
    assert scale.tolist() == [1, 1]


def test_the_gradient_of_a_sign_is_that_of_xnor_net_by_hand() -> None:
    weight = torch.tensor([[0.5, -1.5, 0.25, -0.75]], requires_grad=True)
    scale = torch.tensor([0.75])
    seen = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    (SignRounding.apply(weight, scale) * seen).sum().backward()
    expected = [1 * (0.25 + 0.75), 2 * 0.25, 3 * (0.25 + 0.75), 4 * (0.25 + 0.75)]
    torch.testing.assert_close(weight.grad, torch.tensor([expected]))


@pytest.mark.parametrize("name", ["quantize_ternary", "quantize_binary"])
def test_rounded_weights_pass_the_gradient_on(name: str) -> None:
    layer = nn.Linear(4, 2, bias=False)
    kind = (
        Ternary(weight_of(layer), "tensor") if name == "quantize_ternary" else Binary(weight_of(layer), "tensor", False)
    )
    held = add(layer, kind)
    held.fit(original(layer))
    layer.weight.sum().backward()
    assert torch.equal(original(layer).grad, torch.ones(2, 4))


def test_binary_weights_are_signs_times_the_mean_magnitude() -> None:
    weight = torch.tensor([[0.5, -1.5, 0.0, -1.0]])
    held = Binary(weight, "channel", True)
    held.fit(weight)
    assert held(weight).tolist() == [[1.0, -1.0, 0.0, -1.0]]
    held = Binary(weight, "channel", False)
    held.fit(weight)
    assert held(weight).tolist() == [[1.0, -1.0, 0.0, -1.0]]
    assert held.scale.tolist() == [1.0]


def test_binary_connect_keeps_what_it_trains_within_one() -> None:
    model = fresh()
    with torch.no_grad():
        weight_of(model.get_submodule("head")).mul_(20)
    phase(model, [stage("quantize_binary", training="qat", scale="one")], epochs=1)
    assert original(model.get_submodule("head")).abs().max() <= 1
    assert set(code.weight_codes(model)["head"].scale.tolist()) == {1.0}


@pytest.mark.parametrize("name", ["quantize_ternary", "quantize_binary"])
def test_training_with_few_levels_beats_rounding_afterwards(name: str) -> None:
    dense = fresh()
    phase(dense, [], epochs=6)
    losses, labels = {}, small_nets.data().labels
    for training in ("post", "qat"):
        model = copy.deepcopy(dense)
        phase(model, [stage(name, training=training)], epochs=3 * (training == "qat"), number=1)
        losses[training] = nn.functional.cross_entropy(outputs(model), labels)
    assert losses["qat"] < losses["post"]


@pytest.mark.parametrize("name", ["quantize_ternary", "quantize_binary"])
def test_the_first_convolution_can_stay_in_float(name: str) -> None:
    model = fresh()
    phase(model, [stage(name, keep_first=True)])
    assert set(code.weight_codes(model)) == {"blocks.1.depthwise", "blocks.1.pointwise", "head"}


@pytest.mark.parametrize(("name", "bits"), [("quantize_ternary", 1.6), ("quantize_binary", 1.0)])
def test_the_file_takes_the_bits_that_the_levels_need(name: str, bits: float) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128, bias=False)).eval()
    phase_of = stage(name, granularity="tensor")
    phase_of.attach(model, [])
    phase_of.finish(model, small_nets.context())
    made = build(model, torch.randn(2, 1, 8, 8))
    packed = made.packed()
    assert unpack(packed) == made.onnx
    empty = build(nn.Sequential(nn.Flatten(), nn.Linear(1, 1, bias=False)).eval(), torch.randn(2, 1, 1, 1))
    assert len(packed) - len(empty.packed()) < 64 * 128 * bits / 8 * 1.04 + 200
    found = code.weight_codes(model)["1"]
    assert len(np.unique(found.integers)) == (3 if name == "quantize_ternary" else 2)
