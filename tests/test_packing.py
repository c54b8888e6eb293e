"""The packed file gives back every byte, and nothing that is not one of ours gets through."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from engine.artifact import decoder
from engine.artifact.packing import Coded, Product, pack, unpack
from engine.artifact.wire import spans
from engine.errors import FileError

DTYPES = (np.float32, np.int8, np.int32, np.int64, np.float16, np.uint8)


def model(tensors):
    """ONNX bytes with the given initializers and one node."""
    io = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in ("x", "y")]
    arrays = [numpy_helper.from_array(v, k) for k, v in tensors.items()]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", io[:1], io[1:], arrays)
    return helper.make_model(graph).SerializeToString()


def quantized(rng, shape, width, zeros=0.0, per_row=True):
    high = max(1, 2 ** (width - 1) - 1)
    integers = rng.integers(-high, high + 1, shape).astype(np.int8)
    if width == 1:
        integers = np.where(rng.random(shape) < 0.5, -1, 1).astype(np.int8)
    integers[rng.random(shape) < zeros] = 0
    scale = rng.uniform(-0.1, 0.1, shape[0] if per_row else ()).astype(np.float32)
    return Coded(integers, scale)


def weights(code):
    return code.integers.astype(np.float32) * code.scale.reshape(-1, *[1] * (code.integers.ndim - 1))


def test_spans_are_where_onnx_says():
    rng = np.random.default_rng(0)
    tensors = {f"t{i}": (rng.normal(size=(3, i + 1)) * 9).astype(d) for i, d in enumerate(DTYPES)}
    data = model(tensors)
    found = {span.name: span for span in spans(data)}
    for name, value in tensors.items():
        span = found[name]
        assert data[span.start : span.stop] == value.tobytes()
        assert span.dims == value.shape
        assert span.data_type == helper.np_dtype_to_tensor_dtype(value.dtype)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 8),
    zeros=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
    per_row=st.booleans(),
)
def test_round_trip_at_every_width(seed, width, zeros, shape, per_row):
    rng = np.random.default_rng(seed)
    code = quantized(rng, shape, width, zeros, per_row)
    floats = rng.normal(size=(5, 7)).astype(np.float32) * (rng.random((5, 7)) >= zeros)
    data = model({"w": weights(code), "f": floats.astype(np.float32), "i": code.integers})
    packed = pack(data, {"w": code})
    assert decoder.decode(packed) == data
    assert decoder.decode(pack(data)) == data


def test_a_file_of_version_1_is_still_read():
    """plain_1k5 in 8 bits as the first version shipped it."""
    packed = (Path(__file__).parent / "data" / "version_1.packed").read_bytes()
    assert packed[4] == 1
    data = decoder.decode(packed)
    assert hashlib.sha256(data).digest() == packed[5:37]
    assert len(pack(data)) < len(packed)


@settings(max_examples=30, deadline=None)
@given(raw=st.binary(max_size=400), dtype=st.sampled_from(DTYPES))
def test_any_values_survive(raw, dtype):
    size = np.dtype(dtype).itemsize
    data = model({"t": np.frombuffer(raw[: len(raw) // size * size], dtype)})
    assert decoder.decode(pack(data)) == data


def test_fewer_bits_and_more_zeros_take_fewer_bytes():
    rng = np.random.default_rng(1)
    size = {}
    for width in range(1, 9):
        code = quantized(rng, (48, 200), width)
        size[width] = len(pack(model({"w": weights(code)}), {"w": code}))
        assert size[width] <= 9600 * width / 8 + 500
    assert sorted(size.values()) == list(size.values())
    sparse = quantized(rng, (48, 200), 4, zeros=0.9)
    assert len(pack(model({"w": weights(sparse)}), {"w": sparse})) < 0.4 * size[4]


def test_a_code_that_does_not_reproduce_its_tensor_is_not_used():
    code = quantized(np.random.default_rng(2), (8, 30), 4)
    value = weights(code)
    value[3, 3] = np.nextafter(value[3, 3], np.float32(9))
    data = model({"w": value})
    assert decoder.decode(pack(data, {"w": code})) == data


def test_a_product_is_not_stored_twice():
    rng = np.random.default_rng(3)
    tensors = {"s": rng.normal(size=500).astype(np.float32), "k": np.array(0.3, np.float32)}
    tensors["p"] = tensors["s"] * tensors["k"]
    data = model(tensors)
    packed = pack(data, {"p": Product("s", "k")})
    assert decoder.decode(packed) == data
    assert len(packed) < len(pack(data)) - 1500


def sample():
    code = quantized(np.random.default_rng(4), (16, 40), 5, zeros=0.5)
    return pack(model({"w": weights(code), "b": np.arange(40, dtype=np.float32)}), {"w": code})


def test_truncated_or_altered_files_never_give_other_bytes():
    packed = sample()
    data = decoder.decode(packed)
    refused = 0
    for length in range(0, len(packed), 7):
        with pytest.raises(ValueError):
            decoder.decode(packed[:length])
    for at in range(len(packed)):
        try:  # bits that nothing uses, such as those after the last value of a bitmap, may differ
            assert decoder.decode(packed[:at] + bytes([packed[at] ^ 0x41]) + packed[at + 1 :]) == data
        except ValueError:
            refused += 1
    assert refused > 0.99 * len(packed)
    with pytest.raises(ValueError):
        decoder.decode(packed + b"\0")


@settings(max_examples=150, deadline=None)
@given(noise=st.binary(min_size=1, max_size=80), at=st.floats(0, 1))
def test_hostile_bytes_only_raise_value_error(noise, at):
    packed = sample()
    start = int(at * len(packed))
    try:
        decoder.decode(packed[:start] + noise + packed[start + len(noise) :])
    except ValueError:
        return
    assert packed[start : start + len(noise)] == noise


ROWS = [
    ["planes", 1, 10**12, 4],
    ["planes", 4, -1, 4],
    ["planes", 3, 4, 4],
    ["bits", 9, 0, 8, 4],
    ["bits", 8, -1000, 4, 4],
    ["bits", 0, 0, 10**9, 0],
    ["sparse", 10**10, 4, ["planes", 1, 1, 1]],
    ["sparse", 8, 1, ["sparse", 8, 1, ["planes", 1, 0, 0]]],
    ["planes", True, 4, 4],
    ["planes", 1, 4.0, 4],
    ["ans", 10**9, 4],
    ["ans", 2**14, 4],
    ["ans", 8, 0],
    ["ans", -1, 4],
    ["gaps", 10**10, 1, 1, ["planes", 1, 1, 1]],
    ["gaps", 8, 10**10, 1, ["planes", 1, 1, 1]],
    ["gaps", 1, 2, 2, ["planes", 1, 1, 1]],
    ["gaps", 8, 1, 1, ["gaps", 8, 1, 1, ["planes", 1, 0, 0]]],
    ["zip", 1],
    [[], {}],
]


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("size", [16, 2**32 - 1])
@pytest.mark.parametrize("version", [1, 2])
def test_a_crafted_index_is_refused(row, size, version):
    head = json.dumps({"streams": [row], "holes": [[0, 0]]}).encode() + b"\n"
    fixed = decoder.HEADER.pack(b"SHPK", version, b"\0" * 32, size, len(head), len(head))
    with pytest.raises(ValueError, match=r"altered|unknown"):
        decoder.decode(fixed + head + b"abcd")


def test_a_frame_that_announces_a_huge_size_is_not_allocated():
    frame = bytearray(zstandard.ZstdCompressor(write_content_size=True).compress(b"a" * 300))
    head = json.dumps({"streams": [["planes", 1, 300, len(frame)]], "holes": [[0, 0]]}).encode() + b"\n"
    fixed = decoder.HEADER.pack(b"SHPK", 1, hashlib.sha256(b"a" * 300).digest(), 300, len(head), len(head))
    with pytest.raises(ValueError, match="announces"):
        decoder.decode(fixed + head + bytes(frame))


def test_another_version_says_so():
    packed = bytearray(sample())
    packed[4] = 9
    with pytest.raises(ValueError, match="version 9"):
        decoder.decode(bytes(packed))


def test_unpack_names_the_file():
    with pytest.raises(FileError, match=r"trial\.packed: .*not a packed model") as caught:
        unpack(b"hello", "trial.packed")
    assert "\n" not in str(caught.value)


def test_the_decoder_runs_alone(tmp_path: Path):
    """In a folder of its own, isolated from the project, as somebody who received the file would run it."""
    packed = sample()
    (tmp_path / "decoder.py").write_bytes(Path(decoder.__file__).read_bytes())
    (tmp_path / "m.packed").write_bytes(packed)
    command = [sys.executable, "-I", "decoder.py", "m.packed", "m.onnx"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "m.onnx").read_bytes() == decoder.decode(packed)
    onnx.load_from_string((tmp_path / "m.onnx").read_bytes())
    (tmp_path / "m.packed").write_bytes(packed[:-3])
    failed = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.count("\n") == 1
    assert failed.stderr.startswith("m.packed: ")
    usage = subprocess.run(command[:3], cwd=tmp_path, check=False, capture_output=True)
    assert usage.returncode == 2


def test_a_damaged_onnx_file_is_refused():
    data = model({"w": np.ones((20, 20), np.float32)})
    for broken in (data[:-5], b"\xff" * 40, data[: len(data) // 2]):
        with pytest.raises(FileError):
            spans(broken)
