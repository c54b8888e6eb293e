"""Adaptive rounding: the objective against layers that run, never worse than nearest, brute force on a small layer."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest
import small_nets
import torch
from small_nets import fresh, outputs, phase, stage
from torch import Tensor, nn

from engine.weights import affine, code
from engine.weights.adaptive import (
    AdaptiveRounding,
    learn_rounding,
    rectified_sigmoid,
    regulariser,
    regulariser_slope,
    rounded,
)
from engine.weights.constraint import find, incoming, weight_of
from engine.weights.reconstruction import Reconstruction, order_of_use, reconstruction

LAYERS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Conv2d(3, 5, 3, padding=1), (4, 3, 6, 6)),
    (nn.Conv2d(4, 8, (3, 2), stride=2, dilation=2, groups=2), (4, 4, 9, 9)),
    (nn.Conv2d(4, 4, 3, padding="same", groups=4), (4, 4, 6, 6)),
    (nn.Linear(7, 3), (4, 7)),
    (nn.Linear(7, 3), (4, 5, 7)),
]


@pytest.mark.parametrize("number", range(len(LAYERS)))
def test_the_objective_is_the_mean_squared_error_of_the_layer_that_runs(number: int) -> None:
    layer, shape = LAYERS[number]
    torch.manual_seed(number)
    first = nn.Identity()
    before, now = nn.Sequential(first, layer).eval(), nn.Sequential(nn.Dropout(0.0), copy.deepcopy(layer)).eval()
    noise = torch.randn(shape)
    now[0].register_forward_hook(lambda _m, _i, out: out + 0.3 * noise[: len(out)])
    batches = [(torch.randn(shape), torch.zeros(4)), (torch.randn(shape), torch.zeros(4))]
    with torch.no_grad():
        found = reconstruction(before, now, "1", batches)
        other = weight_of(layer) + 0.1 * torch.randn_like(weight_of(layer))
        twin = copy.deepcopy(layer)
        weight_of(twin).copy_(other)
        axis = 1 if isinstance(layer, nn.Conv2d) else -1
        differences = torch.cat([layer(x) - twin(x + 0.3 * noise) for x, _ in batches]).movedim(axis, 0).flatten(1)
        torch.testing.assert_close(found.error(other), differences.square().mean(1), rtol=1e-4, atol=1e-6)


def small_objective(seed: int, size: int = 8) -> tuple[Reconstruction, Tensor, Tensor]:
    """A linear layer of few weights whose inputs are correlated, so that nearest rounding is not best."""
    torch.manual_seed(seed)
    mixed = torch.randn(64, 3) @ torch.randn(3, size) + 0.2 * torch.randn(64, size)
    weight = torch.randn(2, size)
    objective = Reconstruction(
        weight, (mixed.T @ mixed / 64)[None], torch.zeros(2, size), torch.zeros(2)
    )  # inputs before and now are alike
    return objective, weight, affine.fit_scale(weight, 3, "channel", "least_squares")


def brute_force(objective: Reconstruction, weight: Tensor, scale: Tensor) -> Tensor:
    """The least error of each row over all ways to round."""
    size = weight.shape[1]
    ways = torch.tensor(list(itertools.product([False, True], repeat=size)))
    errors = [objective.error(rounded(weight, way.expand(2, size), scale, 3)) for way in ways]
    return torch.stack(errors).amin(0)


def test_it_comes_close_to_the_best_of_all_roundings_and_beats_the_nearest() -> None:
    learned, nearest, best = [], [], []
    for seed in range(6):
        objective, weight, scale = small_objective(seed)
        _, found, least = learn_rounding(objective, weight, scale, 3, 300)
        learned.append(found.sum())
        nearest.append(least.sum())
        best.append(brute_force(objective, weight, scale).sum())
        assert bool((found <= least).all())
    assert sum(learned) < 0.85 * sum(nearest)
    assert sum(best) <= sum(learned) < 2.5 * sum(best)


def test_the_written_out_gradients_are_those_of_automatic_differentiation() -> None:
    objective, weight, _ = small_objective(1)
    other = (weight + 0.2).requires_grad_(True)
    objective.error(other).sum().backward()
    torch.testing.assert_close(objective.slope(other.detach()), other.grad)
    share = torch.tensor([0.1, 0.45, 0.8, 1.0], requires_grad=True)
    regulariser(share, 5.0).backward()
    torch.testing.assert_close(regulariser_slope(share.detach(), 5.0), -share.grad)


@pytest.mark.parametrize("iterations", [1, 30, 300])
def test_it_is_never_worse_than_nearest_rounding_on_its_objective(iterations: int) -> None:
    for seed in range(4):
        objective, weight, scale = small_objective(seed + 10)
        up, found, least = learn_rounding(objective, weight, scale, 3, iterations)
        assert bool((found <= least).all())
        torch.testing.assert_close(objective.error(rounded(weight, up, scale, 3)), found)


def test_the_rectified_sigmoid_and_the_regulariser_at_their_ends() -> None:
    values = torch.tensor([-20.0, 0.0, 20.0])
    assert rectified_sigmoid(values).tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert float(regulariser(torch.tensor([0.0, 1.0, 1.0]), 7.0)) == 0
    assert float(regulariser(torch.tensor([0.5, 0.5]), 2.0)) == 2
    assert float(regulariser(torch.tensor([0.75]), 2.0)) == pytest.approx(1 - 0.25)


def test_layers_come_in_the_order_in_which_they_are_used() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first, self.idle = nn.Linear(4, 2), nn.Linear(3, 4), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.last(self.first(x))
            return out

    model = Backwards()
    layers = [model.last, model.idle, model.first]
    assert order_of_use(model, layers, torch.zeros(1, 3)) == [model.first, model.last]


def changed(**settings: Any) -> tuple[float, nn.Module]:
    dense = fresh()
    phase(dense, [], epochs=4)
    model = copy.deepcopy(dense)
    phase(model, [stage("quantize_adaround", **settings)], number=1)
    return float((outputs(model) - outputs(dense)).square().mean()), model


def test_outputs_stay_closer_than_with_nearest_rounding() -> None:
    learned, _ = changed(bits=3, iterations=300)
    nearest, _ = changed(bits=3, iterations=0)
    assert learned < 0.7 * nearest


def test_without_iterations_it_is_the_linear_quantizer() -> None:
    _, model = changed(bits=4, iterations=0)
    linear = fresh()
    phase(linear, [], epochs=4)
    phase(linear, [stage("quantize_linear", bits=4)], number=1)
    for name, found in code.weight_codes(model).items():
        assert np.array_equal(found.dequantized(), code.weight_codes(linear)[name].dequantized())


def test_every_weight_is_one_of_its_two_neighbours_and_zeros_stay() -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.5), stage("quantize_adaround", bits=3, iterations=50)])
    plain = code.bake(model)
    masks = code.masks(model)
    for name, found in code.weight_codes(model).items():
        layer = model.get_submodule(name)
        held = find(layer, AdaptiveRounding)
        weight = incoming(layer, held)
        distance = (weight / affine.column(held.scale, weight)).clamp(-3, 3) - torch.from_numpy(found.integers)
        assert float(distance.abs().max()) < 1
        assert np.array_equal(found.dequantized(), weight_of(plain.get_submodule(name)).detach().numpy())
        if name in masks:
            assert (found.integers[~masks[name].numpy()] == 0).all()


def test_the_data_are_read_twice_a_layer_however_long_it_learns() -> None:
    reads = []
    model = fresh()
    model.register_forward_hook(lambda *_: reads.append(1))
    phase(model, [stage("quantize_adaround", bits=3, iterations=100)])
    batches = len(small_nets.context().calibration)
    assert len(reads) <= 1 + 2 * batches * 4
