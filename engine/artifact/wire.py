"""Where the tensors lie inside the bytes of an ONNX file: enough of the protobuf format to find them, nothing more.

Source: https://protobuf.dev/programming-guides/encoding/ and onnx.proto (ModelProto.graph = 7, GraphProto.initializer
= 5; TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import FileError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Span:
    """One initializer: ``data[start:stop]`` are its raw little-endian values; ``data_type`` is TensorProto's number."""

    name: str
    data_type: int
    dims: tuple[int, ...]
    start: int
    stop: int


def spans(data: bytes) -> list[Span]:
    """The initializers that hold raw data, in the file's order; raises FileError when ``data`` is no ONNX file."""
    found = []
    for field, start, stop, _ in _fields(data, 0, len(data)):
        if field == 7:
            found += [_span(data, a, b) for f, a, b, _ in _fields(data, start, stop) if f == 5]
    return [span for span in found if span.stop > span.start]


def _span(data: bytes, start: int, stop: int) -> Span:
    name, data_type, dims, raw = "", 0, [], (0, 0)
    for field, a, b, value in _fields(data, start, stop):
        if field == 1:
            dims += [value] if a == b else _varints(data, a, b)
        elif field == 2:
            data_type = value
        elif field == 8:
            name = data[a:b].decode("utf-8", "replace")
        elif field == 9:
            raw = (a, b)
    return Span(name, data_type, tuple(dims), *raw)


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, start, stop, value) of each field; ``start`` == ``stop`` for numbers."""
    while at < end:
        tag, at = _varint(data, at, end)
        wire, start, value = tag & 7, at, 0
        if wire == VARINT:
            value, at = _varint(data, at, end)
            start = at
        elif wire == BYTES:
            length, start = _varint(data, at, end)
            at = start + length
        elif wire in (FIXED32, FIXED64):
            at += 4 if wire == FIXED32 else 8
            start = at
        else:
            raise FileError("this is not an ONNX file: it is damaged or of another format")
        if at > end:
            raise FileError("this is not an ONNX file: it is truncated")
        yield tag >> 3, start, at, value


def _varints(data: bytes, at: int, end: int) -> list[int]:
    values = []
    while at < end:
        value, at = _varint(data, at, end)
        values.append(value)
    return values


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise FileError("this is not an ONNX file: it is truncated")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise FileError("this is not an ONNX file: it is damaged or of another format")
