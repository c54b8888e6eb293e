"""Ranges of activations: each method against brute force, and what the artifact makes of them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import small_nets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy as kl
from small_nets import fresh, phase, stage
from torch import Tensor, nn

from engine import artifact
from engine.artifact import decoder, predict, session
from engine.recipe import Recipe
from engine.weights import calibration, code, inputs
from engine.weights.calibration import METHODS, Counter, Histogram, choose

COUNTS = st.lists(st.integers(0, 30), min_size=12, max_size=40)


def one_sided(counts: list[int]) -> Histogram:
    return Histogram(np.array(counts, np.float64), 0, 0.25)


def slow_squared_error(seen: Histogram, low: float, high: float, bits: int) -> float:
    levels = 2**bits - 1
    scale = (high - low) / levels
    zero = min(max(round(-low / scale), 0), levels)
    total = 0.0
    for number, count in enumerate(seen.counts):
        value = (number - seen.below + 0.5) * seen.width
        nearest = min(max(round(value / scale) + zero, 0), levels)
        total += count * (value - (nearest - zero) * scale) ** 2
    return total


def slow_divergence(counts: list[float], first: int, last: int, levels: int) -> float:
    inside = counts[first:last]
    if len(inside) < levels:
        return np.inf
    p, q = list(inside), [0.0] * len(inside)
    p[0] += sum(counts[:first])
    p[-1] += sum(counts[last:])
    for level in range(levels):
        members = [i for i in range(len(inside)) if i * levels // len(inside) == level]
        held = [i for i in members if inside[i] > 0]
        for i in held:
            q[i] = sum(inside[j] for j in members) / len(held)
    return float(kl(p, q)) if sum(q) else np.inf


@given(COUNTS, st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_entropy_is_a_brute_force_search(counts: list[int], bits: int) -> None:
    seen = one_sided([*counts, 1])
    low, high = choose(seen, "entropy", bits, 99.9)
    assert low == 0
    found = {end: slow_divergence(list(seen.counts), 0, end, 2**bits) for end in range(1, len(counts) + 2)}
    assert found[round(high / seen.width)] == pytest.approx(min(found.values()), abs=1e-9)


@given(COUNTS, st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_mse_is_a_brute_force_search(counts: list[int], bits: int) -> None:
    seen = one_sided([*counts, 1])
    high = choose(seen, "mse", bits, 99.9)[1]
    found = {end: slow_squared_error(seen, 0.0, end * seen.width, bits) for end in range(1, len(counts) + 2)}
    assert found[round(high / seen.width)] == pytest.approx(min(found.values()), rel=1e-9)


def test_entropy_takes_no_range_whose_one_bin_holds_all_that_is_beyond() -> None:
    counts = np.zeros(256)
    counts[7], counts[100::2], counts[101::2] = 1, 10, 90  # cut behind bin 7, both histograms are that one bin
    seen = one_sided(list(counts))
    assert choose(seen, "entropy", 2, 99.9)[1] >= 100 * seen.width


@given(COUNTS, COUNTS, st.integers(2, 4), st.sampled_from(["mse", "entropy"]))
@settings(deadline=None, max_examples=15)
def test_ranges_on_both_sides_of_zero(left: list[int], right: list[int], bits: int, how: str) -> None:
    seen = Histogram(np.array([1, *left, *right, 1], np.float64), len(left) + 1, 0.5)
    low, high = choose(seen, how, bits, 99.9)
    errors = []
    pairs = seen.ranges() if how == "entropy" else [
        (first, last) for first in range(seen.below + 1) for last in range(seen.below, len(seen.counts) + 1)
        if last > first]  # fmt: skip
    for first, last in pairs:
        ends = seen.edge(first), seen.edge(last)
        slow = slow_squared_error(seen, *ends, bits) if how == "mse" else slow_divergence(
            list(seen.counts), first, last, 2**bits)  # fmt: skip
        errors.append((slow, ends))
    found = {ends: slow for slow, ends in errors}[low, high]
    # each end of the least squared error is searched for among 32 places
    assert found == pytest.approx(min(errors)[0], rel=1e-9 if how == "entropy" else 0.1, abs=1e-9)
    assert low <= 0 <= high
    if how == "entropy":  # in proportion, up to half a bin on either side
        shares = low / seen.edge(0), high / seen.edge(len(seen.counts))
        assert shares[0] == pytest.approx(shares[1], abs=1 / min(len(left), len(right)))


@given(COUNTS, st.sampled_from([90.0, 95.0, 99.0, 100.0]))
@settings(deadline=None, max_examples=60)
def test_percentile_cuts_off_as_much_as_it_may(counts: list[int], share: float) -> None:
    seen = one_sided([*counts, 1])
    high = choose(seen, "percentile", 8, share)[1]
    values = np.repeat(np.arange(len(seen.counts)), seen.counts.astype(int))
    allowed = (1 - share / 100) * len(values) * (1 + 1e-9)
    fitting = [end for end in range(len(seen.counts) + 1) if (values >= end).sum() <= allowed]
    assert round(high / seen.width) == min(fitting)


@pytest.mark.parametrize("shift", [-1.0, 0.0, 5.0])
def test_percentile_of_a_tensor_is_its_quantile(shift: float) -> None:
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(0)) + shift
    counter = Counter(x.min().clamp(max=0), x.max().clamp(min=0))
    for part in x.split(3000):
        counter.add(part)
    low, high = choose(counter.histogram(), "percentile", 8, 99.0)
    assert high == pytest.approx(float(x.quantile(0.99)), abs=2 * counter.width)
    assert low == pytest.approx(min(0.0, float(x.quantile(0.01))), abs=2 * counter.width)


def test_counting_leaves_zeros_out_and_has_an_edge_at_zero() -> None:
    x = torch.tensor([-1.0, -0.1, 0.0, 0.0, 0.1, 2.0])
    seen = Counter(x.min(), x.max())
    seen.add(x)
    found = seen.histogram()
    assert found.counts.sum() == 4
    assert found.counts[: found.below].sum() == found.counts[found.below :].sum() == 2
    assert found.edge(0) <= -1
    assert found.edge(len(found.counts)) >= 2
    empty = Counter(torch.zeros(()), torch.zeros(()))
    empty.add(torch.zeros(3))
    assert all(choose(empty.histogram(), how, 4, 99.9) == (0.0, pytest.approx(0, abs=1e-20)) for how in METHODS[1:])


def heavy(count: int = 4096) -> Tensor:
    """What a ReLU gives, with a few very large values."""
    x = torch.randn(count, 5, generator=torch.Generator().manual_seed(0)).relu()
    x[:3] *= 20
    return x


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_least_squared_error_is_least_on_the_tensor_itself(bits: int) -> None:
    errors = {}
    for method in METHODS:
        model = nn.Sequential(nn.Linear(5, 3))
        inputs.attach(model[0], bits, method)
        inputs.calibrate(model, [(heavy(), torch.zeros(4096))])
        quantizer = inputs.find(model[0])
        assert quantizer is not None
        made = quantizer.eval()(heavy())
        assert len(made.unique()) <= 2**bits
        errors[method] = float((made - heavy()).square().mean())
    assert min(errors, key=errors.__getitem__) == "mse"
    assert errors["mse"] < errors["min_max"] * (0.5 if bits < 8 else 1)


def quantized(bits: int, **knobs: object) -> nn.Module:
    model = fresh()
    phase(model, [], epochs=2)
    phase(model, [stage("quantize_linear", bits=bits, **knobs), stage("recalibrate")], number=1)
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", [2, 4, 6])
def test_the_file_rounds_activations_as_the_network_does(bits: int, method: str) -> None:
    model = quantized(4, activation_bits=bits, calibration=method)
    codes = code.input_codes(model)
    assert {c.bits for c in codes.values()} == {bits}
    assert all(0 <= c.zero_point < 2**bits for c in codes.values())
    built = artifact.build(model, small_nets.data().inputs[:2])
    assert built.simulated
    assert built.rounds_inputs
    assert decoder.decode(built.packed()) == built.onnx
    found = predict(session(built.onnx), small_nets.data().inputs.contiguous().numpy())
    expected = small_nets.outputs(model).numpy()
    close = np.abs(found - expected).max(1) < 1e-4
    # a sum within a millionth of the middle between two levels may fall to either side: a few images at most
    assert close.mean() >= 0.95
    assert np.abs(found - expected).max() < 0.3 * np.abs(expected).max()


def test_widths_of_activations() -> None:
    assert code.input_codes(quantized(8)).keys() == code.input_codes(quantized(4, activation_bits=8)).keys()
    assert {c.bits for c in code.input_codes(quantized(8)).values()} == {8}
    assert not code.input_codes(quantized(4))
    assert not code.input_codes(quantized(8, activation_bits=0))
    integer = artifact.build(quantized(4, activation_bits=8), small_nets.data().inputs[:2])
    assert integer.simulated, "four bits in an eight-bit kernel"
    assert not artifact.build(quantized(8), small_nets.data().inputs[:2]).simulated


def test_fewer_bits_differ_more_from_the_network_in_float() -> None:
    exact = small_nets.outputs(quantized(8, activation_bits=0))
    errors = [float((small_nets.outputs(quantized(8, activation_bits=b)) - exact).square().mean()) for b in (2, 4, 8)]
    assert errors[0] > errors[1] > errors[2]


def test_a_later_stage_decides_and_layers_may_differ() -> None:
    model = fresh()
    stages = [stage("quantize_linear", bits=8, activation_bits=4), stage("quantize_linear", bits=3, layers="head"),
              stage("quantize_linear", bits=8, activation_bits=6, calibration="mse", layers="blocks.0*")]  # fmt: skip
    phase(model, stages)
    assert {n: c.bits for n, c in code.weight_codes(model).items()} == {
        "blocks.0.conv": 8, "blocks.1.depthwise": 8, "blocks.1.pointwise": 8, "head": 3}  # fmt: skip
    assert {n: c.bits for n, c in code.input_codes(model).items()} == {
        "blocks.0.conv": 6, "blocks.1.depthwise": 4, "blocks.1.pointwise": 4}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_ranges_follow_the_network_while_it_trains(method: str) -> None:
    model = nn.Sequential(nn.Linear(5, 3))
    inputs.attach(model[0], 4, method, 90.0)
    inputs.calibrate(model, [(heavy(), torch.zeros(4096))])
    quantizer = inputs.find(model[0])
    assert quantizer is not None
    before = float(quantizer.high)
    for _ in range(200):
        model.train()(heavy() * 3)
    assert float(quantizer.high) == pytest.approx(3 * before, rel=1e-3)
    again = copy.deepcopy(model)
    again.load_state_dict(model.state_dict(), strict=True)
    assert (method == "min_max") == ("0.input_quantizer.kept" not in model.state_dict())


def test_recipes_from_before_keep_their_keys() -> None:
    row = {"task": "fashion_mnist", "student": "plain_1k5", "phases": [{"epochs": 1}, {"stages": ["quantize_linear"]}]}
    recipe = Recipe.from_json(row)
    assert set(recipe.to_json()["phases"][1]["stages"][0]) == {
        "name",
        "layers",
        "bits",
        "granularity",
        "scale",
        "training",
    }
    row["phases"][1] = {"stages": [{"name": "quantize_linear", "activation_bits": 4}]}
    assert Recipe.from_json(row).key != recipe.key


def test_the_lattice_of_a_search_is_the_quantizers() -> None:
    quantizer = inputs.InputQuantizer(4)
    quantizer.low.fill_(-0.7)
    quantizer.high.fill_(2.1)
    scale, zero = quantizer.code()
    assert calibration.lattice(-0.7, 2.1, 4) == (pytest.approx(float(scale)), int(zero))


def test_statistics_are_measured_again_with_few_bits_rounded() -> None:
    model = fresh()
    phase(model, [], epochs=2)
    phase(model, [stage("quantize_linear", bits=8, activation_bits=2), stage("recalibrate")], number=1)
    head = model.get_submodule("blocks.0.norm")
    seen: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    small_nets.outputs(model)
    handle.remove()
    # ranges have moved a little since, so that it is near and not equal
    rounded = seen[0].mean((0, 2, 3))
    assert (rounded - head.running_mean).abs().max() < 0.15 * seen[0].std()
