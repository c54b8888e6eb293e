"""A thousand damaged packed files and a thousand damaged artifacts: refused in one line, at once, in little memory."""

from __future__ import annotations

import contextlib
import io
import random
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engine import artifact, registry
from engine.artifact import decoder, unpack
from engine.errors import FileError
from engine.files import check_artifact
from engine.stages._base import StageContext
from engine.stages.quantize_linear import QuantizeLinear

CASES, SECONDS, MEGABYTES = 1000, 1.0, 64


@pytest.fixture(scope="module")
def built() -> artifact.Built:
    """An 8-bit network with every kind of container that small layers get, half of its weights zero."""
    torch.manual_seed(0)
    model = registry.get("models", "plain_1k5").make().eval()
    for parameter in model.parameters():
        parameter.data[torch.rand(parameter.shape) < 0.5] = 0.0
    stage, images = QuantizeLinear(bits=8), torch.rand(16, 1, 28, 28)
    context = StageContext([(images, torch.zeros(16).long())], images[:2], lambda *a: 0, torch.Generator())
    stage.attach(model, [])
    stage.prepare(model, context)
    stage.finish(model, context)
    return artifact.build(model.eval(), images[:2])


def damaged(whole: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Cut short, bits flipped, bytes overwritten, pieces left out, copied elsewhere or put in."""
    rng = random.Random(seed)
    made = 0
    while made < count:
        data, at, kind = bytearray(whole), rng.randrange(len(whole)), rng.randrange(5)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            for _ in range(rng.randrange(1, 9)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at : at + rng.randrange(1, 60)] = rng.randbytes(rng.randrange(60))
        elif kind == 3:
            data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"])
        else:
            data[at : at + 40] = data[(other := rng.randrange(len(data))) : other + 40]
        if data != whole:
            made += 1
            yield bytes(data)


def test_damaged_packed_files(built: artifact.Built) -> None:
    told, slowest = [], 0.0
    for bad in damaged(built.packed(), 1, CASES):
        start = time.process_time()
        try:  # bits that nothing uses may differ; a file that decodes gives exactly the model
            assert decoder.decode(bad) == built.onnx
        except ValueError as problem:
            told.append(str(problem))
        slowest = max(slowest, time.process_time() - start)
    assert len(told) > 0.98 * CASES
    assert not [line for line in told if "\n" in line]
    assert slowest < SECONDS


def test_damaged_packed_files_take_little_memory(built: artifact.Built) -> None:
    tracemalloc.start()
    try:
        for bad in damaged(built.packed(), 4, 100):
            with contextlib.suppress(ValueError):
                decoder.decode(bad)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert peak < MEGABYTES


def test_damaged_artifacts_are_told_by_their_packed_file(built: artifact.Built, tmp_path: Path) -> None:
    made = artifact.save(built, tmp_path)
    check_artifact(made.onnx, made.packed)
    for bad in damaged(built.onnx, 2, CASES):
        made.onnx.write_bytes(bad)
        with pytest.raises(FileError, match="damaged; run the trial again"):
            check_artifact(made.onnx, made.packed)
    made.onnx.unlink()
    with pytest.raises(FileError, match="cannot be read"):
        check_artifact(made.onnx, made.packed)


def test_a_damaged_artifact_that_is_loaded_all_the_same(built: artifact.Built) -> None:
    """Without its packed file a changed weight cannot be told; all else is a FileError, and stdout stays empty."""
    out, told = io.StringIO(), []
    with contextlib.redirect_stdout(out):
        for bad in damaged(built.onnx, 3, 300):
            try:
                artifact.session(bad)
            except FileError as problem:
                told.append(str(problem))
    assert len(told) > 200
    assert not [line for line in told if "\n" in line]
    assert not out.getvalue()


def test_nothing_in_a_packed_file_is_executed() -> None:
    """The decoder reads JSON and numbers: it imports nothing that could run what a file holds."""
    source = Path(decoder.__file__).read_text(encoding="utf-8")
    for word in ("pickle", "eval(", "exec(", "import_module", "__import__", "allow_pickle", "subprocess", "marshal"):
        assert word not in source


@pytest.mark.parametrize("layers", [1, 63, 500])
def test_many_small_streams_do_not_keep_the_decoder_busy(layers: int) -> None:
    """Values that are read one by one are at most a million a file, whatever its index says."""
    blob = bytes([1, 1, 16]) + (2**16).to_bytes(4, "little")  # zeros for ever, out of seven bytes
    rows = [["ans", 2**14, len(blob)]] * layers
    head = (repr({"streams": rows, "holes": [[0, 0]]}).replace("'", '"') + "\n").encode()
    fixed = decoder.HEADER.pack(decoder.MAGIC, decoder.VERSION, bytes(32), 2**14, len(head), len(head))
    start = time.process_time()
    with pytest.raises(FileError):
        unpack(fixed + head + blob * layers)
    assert time.process_time() - start < 5
