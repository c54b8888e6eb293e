"""The packed file: what a model really weighs once its numbers are stored as compactly as they are known.

Quantized tensors are stored as integers and their float32 scales, other tensors as byte planes; each in the smallest of
several containers, which :mod:`engine.artifact.containers` makes and ``decoder.py`` reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.artifact import decoder
from engine.artifact.containers import Containers, Entry
from engine.artifact.wire import Span, spans
from engine.errors import FileError

ITEMSIZE = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 10: 2, 11: 8, 12: 4, 13: 8}  # by TensorProto.DataType
INT8 = 3
SMALL = 16  # bytes; a shorter tensor is left among the literals: its entry in the index would cost more


@dataclass(frozen=True)
class Coded:
    """A float32 tensor of the ONNX file that equals ``integers * scale`` (float32, ``scale`` () or one a row)."""

    integers: NDArray[np.int8]
    scale: NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """A float32 tensor of the ONNX file that equals the tensor ``values`` times the scalar tensor ``factor``."""

    values: str
    factor: str


Codes = Mapping[str, "Coded | Product"]


def pack(onnx: bytes, codes: Codes | None = None) -> bytes:
    """The packed file of an ONNX file; ``codes`` says by initializer name what is known about it.

    ``decode(pack(onnx, codes)) == onnx`` always: a code that does not reproduce its tensor's exact bytes is not used.
    """
    packer = _Packer(onnx, codes or {})
    packer.fill()
    return packer.file()


def unpack(packed: bytes, where: str = "the packed model") -> bytes:
    """:func:`decoder.decode`, raising FileError with the file's name."""
    try:
        return decoder.decode(packed)
    except ValueError as problem:
        raise FileError(f"{where}: {problem}; make it again with `stillhouse export`") from None


class _Packer:
    def __init__(self, onnx: bytes, codes: Codes) -> None:
        self.onnx, self.codes = onnx, codes
        self.spans = sorted(spans(onnx), key=lambda span: span.start)
        self.named = {span.name: span for span in self.spans}
        self.make = Containers()
        self.rows: list[list[Any]] = []
        self.blobs: list[bytes] = []
        self.holes: list[list[int]] = []
        self.literals: list[bytes] = []
        self.streams: dict[str, int] = {}

    def fill(self) -> None:
        """Turn every tensor that is large enough, or that another one needs, into a hole."""
        operands = {n for c in self.codes.values() if isinstance(c, Product) for n in (c.values, c.factor)}
        at = 0
        for span in self.spans:
            if span.stop - span.start < SMALL and span.name not in operands:
                continue
            which = self.tensor(span)
            self.literals.append(self.onnx[at : span.start])
            self.holes.append([span.start - at, *which])
            at = span.stop
        self.literals.append(self.onnx[at:])

    def file(self) -> bytes:
        index = json.dumps({"streams": self.rows, "holes": self.holes}, separators=(",", ":")).encode()
        head = index + b"\n" + b"".join(self.literals)
        stored = self.make.head(head)
        digest = hashlib.sha256(self.onnx).digest()
        fixed = decoder.HEADER.pack(decoder.MAGIC, decoder.VERSION, digest, len(self.onnx), len(head), len(stored))
        return b"".join([fixed, stored, *self.blobs])

    def tensor(self, span: Span) -> list[int]:
        """The streams that make one tensor; stores those that are not there yet."""
        code, raw = self.codes.get(span.name), self.onnx[span.start : span.stop]
        if isinstance(code, Coded) and decoder.scaled(code.integers.ravel(), code.scale.ravel()).tobytes() == raw:
            integers = self.add(f"{span.name}:integers", self.make.integers(code.integers.ravel()))
            return [integers, self.add(f"{span.name}:scale", self.make.floats(code.scale.tobytes(), 4))]
        if isinstance(code, Product) and self._equals(code, raw):
            return [self.stored(self.named[code.values]), self.stored(self.named[code.factor])]
        return [self.stored(span)]

    def _equals(self, code: Product, raw: bytes) -> bool:
        parts = [self.named.get(name) for name in (code.values, code.factor)]
        if not all(part is not None and part.data_type == 1 for part in parts):
            return False
        values, factor = (np.frombuffer(self.onnx[p.start : p.stop], "<f4") for p in parts if p is not None)
        return len(factor) == 1 and decoder.scaled(values, factor).tobytes() == raw

    def stored(self, span: Span) -> int:
        raw = self.onnx[span.start : span.stop]
        if span.name in self.streams:
            return self.streams[span.name]
        itemsize = ITEMSIZE.get(span.data_type, 1)
        itemsize = 1 if len(raw) % itemsize else itemsize
        integers = span.data_type == INT8
        best = self.make.integers(np.frombuffer(raw, np.int8)) if integers else self.make.floats(raw, itemsize)
        return self.add(span.name, best)

    def add(self, name: str, entry: Entry) -> int:
        row, blobs = entry
        self.rows.append(row)
        self.blobs += blobs
        return self.streams.setdefault(name, len(self.rows) - 1)
