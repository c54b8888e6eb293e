"""Rebuild an ONNX model from its packed file, byte for byte. Stand-alone: needs Python, numpy and zstandard only.

    python decoder.py model.packed model.onnx

Layout (little endian): ``SHPK``, version (1 byte), SHA-256 of the ONNX file (32), its size, the raw and the stored size
of the head (4 each); the head; the streams. The head is zstd (version 2: begun with the words below): one line of JSON,
then every byte of the ONNX file that is not a tensor ("literal"). The JSON has ``streams``, arrays that are stored, and
``holes``, where tensors go:

- ``["planes", itemsize, count, stored]``: the first bytes of all values, then the second ones, and so on.
- ``["bits", width, low, count, stored]``: small integers, ``width`` bits each, ``low`` added.
- ``["sparse", count, stored, values]``: one bit a value (1 = not zero), then the non-zero values, themselves a stream.
- ``["gaps", count, bytes, stored, values]``: the zeros before each non-zero value, 255 meaning 255 and no value yet.
- ``["ans", count, stored]``: small integers, as many bits each as they are rare. A byte says how many pieces follow; a
  piece is a width and a weight (two bytes): so many magnitudes, from 0 up, are equally frequent, each sign as often as
  the other. Then a range asymmetric numeral system (Duda 2014, arXiv:1311.2540): state (4 bytes), words (2 each).
- hole ``[literal, i]``: after ``literal`` bytes of literals, stream i as it is.
- hole ``[literal, i, j]``: stream i times stream j in float32, j holding one factor for each row of i.

``stored`` is a number of bytes; where it equals the raw size the bytes are plain, else they are one zstd frame.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

HEADER = struct.Struct("<4sB32sIII")
MAGIC, VERSION, OLDEST = b"SHPK", 2, 1
LIMIT = 2**31  # protobuf's own limit for an ONNX file
RATIO = 2**15  # zstd cannot shrink more: a block of at most 128 KiB takes at least 4 bytes
ANS_BITS, ANS_LOW = 14, 2**16  # frequencies add up to 2**14; the state is 2**16 or more
ANS_LONGEST, ANS_VALUES = 2**14, 2**20  # values a stream and a file: they are read one by one, half a second at most
# what many graphs say: zstd refers to it instead of saying it again. Part of the format; never to be changed
WORDS = (  # fmt: skip
    b"DynamicQuantizeLinear\n\rMatMulInteger\n\x0bMatMulNBits*\x11\n\x04bits\x18\x04\nblock_size\rcom.microsoftLaye"
    b'rNormalization*\x12\n\x07epsilonSoftmaxTransposeReshapeGatherConcatSliceErfGeluAddMulSubDivSigmoidTanh"\x03Ad'
    b'd2\x00"\x03Mul2\x00"\x04Relu2\x00"\x06MatMul2\x00"\tHardSwish2\x00"\x0bHardSigmoid2\x00"\x11GlobalAveragePool'
    b'2\x00"\nReduceMeanfeatures.layer.0.block.encoder.attention.qkv.classifier.downsample.fc1.bias.weight.running_'
    b'mean"\x12BatchNormalization\n\x03v14\n\x10head.input_scale\n\x0fhead.input_zero\x12\x03v15\x1a\x00"\x0eQuanti'
    b'zeLinear\n$\n\x03v15\x12\x03v16\x1a\x00"\x07Flatten*\x0b\n\x04axis\x18\x01\xa0\x01\x022\x00\nA\n\x03v16\n\rhe'
    b'ad.integers\n\x11head.weight_scale\n\x10head.weight_zero\x12\x03v18\x1a\x00"\x10DequantizeLinear*\x0b\n\x04ax'
    b"is\x18\x00\xa0\x01\x02\nK\n\x12head.bias_integers\n\x0fhead.bias_scale\x12\x03v19\x1a\x00\n\x03v17\n\x0bhead."
    b'weight\n\thead.bias\x12\x06logits\x1a\x04head"\x04Gemm*\x0f\n\x05alpha\x15\x00\x00\x80?\xa0\x01\x01*\x0e\n'
    b"\x04beta\x15\x00\x00\x80?\xa0\x01\x01*\r\n\x06transB\x18\x01\xa0\x01\x022\x00\x12\x07student*\x10\x01B\x10hea"
    b"d.input_scaleJ\x04*\x16\x10\x02B\x0fhead.input_zeroJ\x01\x00*\x9c\x07\x08\n\x08Z\x10\x03B\rhead.integersJ\x84"
    b'\x07*A\x08\n\x10\x01B\x11head.weight_scaleJ(*"\x08\n\x10\x03B\x10head.weight_zeroJ\n\x00\x00\x00\x00\x00\x00'
    b"\x00\x00\x00\x00*B\x08\n\x10\x06B\x12head.bias_integersJ(*?\x08\n\x10\x01B\x0fhead.bias_scaleJ(*\x08\n\x10"
    b"\x01B\x0bhead.weightJ*\x17\x08\n\x10\x01B\thead.biasJ(Z$\n\x05input\x12\x1b\n\x19\x08\x01\x12\x15\n\x07\x12"
    b"\x05batch\n\x02\x08\x01\n\x02\x08\x1c\n\x02\x08\x1cb\x1d\n\x06logits\x12\x13\n\x11\x08\x01\x12\r\n\x07\x12"
    b'\x05batch\n\x02\x08\nB\x02\x10\x11\n\x03v12\n\x03v13\n\x03v14\x12\x03v15\x1a\x12blocks.1.depthwise"\x04Conv\n'
    b"\x1eblocks.1.depthwise.input_scale\n\x1dblocks.1.depthwise.input_zero\n\x1bblocks.1.depthwise.integers\n\x1fb"
    b"locks.1.depthwise.weight_scale\n blocks.1.depthwise.bias_integers\n\x1dblocks.1.depthwise.bias_scale\x12block"
    b's.1.pointwise"\x04Conv\n\x1eblocks.1.pointwise.input_scale\n\x1dblocks.1.pointwise.input_zero\n\x1bblocks.1.p'
    b"ointwise.integers\n\x1fblocks.1.pointwise.weight_scale\n blocks.1.pointwise.bias_integers\n\x1dblocks.1.point"
    b"wise.bias_scale\n\x1fblocks.2.pointwise.output_scale\n\x1eblocks.2.pointwise.output_zero\n\x03v13\x12\x03v14"
    b'\x1a\x00"\x0bAveragePool*\x10\n\tceil_mode\x18\x00\xa0\x01\x02*\x18\n\x11count_include_pad\x18\x01\xa0\x01'
    b"\x02*\x15\n\x0ckernel_shape@\x03@\x03\xa0\x01\x07*\x11\n\x04pads@\x00@\x00@\x00@\x00\xa0\x01\x07*\x10\n\x07st"
    b'rides@\x02@\x02\xa0\x01\x072\x00\nw\n\x02v5\x12\x02v6\x1a\x00"\x07MaxPool*\x10\n\tceil_mode\x18\x00\xa0\x01'
    b"\x02*\x12\n\tdilations@\x01@\x01\xa0\x01\x07*\x15\n\x0ckernel_shape@\x02@\x02\xa0\x01\x07*\x11\n\x04pads@\x00"
    b"@\x00@\x00@\x00\xa0\x01\x07*\x10\n\x07strides@\x02@\x02\xa0\x01\x072\x00*#\x10\x01B\x19blocks.1.conv.input_sc"
    b"aleJ\x04*\x1f\x10\x02B\x18blocks.1.conv.input_zeroJ\x01\x00*$\x10\x01B\x1ablocks.1.conv.output_scaleJ\x04* "
    b"\x10\x02B\x19blocks.1.conv.output_zeroJ\x01\x00*\xc1\x04\x08\n\x08\x06\x08\x03\x08\x03\x10\x03B\x16blocks.1.c"
    b"onv.integersJ\x9c\x04*J\x08\n\x10\x01B\x1ablocks.1.conv.weight_scaleJ(*K\x08\n\x10\x06B\x1bblocks.1.conv.bias"
    b"_integersJ(*H\x08\n\x10\x01B\x18blocks.1.conv.bias_scaleJ(*\x08\x01\x08\x03\x08\x03\x10\x01B\x14blocks.1.conv"
    b".weightJ*\x10\x01B\x12blocks.1.conv.biasJ\n\x14blocks.0.conv.weight\n\x12blocks.0.conv.bias\x12\x02v1\x1a\rbl"
    b'ocks.0.conv"\x04Conv"\x04Relu2\x00\x08\x08\x12\nstillhouse\x1a\x002\x00:\xb5#\nR\n\x05input\n\x19blocks.0.con'
    b'v.input_scale\n\x18blocks.0.conv.input_zero\x12\x02v0\x1a\x00"\x0eQuantizeLinear\nQ\n\x02v0\n\x19blocks.0.con'
    b'v.input_scale\n\x18blocks.0.conv.input_zero\x12\x02v1\x1a\x00"\x10DequantizeLinear\nY\n\x16blocks.0.conv.inte'
    b'gers\n\x1ablocks.0.conv.weight_scale\x12\x02v2\x1a\x00"\x10DequantizeLinear*\x0b\n\x04axis\x18\x00\xa0\x01'
    b'\x02\n\\\n\x1bblocks.0.conv.bias_integers\n\x18blocks.0.conv.bias_scale\x12\x02v3\x1a\x00"\x10DequantizeLinea'
    b'r*\x0b\n\x04axis\x18\x00\xa0\x01\x02\n\x85\x01\n\x02v1\n\x02v2\n\x02v3\x12\x02v4\x1a\rblocks.0.conv"\x04Conv*'
    b"\x12\n\tdilations@\x01@\x01\xa0\x01\x07*\x0c\n\x05group\x18\x01\xa0\x01\x02*\x15\n\x0ckernel_shape@\x03@\x03"
    b"\xa0\x01\x07*\x11\n\x04pads@\x01@\x01@\x01@\x01\xa0\x01\x07*\x10\n\x07strides@\x01@\x01\xa0\x01\x072\x00\nO\n"
    b'\x02v4\n\x19blocks.1.conv.input_scale\n\x18blocks.1.conv.input_zero\x12\x02v5\x1a\x00"\x0eQuantizeLinear{"str'
    b'eams":[["planes",4,1,4],["planes",4,24,96],["planes",4,32,128],["planes",1,108,108],["bits",4,-7,288,144],["s'
    b'parse",900,113,["gaps",768,["ans",540,275],["ans",504,481]],"holes":[[2013,0],[66,1],[36,4],[34,4,0],[112,6],'
)


def decode(packed: bytes) -> bytes:
    """The ONNX file inside ``packed``; raises ValueError when it is not a packed model, truncated or altered."""
    found: bytes = _guarded(packed, _Reader.read)
    return found


def contents(packed: bytes) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """The index of ``packed`` (what is stored how, in how many bytes) and its streams; ValueError as :func:`decode`."""
    found = _guarded(packed, _Reader.parts)
    return found[0], found[2]


def _guarded(packed: bytes, read: Any) -> Any:
    try:
        return read(_Reader(packed))
    except ValueError:
        raise
    except (zstandard.ZstdError, struct.error, LookupError, TypeError, OverflowError, RecursionError, MemoryError) as e:
        raise ValueError(f"the packed model is truncated or altered ({type(e).__name__})") from None


class _Reader:
    """Walks through one packed file. Every size is checked before anything of that size is allocated."""

    def __init__(self, packed: bytes) -> None:
        if len(packed) < HEADER.size or packed[:4] != MAGIC:
            raise ValueError("this is not a packed model")
        _, version, self.digest, self.size, self.head_raw, self.head_stored = HEADER.unpack_from(packed)
        if not OLDEST <= version <= VERSION:
            raise ValueError(f"the packed model has version {version}, this decoder reads {OLDEST} to {VERSION}")
        self.packed, self.at, self.left = packed, HEADER.size, ANS_VALUES
        self.words = zstandard.ZstdCompressionDict(WORDS, zstandard.DICT_TYPE_RAWCONTENT) if version > 1 else None
        self.size = _whole(self.size, min(LIMIT, RATIO * len(packed)))

    def parts(self) -> tuple[dict[str, Any], bytes, list[NDArray[Any]]]:
        """The index, the literals and the streams."""
        head = self.blob(_whole(self.head_raw, 3 * self.size + 1024), self.head_stored, self.words)
        line, _, literals = head.partition(b"\n")
        index = _json(line)
        streams = [self.stream(row) for row in _rows(index["streams"])]
        if self.at != len(self.packed):
            raise ValueError("the packed model is longer than it should be")
        return index, literals, streams

    def read(self) -> bytes:
        index, literals, streams = self.parts()
        onnx = self.join(literals, _rows(index["holes"]), streams)
        if len(onnx) != self.size or hashlib.sha256(onnx).digest() != self.digest:
            raise ValueError("the packed model is altered: its checksum differs")
        return onnx

    def join(self, literals: bytes, holes: list[list[Any]], streams: list[NDArray[Any]]) -> bytes:
        parts, at, left = [], 0, self.size
        for literal, *which in holes:
            end = at + _whole(literal, len(literals) - at)
            values = [streams[_whole(i, len(streams) - 1)] for i in which]
            tensor = (values[0] if len(values) == 1 else scaled(*values)).tobytes()
            left = _whole(left - len(tensor), self.size)  # many holes may name one stream
            parts += [literals[at:end], tensor]
            at = end
        return b"".join([*parts, literals[at:]])

    def stream(self, row: list[Any], nested: bool = False) -> NDArray[Any]:
        kind = row[0]
        if kind == "planes":
            itemsize, count = _whole(row[1], 8), _whole(row[2], self.size)
            planes = self.array(_whole(itemsize * count, self.size), row[3])
            values = np.ascontiguousarray(planes.reshape(itemsize, count).T)
            return values.view({1: "i1", 2: "<i2", 4: "<f4", 8: "<f8"}[itemsize]).ravel()
        if kind == "bits":
            return self.bits(_whole(row[1], 8), row[2], _whole(row[3], self.size), row[4])
        if kind == "ans":
            return self.ans(_whole(row[1], ANS_LONGEST), row[2])
        if kind == "sparse" and not nested:
            return self.sparse(_whole(row[1], self.size), row[2], row[3])
        if kind == "gaps" and not nested:
            return self.gaps(_whole(row[1], self.size), _whole(row[2], self.size), row[3], row[4])
        raise ValueError(f"the packed model names an unknown coding {str(kind)[:20]!r}")

    def bits(self, width: int, low: Any, count: int, stored: Any) -> NDArray[Any]:
        raw = self.array((width * count + 7) // 8, stored)
        flat = np.unpackbits(raw, count=width * count, bitorder="little").reshape(count, width)
        unsigned = np.zeros(count, np.int16)
        for bit in range(width):  # adding plane by plane keeps the memory at three bytes a value
            unsigned += flat[:, bit].astype(np.int16) << bit
        return (unsigned - _whole(-low, 128)).astype(np.int8)

    def sparse(self, count: int, stored: Any, values: list[Any]) -> NDArray[Any]:
        mask = np.unpackbits(self.array((count + 7) // 8, stored), count=count, bitorder="little").astype(bool)
        return self.spread(np.flatnonzero(mask), count, values)

    def gaps(self, count: int, raw: int, stored: Any, values: list[Any]) -> NDArray[Any]:
        steps = self.array(raw, stored)
        places = (np.cumsum(steps, dtype=np.int64) + np.cumsum(steps < 255))[steps < 255] - 1
        _whole(int(places.max(initial=0)), max(0, count - 1))
        return self.spread(places, count, values)

    def spread(self, places: NDArray[Any], count: int, values: list[Any]) -> NDArray[Any]:
        """Zeros but for the values of a stream at ``places``."""
        inner = self.stream(values, nested=True)
        if len(places) != len(inner) or _whole(count, self.size) * inner.itemsize > self.size:
            raise ValueError("the packed model is altered: zeros and values do not fit")
        full = np.zeros(count, inner.dtype)
        full[places] = inner
        return full

    def ans(self, count: int, stored: Any) -> NDArray[Any]:
        data = self.blob(_whole(stored, self.size), stored)
        self.left = _whole(self.left - count, ANS_VALUES)
        pieces = 1 + 2 * data[0]
        if len(data) < pieces + 4 or len(data) % 2 == 0:
            raise ValueError("the packed model is altered: a stream has another length")
        values, starts = ans_table(data[1:pieces])
        state = struct.unpack_from("<I", data, pieces)[0]
        words = iter(np.frombuffer(data[pieces + 4 :], "<u2").tolist())
        which = np.repeat(np.arange(len(values)), np.diff(starts)).tolist()
        base, often, found = starts.tolist(), np.diff(starts).tolist(), []
        for _ in range(count):
            slot = state & (2**ANS_BITS - 1)
            value = which[slot]
            found.append(value)
            state = often[value] * (state >> ANS_BITS) + slot - base[value]
            if state < ANS_LOW:
                state = state << 16 | next(words, 0)
        return values[found].astype(np.int8)

    def array(self, raw: int, stored: Any) -> NDArray[Any]:
        return np.frombuffer(self.blob(raw, stored), np.uint8)

    def blob(self, raw: int, stored: Any, words: Any = None) -> bytes:
        data = self.packed[self.at : self.at + _whole(stored, len(self.packed) - self.at)]
        self.at += len(data)
        if len(data) == raw:
            return data
        _whole(raw, RATIO * len(data))
        if zstandard.get_frame_parameters(data).content_size != zstandard.CONTENTSIZE_UNKNOWN:
            raise ValueError("the packed model is altered: a frame announces its size")  # it would be allocated
        found = zstandard.ZstdDecompressor(dict_data=words).decompress(data, max_output_size=raw)
        if len(found) != raw:
            raise ValueError("the packed model is altered: a stream has another length")
        return found


def ans_table(pieces: bytes) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values that occur, ascending, and where the share of each of the 2**14 slots starts (one more, the end)."""
    widths, codes = np.frombuffer(pieces, np.uint8).reshape(-1, 2).T.astype(np.int64)
    half = np.repeat(np.where(codes > 0, 16 + (codes & 15) << (codes >> 4), 0), widths)
    if not 0 < len(half) <= 128 or not half.any():
        raise ValueError("the packed model is altered: a table of frequencies is none")
    weights = np.concatenate([half[:0:-1], half])
    values = np.flatnonzero(weights)
    ends = np.cumsum(weights[values]) * (2**ANS_BITS - len(values)) // weights.sum() + np.arange(1, len(values) + 1)
    return values - (len(half) - 1), np.concatenate([[0], ends])


def scaled(values: NDArray[Any], factors: NDArray[Any]) -> NDArray[Any]:
    """``values`` times ``factors`` [rows], one float32 multiplication each, flat."""
    rows = values.astype(np.float32, copy=False).reshape(len(factors), -1)
    with np.errstate(all="ignore"):  # an altered file may hold anything; the checksum decides
        return (rows * factors.astype(np.float32, copy=False)[:, None]).ravel()


def _whole(value: Any, high: int) -> int:
    if type(value) is not int or not 0 <= value <= high:
        raise ValueError(f"the packed model is truncated or altered: {str(value)[:20]} is no size from 0 to {high}")
    return value


def _json(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        raise ValueError("the packed model is altered: its index cannot be read") from None


def _rows(value: Any) -> list[list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, list) and row for row in value):
        raise ValueError("the packed model is altered: its index has another form")
    return value


def main(arguments: list[str]) -> int:
    """The command line; returns the exit status."""
    if len(arguments) != 2:
        print("usage: python decoder.py model.packed model.onnx", file=sys.stderr)
        return 2
    try:
        Path(arguments[1]).write_bytes(decode(Path(arguments[0]).read_bytes()))
    except (OSError, ValueError) as problem:
        print(f"{arguments[0]}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
