"""The same weights in every runtime: exact integers, fused kernels, and the rule that chooses between them."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import nn

from engine import artifact, registry
from engine.artifact import decoder, kernels, matmul, predict, runtimes, session
from engine.artifact.matmul import Product, block_of, block_scales, pack, unpack
from engine.stages._base import StageContext
from engine.stages.quantize_linear import QuantizeLinear
from engine.weights.code import bake, weight_codes
from engine.weights.values import InputCode, WeightCode


class Mixer(nn.Module):
    """Linear layers on two and three axes, with and without bias, one behind a norm, two that read one value."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(24, 40)
        self.norm = nn.LayerNorm(40)
        self.left, self.right = nn.Linear(40, 40, bias=False), nn.Linear(40, 40)
        self.hidden = nn.Sequential(nn.Linear(40, 33), nn.BatchNorm1d(33))
        self.head = nn.Linear(33, 10, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(torch.relu(self.first(x)))
        x = x + torch.tanh(self.left(x)) * torch.sigmoid(self.right(x))
        logits: torch.Tensor = self.head(torch.relu(self.hidden(x.mean(1))))
        return logits


def rows(count: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 6, 24, generator=torch.Generator().manual_seed(seed))


def mixer() -> nn.Module:
    torch.manual_seed(0)
    model = Mixer().train()
    with torch.no_grad():
        for _ in range(20):
            model(rows())
    return model.eval()


def quantized(model: nn.Module, bits: int, inputs: torch.Tensor, **knobs: str) -> nn.Module:
    model = copy.deepcopy(model)
    batches = [(inputs, torch.zeros(len(inputs)).long())]
    context = StageContext(batches, inputs[:2], lambda *_: torch.zeros(()), torch.Generator())
    stage = QuantizeLinear(bits=bits, **knobs)
    stage.attach(model, [])
    stage.prepare(model, context)
    stage.finish(model, context)
    return model.eval()


def logits(model: nn.Module, inputs: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return model(inputs).numpy()


def answers(built: artifact.Built, inputs: torch.Tensor) -> np.ndarray:
    return predict(session(built.onnx), inputs.numpy())


def error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - expected) ** 2)) / expected.std())


def operations(data: bytes, folder: Path) -> Counter[str]:
    session(data, optimized_model_filepath=str(folder / "optimized.onnx"))
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


def tensors(data: bytes) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(data).graph.initializer}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(matmul.WIDTHS), st.integers(1, 9), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_packing_to_nibbles_is_exact(width: int, outputs: int, inputs: int, seed: int) -> None:
    top = (1 << (width - 1)) - 1
    integers = np.random.default_rng(seed).integers(-top - 1, top + 1, (outputs, inputs)).astype(np.int8)
    block = block_of(inputs, width)
    packed = pack(integers, width, block)
    assert packed.shape == (outputs, -(-inputs // block), block * width // 8)
    assert np.array_equal(unpack(packed, width, inputs), integers)


def test_scales_of_groups_become_scales_of_blocks() -> None:
    groups = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert block_scales(groups, 96, 16).tolist() == [[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5]]
    assert block_scales(groups[:, :1], 50, 16).shape == (2, 4)
    with pytest.raises(ValueError, match="not made of blocks"):
        block_scales(groups, 96, 64)


@pytest.mark.parametrize("granularity", ["channel", "tensor"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_up_to_four_bits_run_in_the_four_bit_kernel_and_answer_the_same(
    bits: int, granularity: str, tmp_path: Path
) -> None:
    model = quantized(mixer(), bits, rows(), granularity=granularity)
    built = artifact.build(model, rows(2))
    found = operations(built.onnx, tmp_path)
    assert found["MatMulNBits"] == 5
    assert not {"MatMul", "Gemm"} & set(found)
    assert built.simulated == (bits != 4)
    assert not built.rounds_inputs
    expected = logits(model, rows(seed=3))
    assert error(answers(built, rows(seed=3)), expected) < 1e-5
    assert decoder.decode(built.packed()) == built.onnx


def test_eight_bits_of_a_net_of_products_run_as_dynamic_int8(tmp_path: Path) -> None:
    model = quantized(mixer(), 8, rows())
    built = artifact.build(model, rows(2))
    found = operations(built.onnx, tmp_path)
    # the two that read one value share its rounding, which stays a node of its own
    assert found["DynamicQuantizeMatMul"] + found["MatMulIntegerToFloat"] == 5
    assert found["DynamicQuantizeLinear"] == built.conversions == 1
    assert not {"MatMul", "Gemm", "MatMulInteger", "Cast"} & set(found)
    assert (built.simulated, built.bits, built.rounds_inputs) == (False, 8, True)
    assert error(answers(built, rows(seed=3)), logits(model, rows(seed=3))) < 0.05
    assert decoder.decode(built.packed()) == built.onnx


@pytest.mark.parametrize("bits", [5, 6, 7])
def test_other_widths_stay_in_float_and_are_called_simulated(bits: int, tmp_path: Path) -> None:
    model = quantized(mixer(), bits, rows())
    built = artifact.build(model, rows(2))
    assert built.simulated
    assert "MatMulNBits" not in operations(built.onnx, tmp_path)
    assert error(answers(built, rows()), logits(model, rows())) < 1e-5


@pytest.mark.parametrize("bits", range(1, 9))
def test_all_runtimes_hold_the_same_weights(bits: int) -> None:
    model = quantized(mixer(), bits, rows())
    found = runtimes.variants(model, rows(2), [(rows(), torch.zeros(64))])
    narrow = {"matmul_nbits_int8"} if bits <= 4 else set()
    assert found.keys() == {"float", "qdq_int8", "dynamic_int8", "matmul_nbits"} | narrow
    expected = logits(bake(model), rows(seed=3))
    assert found["float"].simulated
    assert error(answers(found["float"], rows(seed=3)), expected) < 1e-5
    for name, built in found.items():
        assert error(answers(built, rows(seed=3)), expected) < (0.1 if built.rounds_inputs else 1e-5), name
        assert built.bits == bits
        assert decoder.decode(built.packed()) == built.onnx
    executed = {name for name, built in found.items() if not built.simulated}
    named = {8: {"qdq_int8", "dynamic_int8", "matmul_nbits"}, 4: {"matmul_nbits", "matmul_nbits_int8"}}
    assert executed == named.get(bits, {"matmul_nbits_int8"} if bits == 2 else set())
    assert runtimes.name_of(artifact.build(model, rows(2)), found) == {8: "dynamic_int8", **dict.fromkeys(
        range(1, 5), "matmul_nbits")}.get(bits, "float")  # fmt: skip


@pytest.mark.parametrize(("name", "bits"), [("dynamic_int8", 8), ("dynamic_int8", 3), ("matmul_nbits", 4),
                                            ("matmul_nbits", 8), ("matmul_nbits_int8", 2)])  # fmt: skip
def test_integers_and_scales_are_the_models_own(name: str, bits: int) -> None:
    model = quantized(mixer(), bits, rows())
    held, codes = tensors(runtimes.variants(model, rows(2))[name].onnx), weight_codes(model)
    for layer in ("first", "left", "right", "head"):  # no norm is folded into these
        code, scale = codes[layer], codes[layer].scale
        if name == "dynamic_int8":
            assert np.array_equal(held[f"{layer}.integers"], code.integers.T)
            assert np.array_equal(held[f"{layer}.weight_scale"], scale)
        else:
            assert np.array_equal(unpack(held[f"{layer}.packed"], bits, code.integers.shape[1]), code.integers)
            assert (held[f"{layer}.scales"] == scale[:, None]).all()


def test_a_net_with_convolutions_has_no_other_runtime_than_it_had() -> None:
    torch.manual_seed(0)
    model = registry.get("models", "plain_1k5").make().eval()
    images = torch.rand(64, 1, 28, 28)
    eight, four = quantized(model, 8, images), quantized(model, 4, images)
    batches = [(images, torch.zeros(64))]
    found = runtimes.variants(eight, images[:2])
    assert runtimes.name_of(artifact.build(eight, images[:2]), found) == "qdq_int8"
    assert found.keys() == {"float", "qdq_int8", "dynamic_int8", "matmul_nbits"}  # its head is a product
    found = runtimes.variants(four, images[:2], batches)
    assert runtimes.name_of(artifact.build(four, images[:2]), found) == "float"
    assert found["qdq_int8"].simulated
    assert found["qdq_int8"].rounds_inputs
    assert error(answers(found["qdq_int8"], images), logits(bake(four), images)) < 0.1
    assert "qdq_int8" not in runtimes.variants(four, images[:2])
    assert runtimes.variants(model, images[:2]).keys() == {"float"}


def test_the_rule() -> None:
    codes = {n: WeightCode(np.zeros((2, 2), np.int8), np.ones((), np.float32), b) for n, b in (("a", 8), ("b", 4))}
    layers, inputs = {"a": "Gemm", "b": "MatMul"}, {"a": InputCode(1.0, 0)}
    chosen = kernels.choose("auto", layers, codes, inputs, convolutional=False)
    assert chosen.products == {"a": kernels.OWN, "b": Product(4, "float")}
    assert kernels.choose("auto", layers, codes, inputs, convolutional=True) == kernels.Plan(frozenset("a"), {})
    assert kernels.choose("float", layers, codes, inputs, convolutional=False) == kernels.Plan(frozenset(), {})
    with pytest.raises(ValueError, match="runtime 'fast' is none of"):
        kernels.choose("fast", layers, codes, inputs, convolutional=False)
