"""Where the packed bytes are: everything adds up, entropies are the textbook's, contexts find what is there to find."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from small_nets import data, fresh

from engine import artifact
from engine.artifact import decoder
from engine.errors import FileError
from engine.figures import coding
from engine.measure import bytes as measured
from engine.measure import contexts
from engine.stages._base import StageContext
from engine.stages.quantize_linear import QuantizeLinear


@pytest.fixture(scope="module")
def made() -> dict[int | None, Any]:
    """One small network in float, 8 and 4 bits."""
    inputs = data().inputs[:64]
    found: dict[int | None, Any] = {}
    for bits in (None, 8, 4):
        import torch

        torch.manual_seed(3)
        model = fresh().eval()
        if bits:
            stage = QuantizeLinear(bits=bits)
            context = StageContext([(inputs, torch.zeros(64).long())], inputs[:2], lambda *a: 0, torch.Generator())
            stage.attach(model, [])
            stage.prepare(model, context)
            stage.finish(model, context)
        found[bits] = artifact.build(model.eval(), inputs[:2])
    return found


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_everything_adds_up_to_the_file(made: dict[int | None, Any], bits: int | None) -> None:
    built = made[bits]
    packed = built.packed()
    found = measured.report(built.onnx, packed)
    totals, rows = found["totals"], found["rows"]
    assert totals["packed"] == len(packed) == totals["weights"] + totals["numbers"] + totals["skeleton"]
    assert sum(r["bytes"] for r in rows) == totals["weights"] + totals["numbers"]
    weights = [r for r in rows if r["part"] == "integers"]
    assert len(weights) == (4 if bits else 0)
    for row in weights:
        assert row["nominal_bits"] == bits
        assert row["layer"]
        assert 0 < row["entropy_bytes"] <= row["nominal_bytes"]
        assert row["bytes"] >= 0.95 * row["entropy_bytes"]
        assert row["why"] in ("even", "neighbours", "learning", "table")
    assert totals["entropy"] <= totals["entropy_pooled"] + 1e-9, "one histogram for all cannot beat one for each"


def test_integers_are_those_of_the_model(made: dict[int | None, Any]) -> None:
    built = made[4]
    rows = {r["tensor"]: r for r in measured.report(built.onnx, built.packed())["rows"] if r["part"] == "integers"}
    for name, code in built.codes.items():
        assert rows[name]["count"] == code.integers.size
        assert rows[name]["entropy_bytes"] == pytest.approx(measured.entropy(code.integers))
        assert rows[name]["zeros"] == pytest.approx(float((code.integers == 0).mean()))


def test_the_recipes_width_is_what_nominal_means(made: dict[int | None, Any]) -> None:
    built = made[4]
    found = measured.report(built.onnx, built.packed(), {"head": 6})
    assert {r["layer"]: r["nominal_bits"] for r in found["rows"] if r["part"] == "integers"}["head"] == 6


def test_files_that_do_not_belong_together_are_refused(made: dict[int | None, Any]) -> None:
    with pytest.raises(FileError, match="another model"):
        measured.report(made[8].onnx, made[4].packed())


def test_containers_are_named_outer_first(made: dict[int | None, Any]) -> None:
    assert measured.containers(["sparse", 8, 1, ["ans", 3, 9]]) == ["sparse", "ans"]
    index, streams = decoder.contents(made[8].packed())
    assert len(index["streams"]) == len(streams)


def test_entropy_is_the_textbooks() -> None:
    assert measured.entropy(np.zeros(100, np.int8)) == 0
    assert measured.entropy(np.arange(-128, 128, dtype=np.int8)) == 256
    assert measured.entropy(np.array([0, 0, 0, 1], np.int8)) == pytest.approx(4 * 0.811278 / 8, rel=1e-5)


def bell(count: int, high: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, high / 3, (count // 100, 100))
    return np.clip(np.rint(values), -high, high).astype(np.int8)


@pytest.mark.parametrize("high", [1, 7, 127])
def test_contexts_find_nothing_in_independent_weights(high: int) -> None:
    values = bell(40_000, high)
    assert 0.999 < contexts.estimate(values) / measured.entropy(values) < 1.02


def test_contexts_use_zeros_that_stand_together() -> None:
    values = bell(40_000, 7)
    values[np.random.default_rng(1).random(len(values)) < 0.5] = 0
    assert contexts.estimate(values) < 0.92 * measured.entropy(values)
    scattered = np.random.default_rng(2).permutation(values.ravel()).reshape(values.shape)
    assert contexts.estimate(scattered) > 0.99 * measured.entropy(values)


def test_few_weights_cost_learning() -> None:
    values = bell(100, 127)
    assert contexts.estimate(values) > 1.2 * measured.entropy(values)
    assert contexts.context_bytes(np.zeros((0,), np.int8)) == 0


@pytest.mark.parametrize(
    ("stored", "entropy", "context", "reason"),
    [(100, 98, 101, "even"), (100, 98, 80, "neighbours"), (100, 70, 130, "learning"), (110, 98, 99, "table")],
)
def test_reasons(stored: float, entropy: float, context: float, reason: str) -> None:
    assert measured.why(stored, entropy, context) == reason


def test_nncodec_stands_in_where_it_can_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a coder that answers as NNCodec's does; the real one is compared in benchmarks/bytes.py."""
    fake = ModuleType("deepCABAC")
    kept: dict[str, Any] = {}

    def decode(rows: Any, *_: Any) -> None:
        rows[:] = kept["rows"] + kept.get("error", 0)

    def ignore(*_: Any) -> None: ...

    class Coder:
        finish = staticmethod(lambda: b"12345")
        encodeLayer = staticmethod(lambda rows, *_: kept.update(rows=rows.copy()))  # noqa: N815 (its own names)
        decodeLayer = staticmethod(decode)  # noqa: N815
        setStream = initCtxModels = staticmethod(ignore)  # noqa: N815

    fake.__dict__.update(Encoder=Coder, Decoder=Coder, HdspMode=type("Mode", (), {"AlwaysOff": 0}))
    monkeypatch.setattr(contexts, "_cabac", lambda: fake)
    assert contexts.coder() == "nncodec"
    assert contexts.context_bytes(bell(200, 7)) == 5
    kept["error"] = 1
    with pytest.raises(RuntimeError, match="other integers"):
        contexts.context_bytes(bell(200, 7))


def test_no_torch_is_needed() -> None:
    import subprocess

    code = "import engine.measure.contexts, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_figure_shows_bits_a_weight(made: dict[int | None, Any], theme: str) -> None:
    rows = measured.report(made[8].onnx, made[8].packed())["rows"]
    info = coding.coding_info(rows)
    drawn = coding.coding_figure(info, theme)
    bars, nominal, *_ = drawn["data"]
    first = next(r for r in rows if r["part"] == "integers")
    assert bars["x"][0] == pytest.approx(8 * first["bytes"] / first["count"])
    assert set(nominal["x"]) == {8.0}
    assert drawn["layout"]["xaxis"]["title"]["text"] == "bits a weight"
    assert "8.00 by the number format" in coding.alt_text(info)
    assert coding.alt_text(coding.coding_info([])) == "No weights are stored as integers."
