"""Affine lattices and groups: the same numbers as PyTorch's and ONNX Runtime's, brute force, packed byte for byte."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import small_nets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization.quant_utils import compute_scale_zp
from small_nets import fresh, phase, stage
from torch import Tensor, nn

from engine import artifact
from engine.artifact import decoder, predict, session
from engine.artifact.packing import Coded, pack
from engine.measure.bytes import report
from engine.weights import affine, code
from engine.weights.constraint import Quantizer, add, incoming, weight_of
from engine.weights.values import spread

SEEDS = st.integers(0, 2**31)
SHAPES = st.sampled_from([(1, 1), (3, 7), (4, 2, 3, 3), (2, 1, 3, 3), (5, 40)])


def weights(seed: int, shape: tuple[int, ...], shift: float = 0.7) -> Tensor:
    """Weights of which one sign is more frequent, some exactly zero."""
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(shape, generator=generator) + shift
    return torch.where(torch.rand(shape, generator=generator) < 0.2, 0.0, w)


def squared(w: Tensor, found: code.WeightCode) -> np.ndarray:
    """Squared error of each output channel."""
    return ((w.numpy().astype(np.float64) - found.dequantized()) ** 2).reshape(len(w), -1).sum(1)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shift", [-2.0, 0.0, 0.7, 3.0])
def test_affine_is_what_pytorch_computes(bits: int, shift: float) -> None:
    w = weights(1, (6, 50), shift)
    found = affine.quantize(w, bits, "channel", "maximum", "affine")
    assert found.zero is not None
    half = 1 << (bits - 1)
    scale, zero = torch.from_numpy(found.scale), torch.from_numpy(found.zero.astype(np.int32))
    theirs = torch.fake_quantize_per_channel_affine(w, scale, zero, 0, -half, half - 1)
    np.testing.assert_allclose(found.dequantized(), theirs.numpy(), atol=1e-5)
    low, high = w.amin(1).clamp(max=0), w.amax(1).clamp(min=0)
    torch.testing.assert_close(scale, (high - low) / (2**bits - 1))


@pytest.mark.parametrize("shift", [-2.0, 0.3, 3.0])
def test_affine_scale_and_zero_point_are_those_of_onnx_runtime(shift: float) -> None:
    w = weights(2, (300,), shift).numpy()
    found = affine.quantize(torch.from_numpy(w)[None], 8, "tensor", "maximum", "affine")
    low, high = (np.array(v, np.float32) for v in (w.min(), w.max()))
    zero, scale = compute_scale_zp(low, high, np.array(-128, np.int8), np.array(127, np.int8))
    np.testing.assert_allclose(found.scale, scale, rtol=1e-5)
    assert found.zero is not None
    assert int(found.zero) == int(zero)


@given(SEEDS, SHAPES, st.integers(1, 8), st.sampled_from(affine.GRANULARITIES), st.sampled_from(affine.SCALES),
       st.floats(-3, 3))  # fmt: skip
@settings(deadline=None, max_examples=80)
def test_zeros_stay_zeros_and_levels_are_few(
    seed: int, shape: tuple[int, ...], bits: int, granularity: str, scale: str, shift: float
) -> None:
    w = weights(seed, shape, shift)
    found = affine.quantize(w, bits, granularity, scale, "affine", 4)
    made, half = found.dequantized(), 1 << (bits - 1)
    assert (made[w.numpy() == 0] == 0).all()
    assert not np.signbit(made[made == 0]).any()
    assert found.zero is not None
    assert found.zero.shape == found.scale.shape == affine.scale_shape(w.shape, granularity, 4)
    for numbers in (found.integers, found.zero):
        assert numbers.min() >= -half
        assert numbers.max() <= half - 1
    assert (found.scale > 0).all()


@given(SEEDS, SHAPES, st.integers(2, 8), st.floats(-3, 3))
@settings(deadline=None, max_examples=40)
def test_least_squares_never_errs_more_than_the_range(
    seed: int, shape: tuple[int, ...], bits: int, shift: float
) -> None:
    w = weights(seed, shape, shift)
    least, largest = (affine.quantize(w, bits, "channel", s, "affine") for s in ("least_squares", "maximum"))
    assert (squared(w, least) <= squared(w, largest) * (1 + 1e-5) + 1e-9).all()


@pytest.mark.parametrize("bits", [2, 3])
def test_affine_least_squares_comes_close_to_brute_force(bits: int) -> None:
    w = weights(3, (5, 60))
    half, best = 1 << (bits - 1), np.full(5, np.inf)
    for zero in range(-half, half):
        for scale in torch.linspace(0.05, 4, 400) * w.abs().amax() / 2**bits:
            made = (torch.round(w / scale) + zero).clamp(-half, half - 1).sub(zero) * scale
            best = np.minimum(best, (w - made).square().sum(1).numpy())
    found = squared(w, affine.quantize(w, bits, "channel", "least_squares", "affine"))
    assert (found <= best * 1.05).all()
    symmetric = squared(w, affine.quantize(w, bits, "channel", "least_squares"))
    assert found.sum() < 0.7 * symmetric.sum(), "weights of one sign need levels on one side"


@pytest.mark.parametrize("scheme", affine.SCHEMES)
@pytest.mark.parametrize("scale", affine.SCALES)
@pytest.mark.parametrize("bits", [1, 3, 8])
def test_a_group_of_a_whole_row_is_a_channel(scheme: str, scale: str, bits: int) -> None:
    w = weights(4, (6, 3, 2, 2), 0.1)
    channel = affine.quantize(w, bits, "channel", scale, scheme)
    for group in (12, 40):
        grouped = affine.quantize(w, bits, "group", scale, scheme, group)
        assert grouped.scale.shape == (6, 1)
        np.testing.assert_array_equal(grouped.scale[:, 0], channel.scale)
        np.testing.assert_array_equal(grouped.dequantized(), channel.dequantized())


@pytest.mark.parametrize("scheme", affine.SCHEMES)
def test_every_group_is_rounded_for_itself_and_the_last_one_may_be_shorter(scheme: str) -> None:
    w = weights(5, (3, 2, 3, 3), 0.2)  # rows of 18: groups of 7, 7 and 4
    found = affine.quantize(w, 3, "group", "least_squares", scheme, 7)
    assert found.scale.shape == (3, 3)
    made = found.dequantized().reshape(3, 18)
    for row in range(3):
        for number, part in enumerate(((0, 7), (7, 14), (14, 18))):
            alone = affine.quantize(w.reshape(3, 18)[row : row + 1, slice(*part)], 3, "tensor", "least_squares", scheme)
            np.testing.assert_array_equal(made[row, slice(*part)], alone.dequantized()[0])
            assert found.scale[row, number] == alone.scale
    assert squared(w, found).sum() < squared(w, affine.quantize(w, 3, "channel", "least_squares", scheme)).sum()


def test_the_gradient_stops_half_a_step_beyond_an_affine_lattice() -> None:
    layer = nn.Linear(4, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.2, -1.0, 3.4, 3.6]]))
    quantizer = add(layer, Quantizer(layer.weight, 2, "tensor", "maximum", "affine"))
    assert quantizer.zero is not None
    quantizer.zero.fill_(-2)  # levels 0, 1, 2, 3
    quantizer.active.fill_(True)
    layer.weight.sum().backward()
    assert layer.weight.tolist() == [[0.0, 0.0, 3.0, 3.0]]
    assert layer.parametrizations.weight.original.grad.tolist() == [[1.0, 0.0, 1.0, 0.0]]


@given(SEEDS, st.integers(1, 8), st.sampled_from([0.0, 0.5, 0.95]), st.integers(4, 40), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_the_decoder_gives_back_every_byte(
    seed: int, bits: int, zeros: float, group: int, grouped: bool, affinely: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn((5, 3, 3, 3), generator=generator) + 0.4
    w = torch.where(torch.rand(w.shape, generator=generator) < zeros, 0.0, w)
    scheme = affine.SCHEMES[affinely]
    found = affine.quantize(w, bits, "group" if grouped else "channel", "maximum", scheme, group)
    factor = torch.randn(5, generator=generator).double().numpy()
    made = found.times(factor)
    assert Coded(made.integers, made.scale, made.zero, made.group).restored() == made.dequantized().tobytes()


@pytest.mark.parametrize("granularity", affine.GRANULARITIES)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_what_is_written_is_what_was_trained(bits: int, granularity: str) -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.5),
                  stage("quantize_linear", bits=bits, scheme="affine", granularity=granularity, group=16)])  # fmt: skip
    if bits == 8:
        for layer in model.modules():
            code.inputs.detach(layer)  # weights alone: then the answers are the same
    built = artifact.build(model, small_nets.data().inputs[:2])
    assert decoder.decode(built.packed()) == built.onnx
    assert built.simulated
    assert built.packed()[4] == (3 if granularity == "group" else built.packed()[4])
    found = predict(session(built.onnx), small_nets.data().inputs.contiguous().numpy())
    np.testing.assert_allclose(found, small_nets.outputs(model).numpy(), atol=1e-4)
    for name, mask in code.masks(model).items():
        assert bool((weight_of(model.get_submodule(name))[~mask] == 0).all())
    rows = report(built.onnx, built.packed(), dict.fromkeys(code.weight_codes(model), bits))["rows"]
    stored = {row["part"] for row in rows if row["tensor"] == "head.weight"}
    assert {"integers"} <= stored <= {"integers", "numbers"}


def test_zero_points_are_stored_only_where_they_pay() -> None:
    model = fresh()
    phase(model, [stage("quantize_linear", bits=4, scheme="affine")])
    built = artifact.build(model, small_nets.data().inputs[:2])
    without = {name: one.centred() or one for name, one in built.codes.items() if isinstance(one, Coded)}
    # the index names one more stream a layer, which the choice does not count
    assert len(built.packed()) < len(pack(built.onnx, without)) + 10 < len(pack(built.onnx))
    wide = affine.quantize(weights(1, (6, 50), 2.0), 8, "channel", "maximum", "affine")
    coded = Coded(wide.integers, wide.scale, wide.zero, wide.group)
    assert coded.centred() is None, "integers from 0 to 255 do not fit eight signed bits"
    narrow = affine.quantize(weights(1, (6, 50), 2.0), 4, "channel", "maximum", "affine")
    other = Coded(narrow.integers, narrow.scale, narrow.zero, narrow.group).centred()
    assert other is not None
    assert other.restored() == narrow.dequantized().tobytes()


def test_scales_of_groups_that_do_not_fit_are_refused() -> None:
    values = np.ones(12, np.int8)
    good = np.arange(1, 7, dtype=np.float32)
    expected = np.repeat(good.reshape(2, 3), [2, 2, 2], axis=1).ravel()
    np.testing.assert_array_equal(decoder.scaled(values, good, None, [6, 2]), expected)
    for factors, zeros, sizes in ((good[:5], None, [6, 2]), (good, good[:4], [6, 2]), (good[:2], good[:3], None)):
        with pytest.raises(ValueError, match="altered"):
            decoder.scaled(values, factors, zeros, sizes)
    with pytest.raises(ValueError):
        decoder.scaled(values, good, None, [5, 2])


def test_spreading_takes_each_number_to_its_weights() -> None:
    groups = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    assert spread(groups, (2, 1, 3), 2).reshape(2, 3).tolist() == [[1, 1, 2], [3, 3, 4]]
    torch_side = affine.column(torch.from_numpy(groups), torch.zeros(2, 1, 3), 2)
    assert torch_side.reshape(2, 3).tolist() == [[1, 1, 2], [3, 3, 4]]


def test_state_of_an_affine_group_lattice_is_restored() -> None:
    model = fresh()
    knobs = {"bits": 3, "scheme": "affine", "granularity": "group", "group": 8}
    phase(model, [stage("quantize_linear", **knobs)])
    again = fresh(seed=3)
    stage("quantize_linear", **knobs).attach(again, [])
    again.load_state_dict(copy.deepcopy(model.state_dict()), strict=True)
    assert torch.equal(small_nets.outputs(again), small_nets.outputs(model))
    head = model.get_submodule("head")
    quantizer = head.parametrizations.weight[0]
    assert quantizer.zero.shape == (4, 4)
    np.testing.assert_array_equal(
        code.weight_codes(model)["head"].dequantized(), quantizer(incoming(head, quantizer)).detach().numpy()
    )
    phase(model, [stage("quantize_linear", bits=3)])
    assert "head.parametrizations.weight.0.zero" not in model.state_dict()


def products() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(90, 24), nn.ReLU(), nn.Linear(24, 10)).eval()


def operators(built: artifact.Built) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(built.onnx).graph.node]


@pytest.mark.parametrize(("granularity", "group"), [("tensor", 32), ("channel", 32), ("group", 32), ("group", 48)])
@pytest.mark.parametrize("scheme", affine.SCHEMES)
@pytest.mark.parametrize("bits", [2, 4])
def test_the_four_bit_kernel_takes_groups_and_zero_points(bits: int, scheme: str, granularity: str, group: int) -> None:
    model, x = products(), torch.randn(40, 90, generator=torch.Generator().manual_seed(1))
    phase(model, [stage("quantize_linear", bits=bits, scheme=scheme, granularity=granularity, group=group)])
    built = artifact.build(model, x[:2])
    assert operators(built).count("MatMulNBits") == 2
    assert built.simulated == (bits != 4)
    assert decoder.decode(built.packed()) == built.onnx
    with torch.no_grad():
        np.testing.assert_allclose(predict(session(built.onnx), x.numpy()), model(x).numpy(), atol=1e-4)


@pytest.mark.parametrize("knobs", [{"bits": 4, "group": 20}, {"bits": 8, "group": 32}, {"bits": 6, "group": 32}])
def test_groups_that_no_kernel_takes_run_in_float(knobs: dict[str, int]) -> None:
    model, x = products(), torch.randn(40, 90, generator=torch.Generator().manual_seed(1))
    chosen = stage("quantize_linear", granularity="group", scheme="affine", activation_bits=6, **knobs)
    chosen.attach(model, [])
    context = small_nets.context()
    context.calibration = [(x, torch.zeros(40))]
    chosen.finish(model, context)
    built = artifact.build(model, x[:2])
    # the second layer's rows of 24 are one group where a group has more
    assert operators(built).count("MatMulNBits") == int(knobs["bits"] == 4 and knobs["group"] > 24)
    assert built.simulated
    assert decoder.decode(built.packed()) == built.onnx
    with torch.no_grad():
        close = np.abs(predict(session(built.onnx), x.numpy()) - model(x).numpy()).max(1) < 1e-4
    assert close.mean() > 0.95
