"""Rebuild an ONNX model from its packed file, byte for byte. Stand-alone: needs Python, numpy and zstandard only.

    python decoder.py model.packed model.onnx

Layout (little endian): ``SHPK``, version (1 byte), SHA-256 of the ONNX file (32), its size, the raw and the stored size
of the head (4 each); the head; the streams. The head is zstd: one line of JSON, then every byte of the ONNX file that
is not a tensor ("literal"). The JSON has ``streams``, arrays that are stored, and ``holes``, where tensors go:

- ``["planes", itemsize, count, stored]``: the first bytes of all values, then the second ones, and so on.
- ``["bits", width, low, count, stored]``: small integers, ``width`` bits each, ``low`` added.
- ``["sparse", bitmap bytes, values]``: one bit a value (1 = not zero), then the non-zero values, themselves a stream.
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
MAGIC, VERSION = b"SHPK", 1
LIMIT = 2**31  # protobuf's own limit for an ONNX file
RATIO = 2**15  # zstd cannot shrink more: a block of at most 128 KiB takes at least 4 bytes


def decode(packed: bytes) -> bytes:
    """The ONNX file inside ``packed``; raises ValueError when it is not a packed model, truncated or altered."""
    try:
        return _Reader(packed).read()
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
        if version != VERSION:
            raise ValueError(f"the packed model has version {version}, this decoder reads version {VERSION}")
        self.packed, self.at = packed, HEADER.size
        self.size = _whole(self.size, min(LIMIT, RATIO * len(packed)))

    def read(self) -> bytes:
        line, _, literals = self.blob(_whole(self.head_raw, 3 * self.size + 1024), self.head_stored).partition(b"\n")
        index = _json(line)
        streams = [self.stream(row) for row in _rows(index["streams"])]
        if self.at != len(self.packed):
            raise ValueError("the packed model is longer than it should be")
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
        if kind == "sparse" and not nested:
            return self.sparse(_whole(row[1], self.size), row[2], row[3])
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
        inner = self.stream(values, nested=True)
        if int(mask.sum()) != len(inner) or count * inner.itemsize > self.size:
            raise ValueError("the packed model is altered: a bitmap does not fit its values")
        full = np.zeros(count, inner.dtype)
        full[mask] = inner
        return full

    def array(self, raw: int, stored: Any) -> NDArray[Any]:
        return np.frombuffer(self.blob(raw, stored), np.uint8)

    def blob(self, raw: int, stored: Any) -> bytes:
        data = self.packed[self.at : self.at + _whole(stored, len(self.packed) - self.at)]
        self.at += len(data)
        if len(data) == raw:
            return data
        _whole(raw, RATIO * len(data))
        if zstandard.get_frame_parameters(data).content_size != zstandard.CONTENTSIZE_UNKNOWN:
            raise ValueError("the packed model is altered: a frame announces its size")  # it would be allocated
        found = zstandard.ZstdDecompressor().decompress(data, max_output_size=raw)
        if len(found) != raw:
            raise ValueError("the packed model is altered: a stream has another length")
        return found


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
