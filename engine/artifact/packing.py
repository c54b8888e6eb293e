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
from engine.artifact.containers import Containers, Entry, size_of
from engine.artifact.wire import Span, spans
from engine.errors import FileError
from engine.weights.values import spread

ITEMSIZE = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 10: 2, 11: 8, 12: 4, 13: 8}  # by TensorProto.DataType
INT8 = 3
SMALL = 16  # bytes; a shorter tensor is left among the literals: its entry in the index would cost more


@dataclass(frozen=True)
class Coded:
    """A float32 tensor of the ONNX file that equals ``(integers - zero) * scale`` (float32).

    ``scale`` () or one a row, or [rows, groups] of ``group`` values each; ``zero`` int8 likewise, or None.
    """

    integers: NDArray[np.int8]
    scale: NDArray[np.float32]
    zero: NDArray[np.int8] | None = None
    group: int = 0

    @property
    def sizes(self) -> list[int] | None:
        """Row and group for the decoder, None where it needs none."""
        return [self.integers[0].size, self.group] if self.scale.ndim == 2 else None

    def restored(self) -> bytes:
        """What the decoder makes of it."""
        zero = None if self.zero is None else self.zero.ravel()
        return decoder.scaled(self.integers.ravel(), self.scale.ravel(), zero, self.sizes).tobytes()

    def centred(self) -> Coded | None:
        """The same without zero points, integers counted from them; None where eight bits do not hold those."""
        if self.zero is None:
            return None
        integers = self.integers.astype(np.int16) - spread(self.zero.astype(np.int16), self.integers.shape, self.group)
        fits = integers.min(initial=0) >= -128 and integers.max(initial=0) <= 127
        return Coded(integers.astype(np.int8), self.scale, None, self.group) if fits else None


@dataclass(frozen=True)
class Looked:
    """A float32 tensor of the ONNX file that equals ``table[integers + start] * factor`` (one a row, or None)."""

    integers: NDArray[np.int8]
    table: NDArray[np.float32]
    start: int
    factor: NDArray[np.float32] | None = None

    def restored(self) -> bytes:
        """What the decoder makes of it."""
        values = self.table[self.integers.ravel().astype(np.int16) + self.start]
        return (values if self.factor is None else decoder.scaled(values, self.factor)).tobytes()


@dataclass(frozen=True)
class Product:
    """A float32 tensor of the ONNX file that equals the tensor ``values`` times the scalar tensor ``factor``."""

    values: str
    factor: str


Codes = Mapping[str, "Coded | Looked | Product"]


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
        self.holes: list[list[Any]] = []
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
        new = any(_is_new(hole) for hole in self.holes) or any(row[0] == "take" for row in self.rows)
        version = decoder.VERSION if new else decoder.PLAIN_VERSION
        fixed = decoder.HEADER.pack(decoder.MAGIC, version, digest, len(self.onnx), len(head), len(stored))
        return b"".join([fixed, stored, *self.blobs])

    def tensor(self, span: Span) -> list[Any]:
        """The streams that make one tensor; stores those that are not there yet."""
        code, raw = self.codes.get(span.name), self.onnx[span.start : span.stop]
        if isinstance(code, Coded) and code.restored() == raw:
            return self.coded(span.name, code)
        if isinstance(code, Looked) and code.restored() == raw:
            return self.looked(span.name, code)
        if isinstance(code, Product) and self._equals(code, raw):
            return [self.stored(self.named[code.values]), self.stored(self.named[code.factor])]
        return [self.stored(span)]

    def coded(self, name: str, code: Coded) -> list[Any]:
        """Integers and scales; zero points only where the integers are not as short without them."""
        other, left = code.centred(), self.make.left
        found = [(code, self.parts(code), self.make.left)]
        if other is not None and other.restored() == code.restored():
            self.make.left = left
            found.append((other, self.parts(other), self.make.left))
        best, parts, self.make.left = min(found, key=lambda one: sum(size_of(entry) for entry in one[1].values()))
        streams = {part: self.add(f"{name}:{part}", entry) for part, entry in parts.items()}
        which = [streams["integers"], self.add(f"{name}:scale", self.make.floats(best.scale.tobytes(), 4))]
        which += [streams["zero"]] if "zero" in streams else []
        return [*which, best.sizes] if best.sizes else which

    def looked(self, name: str, code: Looked) -> list[int]:
        """The numbers of the table's values, with the table; factors apart."""
        entry = self.make.take(code.table, code.start, self.make.integers(code.integers.ravel()))
        which = [self.add(f"{name}:integers", entry)]
        if code.factor is not None:
            which.append(self.add(f"{name}:scale", self.make.floats(code.factor.tobytes(), 4)))
        return which

    def parts(self, code: Coded) -> dict[str, Entry]:
        found = {"integers": self.make.integers(code.integers.ravel())}
        return found if code.zero is None else found | {"zero": self.make.integers(code.zero.ravel())}

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


def _is_new(hole: list[Any]) -> bool:
    """Whether a decoder of version 2 would not know this kind of hole."""
    return len(hole) > 3 or isinstance(hole[-1], list)
