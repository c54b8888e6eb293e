"""Learned step size quantization: gradients by hand, the first step, training, files."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import small_nets
import torch
from small_nets import fresh, outputs, phase, stage
from torch import nn

from engine.weights import code
from engine.weights.constraint import add, find, weight_of
from engine.weights.learned import LearnedStep, StepRounding, bounds, first_step


def test_both_gradients_are_those_of_the_paper_by_hand() -> None:
    """Equations 3 and 5 for 3 bits (-4 .. 3) at step 0.5, and the gradient scale 1 / sqrt(N * 3)."""
    weight = torch.tensor([[0.6, -0.9, 5.0, -5.0, 0.1, -2.0]], requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    seen = torch.tensor([[1.0, 2.0, -1.0, 0.5, 3.0, 4.0]])
    out = StepRounding.apply(weight, step, *bounds(3))
    (out * seen).sum().backward()
    assert out.tolist() == [[0.5, -1.0, 1.5, -2.0, 0.0, -2.0]]
    # v/s: 1.2, -1.8, 10, -10, 0.2, -4 (at the bound: outside, as the inequality of equation 3 is strict)
    slopes = [1 - 1.2, -2 + 1.8, 3, -4, 0 - 0.2, -4]
    expected = sum(s * g for s, g in zip(slopes, seen[0].tolist(), strict=True)) / math.sqrt(6 * 3)
    assert step.grad is not None
    assert step.grad.item() == pytest.approx(expected, rel=1e-5)
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1.0, 2.0, 0.0, 0.0, 3.0, 0.0]]


def test_each_channel_has_its_own_gradient_and_its_own_count() -> None:
    torch.manual_seed(0)
    weight, seen = torch.randn(3, 2, 3, 3), torch.randn(3, 2, 3, 3)
    steps = torch.tensor([0.1, 0.3, 0.9], requires_grad=True)
    (StepRounding.apply(weight, steps, *bounds(4)) * seen).sum().backward()
    for i in range(3):
        one = steps.detach()[i].clone().requires_grad_(True)
        (StepRounding.apply(weight[i : i + 1], one, *bounds(4)) * seen[i : i + 1]).sum().backward()
        torch.testing.assert_close(steps.grad[i], one.grad)


def test_inside_the_range_the_gradient_of_the_step_keeps_below_half() -> None:
    weight = torch.linspace(-3.4, 2.9, 200)[None]
    slopes = []
    for one in weight[0]:
        step = torch.tensor(1.0, requires_grad=True)
        StepRounding.apply(one.view(1, 1), step, *bounds(3)).sum().backward()
        slopes.append(step.grad.item() * math.sqrt(3))
    assert max(abs(s) for s in slopes) <= 0.5 + 1e-5


@pytest.mark.parametrize(("bits", "high"), [(2, 1), (3, 3), (4, 7), (8, 127)])
def test_the_first_step_is_twice_the_mean_magnitude_over_the_root(bits: int, high: int) -> None:
    weight = torch.tensor([[1.0, -3.0, 0.0, 2.0], [0.5, 0.5, -0.5, 0.5]])
    assert bounds(bits) == (-min(high + 1, 127), high)
    torch.testing.assert_close(first_step(weight, bits, "channel"), torch.tensor([4.0, 1.0]) / math.sqrt(high))
    assert first_step(weight, bits, "tensor").shape == ()


def test_what_is_trained_is_the_logarithm_of_the_step() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 3)
    held = add(layer, LearnedStep(weight_of(layer), 3, "tensor"))
    held.start(layer.parametrizations.weight.original)
    step = held.step.detach().clone().requires_grad_(True)
    seen = torch.randn(3, 6)
    (layer.weight * seen).sum().backward()
    (StepRounding.apply(layer.parametrizations.weight.original.detach(), step, *bounds(3)) * seen).sum().backward()
    torch.testing.assert_close(held.log_step.grad, step.grad * step.detach())


def test_steps_move_and_training_lowers_the_loss() -> None:
    dense = fresh()
    phase(dense, [], epochs=6)
    losses, labels = {}, small_nets.data().labels
    for name, settings in (("quantize_linear", {"training": "post"}), ("quantize_lsq", {})):
        model = copy.deepcopy(dense)
        phase(model, [stage(name, bits=2, **settings)], epochs=3 * (name == "quantize_lsq"), number=1)
        losses[name] = float(nn.functional.cross_entropy(outputs(model), labels))
        held = find(model.get_submodule("head"), LearnedStep)
        if held is not None:
            start = first_step(weight_of(dense.get_submodule("head")), 2, "channel")
            assert (held.step / start - 1).abs().max() > 0.02
    assert losses["quantize_lsq"] < losses["quantize_linear"]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_code_gives_the_weight_bit_for_bit(bits: int) -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.5), stage("quantize_lsq", bits=bits)], epochs=1)
    plain = code.bake(model)
    for name, found in code.weight_codes(model).items():
        held = weight_of(plain.get_submodule(name)).detach().contiguous().numpy()
        assert np.array_equal(found.dequantized(), held)
        assert found.integers.min() >= bounds(bits)[0]
        assert found.bits == bits
    assert bool(code.input_codes(model)) is (bits == 8)


def test_two_bits_are_four_levels_in_the_code() -> None:
    weight = torch.tensor([[-9.0, -1.0, 0.1, 0.9, 7.0]])
    held = LearnedStep(weight, 2, "channel")
    held.active.fill_(True)
    assert held(weight).tolist() == [[-2.0, -1.0, 0.0, 1.0, 1.0]]
    assert held.code(weight).integers.tolist() == [[-2, -1, 0, 1, 1]]


def test_a_later_stage_keeps_the_steps_unless_it_asks_for_fewer_bits() -> None:
    model = fresh()
    phase(model, [stage("quantize_lsq", bits=3)], epochs=1)
    before = find(model.get_submodule("head"), LearnedStep).step.detach().clone()
    again = stage("quantize_lsq", bits=6)
    again.attach(model, [])
    again.prepare(model, small_nets.context(10))
    held = find(model.get_submodule("head"), LearnedStep)
    assert held.bits == 3
    assert torch.equal(held.step, before)
    stage("quantize_lsq", bits=2).attach(model, [])
    assert held.bits == 2
    assert not held.active
