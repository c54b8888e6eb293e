"""What the files of text models say of their layers: numbers, bytes and operations, in whatever kernel they run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from test_stage_quantize_embeddings import MAKERS, WORDS, Tied, applied, made, stage
from text_tools import texts
from torch import nn

from engine import artifact
from engine.artifact.reading import LayerReading, Reading, read
from engine.measure.bytes import report
from engine.measure.cost import count, macs
from engine.weights.code import bake, weight_codes

MODELS = {**MAKERS, "tied": Tied}
SETTINGS: Mapping[str, tuple[int | None, int | None]] = {
    "float": (None, None), "table of 8": (8, None), "table of 3": (3, None),
    "all 8": (8, 8), "all 4": (4, 4), "all 6": (6, 6),
}  # fmt: skip
KINDS = {"bert": {"linear", "embedding", "norm", "attention"}, "lstm": {"linear", "embedding", "recurrent"},
         "bag": {"linear", "embedding"}, "tied": {"linear", "embedding"}}  # fmt: skip


def model_of(kind: str, setting: str) -> nn.Module:
    table, linear = SETTINGS[setting]
    stages = [stage("quantize_linear", bits=linear)] if linear else []
    return applied(made(MODELS[kind]), [*stages, *([stage("quantize_embeddings", bits=table)] if table else [])])


def reading(kind: str, setting: str) -> tuple[nn.Module, artifact.Built, Reading]:
    model = model_of(kind, setting)
    built = artifact.build(model, texts(2, WORDS).inputs)
    bits = {name: code.bits for name, code in weight_codes(model).items()}
    return model, built, read(built.onnx, built.packed(), bits)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", MODELS)
def test_everything_adds_up(kind: str, setting: str) -> None:
    model, built, found = reading(kind, setting)
    assert {layer.kind for layer in found.layers} == KINDS[kind]
    assert sum(x.packed_bytes for x in found.layers) + found.other_bytes + found.graph_bytes == len(built.packed())
    assert sum(x.macs for x in found.layers) == macs(bake(model), texts(2, WORDS).inputs)
    parameters, nonzero = count(bake(model))
    assert sum(x.parameters for x in found.layers) == parameters
    assert sum(x.nonzero for x in found.layers) == nonzero
    assert found.other_bytes == 0


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", ["bert", "bag", "tied"])
def test_the_numbers_are_those_of_the_network(kind: str, setting: str) -> None:
    model, _, found = reading(kind, setting)
    plain, codes = bake(model), weight_codes(model)
    for name, numbers in found.weights.items():
        expected = plain.get_parameter(f"{name}.weight").detach().numpy()
        np.testing.assert_allclose(numbers, expected, rtol=1e-6, atol=1e-8, err_msg=name)
    bits = {x.name: x.bits for x in found.layers if x.kind in ("linear", "embedding")}
    assert bits == {name: codes[name].bits if name in codes else 32 for name in bits}


def test_without_being_told_the_file_s_own_widths_are_said() -> None:
    for setting, table, linear in (("all 8", 8, 8), ("all 4", 4, 4), ("float", 32, 32)):
        _, built, _ = reading("bert", setting)
        rows = {x.name: x.bits for x in read(built.onnx, built.packed()).layers}
        assert rows["bert.embeddings.word_embeddings"] == table
        assert rows["bert.encoder.layer.1.output.dense"] == linear


def test_attention_is_a_row_without_weights() -> None:
    _, _, found = reading("bert", "float")
    rows: dict[str, LayerReading] = {x.name: x for x in found.layers}
    row = rows["bert.encoder.layer.0.attention.self"]
    assert (row.kind, row.parameters, row.packed_bytes, row.macs) == ("attention", 0, 0, 2 * 16 * 16 * 16)
    assert rows["bert.encoder.layer.0.attention.self.query"].macs == 16 * 16 * 16


def test_a_table_that_is_a_layer_is_counted_once() -> None:
    _, _, found = reading("tied", "all 4")
    rows = {x.name: x for x in found.layers}
    assert (rows["last"].parameters, rows["last"].packed_bytes, rows["last"].kind) == (0, 0, "linear")
    assert rows["last"].shape == rows["words"].shape == (WORDS, 16)
    assert rows["last"].macs == 16 * WORDS * 16
    assert rows["words"].macs == 0


@pytest.mark.parametrize("setting", ["all 8", "all 4", "table of 3"])
@pytest.mark.parametrize("kind", ["bert", "bag", "tied"])
def test_weights_are_told_from_other_numbers(kind: str, setting: str) -> None:
    model, built, found = reading(kind, setting)
    codes = weight_codes(model)
    told = report(built.onnx, built.packed(), {name: code.bits for name, code in codes.items()})
    rows = {row["layer"]: row for row in told["rows"] if row["part"] == "integers"}
    large = {name for name, code in codes.items() if code.integers.size > 31}  # smaller ones are part of the graph
    if kind == "tied":
        large -= {"last"}  # the table has its numbers
    if (kind, setting) != ("tied", "table of 3"):  # whose last layer has no kernel: both stay in float
        assert {name for name in rows if codes[name].integers.size > 31} == large
    for name, row in rows.items():
        integers = codes[name].integers
        assert row["count"] >= integers.size
        assert row["zeros"] >= (integers == 0).mean() - 1e-9
        assert row["nominal_bits"] == codes[name].bits
    assert sum(row["bytes"] for row in told["rows"]) + told["totals"]["skeleton"] == len(built.packed())
    assert told["totals"]["skeleton"] == found.graph_bytes
