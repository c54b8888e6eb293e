"""The tensor mathematics of compression against closed forms, brute force and PyTorch's own pruning."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from engine.weights import affine, batchnorm, code, inputs
from engine.weights.constraint import Constraint, Mask, Quantizer, add, find, incoming
from engine.weights.sparsity import cubic_sparsity, magnitude_mask, sparsity_of

BITS = range(1, 9)
shapes = st.sampled_from([(1, 1), (3, 7), (4, 2, 3, 3), (2, 1, 3, 3), (5, 40)])
seeds = st.integers(0, 2**31)


def weights(seed: int, shape: tuple[int, ...], heavy: bool = False) -> torch.Tensor:
    """Normal weights, or with heavy tails, a few of them exactly zero."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(shape, generator=generator)
    w = w * w.abs() if heavy else w
    return torch.where(torch.rand(shape, generator=generator) < 0.1, 0.0, w)


def squared_error(w: torch.Tensor, found: code.WeightCode) -> np.ndarray:
    """Squared error of each output channel."""
    return ((w.numpy() - found.dequantized()) ** 2).reshape(len(w), -1).sum(1)


@given(seeds, shapes, st.integers(2, 8), st.sampled_from(["tensor", "channel"]))
@settings(deadline=None, max_examples=60)
def test_rounding_error_is_at_most_half_a_step(seed: int, shape: tuple[int, ...], bits: int, granularity: str) -> None:
    w = weights(seed, shape)
    found = affine.quantize(w, bits, granularity, "maximum")
    error = np.abs(w.numpy() - found.dequantized())
    assert np.all(error <= found.column() / 2 * (1 + 1e-5))
    assert np.abs(found.integers).max(initial=0) <= 2 ** (bits - 1) - 1
    assert found.scale.shape == ((shape[0],) if granularity == "channel" else ())
    assert np.all(found.scale > 0)


@given(seeds, shapes, st.integers(2, 8), st.booleans())
@settings(deadline=None, max_examples=60)
def test_least_squares_is_never_worse_than_maximum(seed: int, shape: tuple[int, ...], bits: int, heavy: bool) -> None:
    w = weights(seed, shape, heavy)
    least, largest = (affine.quantize(w, bits, "channel", s) for s in ("least_squares", "maximum"))
    assert np.all(squared_error(w, least) <= squared_error(w, largest) * (1 + 1e-5))


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("heavy", [False, True])
def test_least_squares_comes_close_to_brute_force(bits: int, heavy: bool) -> None:
    w = weights(3, (6, 50), heavy)
    top = affine.limit(bits)
    scales = w.abs().amax(1) / top * torch.linspace(0.05, 1.05, 4001)[:, None]
    errors = ((w / scales[..., None]).round().clamp(-top, top) * scales[..., None] - w).square().sum(2)
    best, found = errors.amin(0).numpy(), squared_error(w, affine.quantize(w, bits))
    assert np.all(found <= best * 1.15)  # short rows make a jagged landscape; the search has 64 candidates
    assert found.sum() <= best.sum() * 1.03


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_one_bit_is_sign_times_mean_magnitude(granularity: str) -> None:
    w = torch.randn(4, 3, 3, 3)
    found = affine.quantize(w, 1, granularity)
    mean = w.abs().mean((1, 2, 3), keepdim=True) if granularity == "channel" else w.abs().mean()
    np.testing.assert_allclose(found.dequantized(), (torch.sign(w) * mean).numpy(), rtol=1e-6)
    assert set(np.unique(found.integers)) == {-1, 1}


@pytest.mark.parametrize("bits", BITS)
def test_zeros_stay_zero_and_channels_of_zeros_are_harmless(bits: int) -> None:
    w = weights(0, (4, 30))
    w[1] = 0
    found = affine.quantize(w, bits)
    assert np.all(found.integers[w.numpy() == 0] == 0)
    assert np.isfinite(found.scale).all()
    assert len(np.unique(found.integers)) <= 2**bits + (bits == 1)


@pytest.mark.parametrize("bits", BITS)
def test_integers_are_reproduced_by_numpy_alone(bits: int) -> None:
    w = torch.randn(5, 60)
    found = affine.quantize(w, bits)
    if bits > 1:
        top = 2 ** (bits - 1) - 1
        again = np.clip(np.round(w.numpy() / found.scale[:, None]), -top, top).astype(np.int8)
        np.testing.assert_array_equal(found.integers, again)
    again = found.integers.astype(np.float32) * found.scale[:, None]
    np.testing.assert_array_equal(found.dequantized(), again)


def test_dequantized_zeros_have_no_sign() -> None:
    w = torch.tensor([[-0.01, 1.0, -1.0]])
    scale = torch.tensor(1.0)
    assert not torch.signbit(affine.dequantize(affine.round_to_integers(w, scale, 4), scale))[0, 0]


def test_memory_format_does_not_change_a_code() -> None:
    w = torch.randn(6, 4, 3, 3)
    a, b = affine.quantize(w, 3), affine.quantize(w.to(memory_format=torch.channels_last), 3)
    np.testing.assert_array_equal(a.integers, b.integers)
    np.testing.assert_array_equal(a.scale, b.scale)
    assert b.integers.flags.c_contiguous


@given(seeds, st.floats(0, 0.99), st.sampled_from(["global", "layer"]))
@settings(deadline=None, max_examples=60)
def test_masks_have_the_exact_count_even_with_ties(seed: int, sparsity: float, scope: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    tied = {n: torch.randint(-3, 4, (4, size), generator=generator).float() for n, size in (("a", 9), ("b", 50))}
    masks = magnitude_mask(tied, sparsity, scope)
    groups = [list(masks.values())] if scope == "global" else [[m] for m in masks.values()]
    for group in groups:
        total = sum(m.numel() for m in group)
        assert sum(int((~m).sum()) for m in group) == round(sparsity * total)
    dropped = torch.cat([w[~masks[n]].abs() for n, w in tied.items()])
    kept = torch.cat([w[masks[n]].abs() for n, w in tied.items()])
    if scope == "global" and len(dropped) and len(kept):
        assert dropped.max() <= kept.min()


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.83])
def test_global_masks_agree_with_pytorch(sparsity: float) -> None:
    a, b = nn.Conv2d(3, 8, 3), nn.Linear(20, 10)
    masks = magnitude_mask({"a": a.weight, "b": b.weight}, sparsity)
    prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=sparsity)
    assert torch.equal(masks["a"], a.weight_mask.bool())
    assert torch.equal(masks["b"], b.weight_mask.bool())


def test_kept_layers_are_neither_masked_nor_counted() -> None:
    masks = magnitude_mask({"a": torch.zeros(10), "b": torch.arange(10.0)}, 0.5, keep=["a"])
    assert masks["a"].all()
    assert masks["b"].tolist() == [False] * 5 + [True] * 5
    assert sparsity_of([masks["b"]]) == 0.5


def test_masks_of_rising_sparsities_are_nested() -> None:
    w = {"a": torch.randn(40, 5), "b": torch.randn(70)}
    low, high = magnitude_mask(w, 0.3), magnitude_mask(w, 0.7)
    assert all(bool((low[n] | ~high[n]).all()) for n in w)


@pytest.mark.parametrize(("progress", "expected"), [(0, 0.0), (0.1, 0.0), (0.35, 0.7), (0.6, 0.8), (1, 0.8)])
def test_cubic_schedule_follows_zhu_and_gupta(progress: float, expected: float) -> None:
    assert cubic_sparsity(progress, 0.0, 0.8, 0.1, 0.6) == pytest.approx(expected)


def test_cubic_schedule_starts_where_it_is() -> None:
    assert cubic_sparsity(0.0, 0.4, 0.8) == pytest.approx(0.4)
    assert cubic_sparsity(0.5, 0.4, 0.8) == pytest.approx(0.8 - 0.4 / 8)


class Shift(Constraint):
    """A constraint that would undo zeros."""

    def map(self, weight: torch.Tensor) -> torch.Tensor:
        """Add one."""
        return weight + 1


def test_a_constraint_after_a_mask_cannot_undo_it() -> None:
    layer = nn.Linear(8, 4)
    mask = add(layer, Mask(layer.weight))
    mask.tighten(torch.arange(32).view(4, 8) % 2 == 0)
    add(layer, Shift())
    assert torch.equal(layer.weight == 0, ~mask.mask)


def constrained(bits: int = 4, method: str = "least_squares") -> nn.Linear:
    """A linear layer with half its weights masked and the rest quantized, as for an 8-bit layer with its input."""
    layer = nn.Linear(8, 4)
    add(layer, Mask(layer.weight)).tighten(torch.arange(32).view(4, 8) % 2 == 0)
    quantizer = add(layer, Quantizer(layer.weight, bits, "channel", method))
    quantizer.fit(incoming(layer, quantizer))
    inputs.attach(layer)
    return layer


def test_straight_through_gradient_reaches_weights_but_not_masked_ones() -> None:
    layer = constrained(2, "maximum")
    layer.weight.sum().backward()
    mask = find(layer, Mask)
    assert mask is not None
    gradient = layer.parametrizations.weight.original.grad
    assert torch.equal(gradient, mask.mask.float())


def test_gradient_stops_for_weights_far_beyond_the_lattice() -> None:
    layer = nn.Linear(4, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.2, -1.4, 1.6, -9.0]]))
    quantizer = add(layer, Quantizer(layer.weight, 2, "tensor", "maximum"))
    quantizer.active.fill_(True)
    layer.weight.sum().backward()
    assert layer.weight.tolist() == [[0.0, -1.0, 1.0, -1.0]]
    assert layer.parametrizations.weight.original.grad.tolist() == [[1.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize("bits", BITS)
def test_baked_weights_are_the_codes_bit_for_bit(bits: int) -> None:
    model = nn.Sequential(constrained(bits), nn.ReLU(), nn.Linear(4, 2))
    inputs.calibrate(model, [(torch.randn(16, 8), torch.zeros(16))])
    before = model(torch.ones(2, 8))
    plain = code.bake(model)
    assert [type(m) for m in plain] == [nn.Linear, nn.ReLU, nn.Linear]
    assert [n for n, _ in plain.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert list(plain.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    codes = code.weight_codes(model)
    assert list(codes) == ["0"]
    assert codes["0"].bits == bits
    # as integers: a negative zero would be another file
    np.testing.assert_array_equal(
        plain[0].weight.detach().numpy().view(np.uint32), codes["0"].dequantized().view(np.uint32)
    )
    assert torch.equal(code.masks(model)["0"], torch.arange(32).view(4, 8) % 2 == 0)
    assert torch.equal(model(torch.ones(2, 8)), before), "baking must leave the model as it was"


def test_tied_weights_are_baked_into_one_tensor() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    model[1].weight = model[0].weight
    for layer in model:
        add(layer, Mask(layer.weight)).tighten(torch.eye(6, dtype=torch.bool))
    plain = code.bake(model)
    assert plain[0].weight is plain[1].weight
    assert int((plain[0].weight != 0).sum()) == 6


def calibrated(x: torch.Tensor) -> tuple[nn.Module, code.InputCode]:
    model = nn.Sequential(nn.Linear(x.shape[1], 3))
    inputs.attach(model[0])
    inputs.calibrate(model, [(x, torch.zeros(len(x)))])
    return model, code.input_codes(model)["0"]


def test_input_after_relu_has_zero_point_zero() -> None:
    _, found = calibrated(torch.rand(64, 5))
    assert found.zero_point == 0


@given(seeds, st.floats(-5, 5), st.floats(0.01, 100))
@settings(deadline=None, max_examples=40)
def test_inputs_are_rounded_like_onnx_and_zero_is_exact(seed: int, shift: float, spread: float) -> None:
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(seed)) * spread + shift
    x[0, 0] = 0.0
    model, found = calibrated(x)
    quantizer = inputs.find(model[0])
    assert quantizer is not None
    scale = np.float32(found.scale)
    stored = np.clip(np.round(x.numpy() / scale) + found.zero_point, 0, 255)
    got = quantizer(x).detach().numpy()
    np.testing.assert_array_equal(got, (stored - found.zero_point).astype(np.float32) * scale)
    assert got[0, 0] == 0
    assert 0 <= found.zero_point <= 255
    assert np.abs(got - x.numpy()).max() <= scale * 1.01  # half a step, and half of one for the rounded zero point


def test_an_input_of_zeros_is_harmless() -> None:
    model, found = calibrated(torch.zeros(4, 5))
    assert found == code.InputCode(1.0, 0)
    assert torch.isfinite(model(torch.zeros(4, 5))).all()


def test_gradient_stops_where_an_input_saturates() -> None:
    model, _ = calibrated(torch.rand(64, 5))
    quantizer = inputs.find(model[0])
    assert quantizer is not None
    x = torch.tensor([[-1.0, 0.5, 9.0]], requires_grad=True)
    quantizer.eval()(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 1.0, 0.0]]


def test_recalculated_statistics_are_those_of_the_data() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3))
    x = torch.randn(256, 3) * 4 + 2
    batches = [(part, torch.zeros(64)) for part in x.split(64)]
    batchnorm.restimate(model.train(), [model[0]], batches)
    torch.testing.assert_close(model[0].running_mean, x.mean(0))
    torch.testing.assert_close(model[0].running_var, torch.stack([p.var(0) for p in x.split(64)]).mean(0))
    assert model[0].momentum == 0.1
    assert model[0].training
