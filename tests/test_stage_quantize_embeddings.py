"""Tables of words in few bits: the rounding, tied tables, what is stored, and that the file answers as the network."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from text_tools import texts
from torch import Tensor, nn
from torch.nn import functional as F

from engine import artifact, registry
from engine.artifact import decoder, predict, session
from engine.artifact.reading import read
from engine.artifact.runtimes import variants
from engine.stages._base import Stage, StageContext
from engine.weights.code import bake, masks, weight_codes
from sample_models import bag, bert, lstm

WORDS, WIDTH = 64, 16
MAKERS = {
    "bert": lambda: bert.make(WORDS, 3, 2, WIDTH),
    "lstm": lambda: lstm.LstmClassifier(WORDS, 3, 12),
    "bag": lambda: bag.BagClassifier(WORDS, 3, 10),
}


class Tied(nn.Module):
    """A language model whose table of words is its last layer, too: ids [B, T] -> logits [B, T, words]."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, width)
        self.inner = nn.Linear(width, width)
        self.last = nn.Linear(width, WORDS, bias=False)
        self.last.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.last(torch.tanh(self.inner(self.words(ids))))
        return logits


class Plain(nn.Module):
    """The same without a last layer of its own: a function multiplies by the table. The first positions are cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(40, WIDTH)
        self.inner = nn.Linear(WIDTH, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids) + self.places.weight[: ids.shape[1]]
        return F.linear(torch.tanh(self.inner(x)), self.words.weight)


def made(make: Any) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = make()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return model.eval()


def stage(name: str, **values: Any) -> Stage:
    found: Stage = registry.get("stages", name)(**values)
    return found


def applied(model: nn.Module, stages: Sequence[Stage]) -> nn.Module:
    model, split = copy.deepcopy(model), texts(64, WORDS, classes=3)
    context = StageContext(
        [(split.inputs, split.labels)], split.inputs[:1], lambda *_: torch.zeros(()), torch.Generator()
    )
    for one in stages:
        one.attach(model, one.plan(model, context))
        one.prepare(model, context)
        one.finish(model, context)
    return model.eval()


def answers(model: nn.Module, ids: Tensor) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        found: Tensor = model(ids)
    return found.flatten(0, -2).numpy()


def error(model: nn.Module, built: artifact.Built) -> float:
    ids = texts(50, WORDS, seed=3).inputs
    expected, found = answers(model, ids), predict(session(built.onnx), ids.numpy())
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def stored(built: artifact.Built) -> dict[str, np.ndarray[Any, Any]]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(built.onnx).graph.initializer}


def operators(built: artifact.Built) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(built.onnx).graph.node)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_by_maximum_it_rounds_each_row_by_its_own_largest_number(bits: int) -> None:
    model = made(MAKERS["bag"])
    rows = model.get_parameter("embedding.weight").detach().numpy()
    step = np.abs(rows).max(1, keepdims=True) / (2 ** (bits - 1) - 1)
    expected = np.round(rows / step) * step
    found = bake(applied(model, [stage("quantize_embeddings", bits=bits, scale="maximum")]))
    np.testing.assert_allclose(found.get_parameter("embedding.weight").detach().numpy(), expected, rtol=1e-5, atol=1e-7)


def test_least_squares_is_never_worse_row_by_row() -> None:
    model = made(MAKERS["bag"])
    rows = model.get_parameter("embedding.weight").detach()
    errors = []
    for scale in ("least_squares", "maximum"):
        rounded = bake(applied(model, [stage("quantize_embeddings", bits=3, scale=scale)]))
        errors.append((rounded.get_parameter("embedding.weight").detach() - rows).square().sum(1))
    assert bool((errors[0] <= errors[1] + 1e-7).all())
    assert float(errors[0].sum()) < 0.9 * float(errors[1].sum())


def test_only_tables_are_rounded() -> None:
    codes = weight_codes(applied(made(MAKERS["bert"]), [stage("quantize_embeddings", bits=4)]))
    assert {name.rpartition(".")[2] for name in codes} == {
        f"{n}_embeddings" for n in ("word", "position", "token_type")
    }
    narrowed = applied(made(MAKERS["bert"]), [stage("quantize_embeddings", bits=4, layers="*word_embeddings")])
    assert list(weight_codes(narrowed)) == ["bert.embeddings.word_embeddings"]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("bits", range(1, 9))
def test_the_file_answers_as_the_network_does(kind: str, bits: int) -> None:
    model = applied(made(MAKERS[kind]), [stage("quantize_embeddings", bits=bits)])
    built = artifact.build(model, texts(2, WORDS).inputs)
    assert error(model, built) < 1e-5
    assert decoder.decode(built.packed()) == built.onnx
    assert (built.bits, built.simulated, built.rounds_inputs) == (bits, False, False)
    tables = {n: t for n, t in stored(built).items() if n.rpartition(".")[2] in ("integers", "packed")}
    assert len(tables) == (3 if kind == "bert" else 1)
    assert {t.dtype for t in tables.values()} == {np.dtype(np.int8 if bits > 4 else np.uint8)}
    assert not [n for n in stored(built) if n.endswith(("embedding.weight", "embeddings.weight"))]


def test_bytes_fall_as_the_bits_say() -> None:
    torch.manual_seed(0)
    model = bag.BagClassifier(2048, 2, 32)
    sizes = {}
    for bits in (None, 8, 4, 2):
        rounded = model if bits is None else applied(model, [stage("quantize_embeddings", bits=bits)])
        built = artifact.build(rounded, texts(2, WORDS).inputs)
        sizes[bits] = (len(built.onnx), len(built.packed()))
    table, scales = 2048 * 32, 2048 * 4
    assert 4 * table < sizes[None][0] < 4 * table + 3000
    assert table < sizes[8][0] < table + scales + 3000
    assert table / 2 < sizes[4][0] < table / 2 + scales + 3000
    assert sizes[8][1] < table + scales + 1000
    assert sizes[4][1] < table / 2 + scales + 1000
    assert sizes[2][1] < table / 4 + scales + 1000


class TestTied:
    """One tensor, a table and a layer at once."""

    def test_what_rounds_one_rounds_both(self) -> None:
        for one in (stage("quantize_embeddings", bits=3), stage("quantize_linear", bits=3)):
            model = applied(made(Tied), [one])
            codes = weight_codes(model)
            assert np.array_equal(codes["words"].integers, codes["last"].integers)
            plain = bake(model)
            assert plain.get_parameter("words.weight") is plain.get_parameter("last.weight")
            assert len(plain.get_parameter("words.weight")[5].unique()) <= 7
            np.testing.assert_allclose(answers(plain, texts(4).inputs), answers(model, texts(4).inputs), atol=1e-6)

    def test_a_mask_and_training_act_on_the_one_tensor(self) -> None:
        model = made(Tied)
        registry.get("stages", "prune_magnitude")(sparsity=0.5).attach(model, [])
        assert {"words", "last"} <= masks(model).keys()
        before = bake(model).get_parameter("words.weight").detach().clone()
        optimizer = torch.optim.SGD(model.parameters(), 0.5)
        F.cross_entropy(model(texts(8).inputs).flatten(0, 1), texts(8).inputs.flatten()).backward()
        optimizer.step()
        after = bake(model)
        assert not torch.equal(after.get_parameter("words.weight"), before)
        assert torch.equal(after.get_parameter("words.weight"), after.get_parameter("last.weight"))
        assert len(list(model.parameters())) == 3

    @pytest.mark.parametrize(("bits", "kernel"), [(8, "MatMulInteger"), (4, "MatMulNBits"), (3, "MatMulNBits")])
    def test_the_file_holds_it_once_and_multiplies_by_it(self, bits: int, kernel: str) -> None:
        stages = [stage("quantize_linear", bits=bits), stage("quantize_embeddings", bits=bits)]
        model = applied(made(Tied), stages)
        built = artifact.build(model, texts(2, WORDS).inputs)
        assert operators(built)[kernel] == 2
        assert operators(built)["MatMul"] == 0
        assert sum(t.size > 400 for t in stored(built).values()) == 1
        assert error(model, built) < (0.02 if bits == 8 else 1e-5)
        assert decoder.decode(built.packed()) == built.onnx
        assert built.simulated == (bits == 3)

    @pytest.mark.parametrize(("bits", "width"), [(6, WIDTH), (4, 24)])
    def test_without_a_kernel_both_stay_in_float_and_packed_small(self, bits: int, width: int) -> None:
        model = applied(made(lambda: Tied(width)), [stage("quantize_linear", bits=bits)])
        built = artifact.build(model, texts(2, WORDS).inputs)
        assert stored(built)["words.weight"].dtype == np.float32
        assert built.simulated
        assert error(model, built) < 1e-5
        assert len(built.packed()) < 0.5 * len(built.onnx)
        assert decoder.decode(built.packed()) == built.onnx

    @pytest.mark.parametrize(("bits", "simulated"), [(8, True), (4, False), (3, True)])
    def test_a_function_multiplies_by_the_table(self, bits: int, simulated: bool) -> None:
        model = applied(made(Plain), [stage("quantize_embeddings", bits=bits)])
        built = artifact.build(model, texts(2, WORDS).inputs)
        assert error(model, built) < 1e-5
        assert built.simulated == simulated
        assert ("words.weight" in stored(built)) == (bits == 8)  # nobody said that its inputs may be rounded
        assert stored(built)["places.weight"].dtype == np.float32
        assert decoder.decode(built.packed()) == built.onnx
        rows = {x.name: x for x in read(built.onnx, built.packed(), {"places": bits}).layers}
        assert (rows["places"].kind, rows["places"].bits, rows["words.product"].parameters) == ("embedding", bits, 0)
        assert rows["places"].packed_bytes < 40 * WIDTH * bits / 8 + 40 * 4 + 60

    def test_other_runtimes_answer_alike(self) -> None:
        ids = texts(64, WORDS).inputs
        model = applied(made(Tied), [stage("quantize_linear", bits=4)])
        found = variants(model, ids[:2], [(ids, ids[:, 0])])
        assert {"float", "matmul_nbits"} <= found.keys()
        for name, built in found.items():
            assert error(model, built) < (0.05 if "int8" in name else 1e-5), name
            assert decoder.decode(built.packed()) == built.onnx


def test_a_note_of_tied_layers_does_not_outlive_the_tie() -> None:
    model = made(Tied)
    model.last = nn.Linear(WIDTH, WORDS, bias=False)
    applied_to = applied(model, [stage("quantize_linear", bits=4)])
    assert set(weight_codes(applied_to)) == {"inner", "last"}
