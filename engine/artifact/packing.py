"""The packed file: what a model really weighs once its numbers are stored as compactly as they are known.

Quantized tensors are stored as integers (a byte each, or only the bits that they need, with or without a bitmap of the
zeros: whatever is smallest after zstd) and their float32 scales; other tensors as byte planes. ``decoder.py`` reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from engine.artifact import decoder
from engine.artifact.wire import Span, spans
from engine.errors import FileError

ITEMSIZE = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 10: 2, 11: 8, 12: 4, 13: 8}  # by TensorProto.DataType
INT8 = 3
SMALL = 16  # bytes; a shorter tensor is left among the literals: its entry in the index would cost more
LEVEL, LARGE, FAST = 19, 2**18, 1  # from LARGE bytes on level 19 takes minutes and saves 1 to 3 %


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
        self.small, self.large = _compressor(LEVEL), _compressor(FAST)
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
        stored = self.shrink(head)
        digest = hashlib.sha256(self.onnx).digest()
        fixed = decoder.HEADER.pack(decoder.MAGIC, decoder.VERSION, digest, len(self.onnx), len(head), len(stored))
        return b"".join([fixed, stored, *self.blobs])

    def tensor(self, span: Span) -> list[int]:
        """The streams that make one tensor; stores those that are not there yet."""
        code, raw = self.codes.get(span.name), self.onnx[span.start : span.stop]
        if isinstance(code, Coded) and decoder.scaled(code.integers.ravel(), code.scale.ravel()).tobytes() == raw:
            integers = self.add(f"{span.name}:integers", self.integers(code.integers.ravel()))
            return [integers, self.add(f"{span.name}:scale", self.floats(code.scale.tobytes(), 4))]
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
        best = self.integers(np.frombuffer(raw, np.int8)) if integers else self.floats(raw, itemsize)
        return self.add(span.name, best)

    def add(self, name: str, entry: tuple[list[Any], list[bytes]]) -> int:
        row, blobs = entry
        self.rows.append(row)
        self.blobs += blobs
        return self.streams.setdefault(name, len(self.rows) - 1)

    def integers(self, values: NDArray[np.int8]) -> tuple[list[Any], list[bytes]]:
        """The smallest coding of small integers: a byte each or fewer bits, all or the non-zero ones."""
        entries = [self.planes(values.tobytes(), 1), self.bits(values)]
        if len(values) > SMALL and 4 * np.count_nonzero(values) < 3 * len(values):
            mask, nonzero = values != 0, values[values != 0]
            entries += [self.sparse(mask, self.planes(nonzero.tobytes(), 1)), self.sparse(mask, self.bits(nonzero))]
        return _smallest(entries)

    def floats(self, raw: bytes, itemsize: int) -> tuple[list[Any], list[bytes]]:
        """Byte planes, or a bitmap and the planes of the values whose bits are not all zero."""
        entries = [self.planes(raw, itemsize)]
        words = np.frombuffer(raw, f"<u{itemsize}")
        mask = words != 0
        if len(words) > SMALL and not mask.all():
            entries.append(self.sparse(mask, self.planes(words[mask].tobytes(), itemsize)))
        return _smallest(entries)

    def planes(self, raw: bytes, itemsize: int) -> tuple[list[Any], list[bytes]]:
        shuffled = np.frombuffer(raw, np.uint8).reshape(-1, itemsize).T.tobytes()
        blob = self.shrink(shuffled)
        return ["planes", itemsize, len(raw) // itemsize, len(blob)], [blob]

    def bits(self, values: NDArray[np.int8]) -> tuple[list[Any], list[bytes]]:
        low = min(0, int(values.min(initial=0)))
        width = (int(values.max(initial=0)) - low).bit_length()
        unsigned = (values.astype(np.int16) - low).astype(np.uint8)
        flat = np.unpackbits(unsigned[:, None], axis=1, bitorder="little")[:, :width]
        blob = self.shrink(np.packbits(flat.ravel(), bitorder="little").tobytes())
        return ["bits", width, low, len(values), len(blob)], [blob]

    def sparse(self, mask: NDArray[Any], inner: tuple[list[Any], list[bytes]]) -> tuple[list[Any], list[bytes]]:
        blob = self.shrink(np.packbits(mask, bitorder="little").tobytes())
        return ["sparse", len(mask), len(blob), inner[0]], [blob, *inner[1]]

    def shrink(self, raw: bytes) -> bytes:
        """zstd where it helps. A frame as long as its content would read as plain bytes, so that is stored plain."""
        frame = (self.small if len(raw) < LARGE else self.large).compress(raw)
        return frame if len(frame) < len(raw) else raw


def _compressor(level: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(level=level, write_content_size=False, write_checksum=False)


def _smallest(entries: list[tuple[list[Any], list[bytes]]]) -> tuple[list[Any], list[bytes]]:
    return min(entries, key=lambda entry: sum(map(len, entry[1])))
