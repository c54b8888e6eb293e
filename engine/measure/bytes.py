"""Where a packed file's bytes are, and what they could be: nominal bits, order-0 entropy, a coder with contexts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.artifact import decoder, matmul
from engine.artifact.kernel_nodes import Nodes
from engine.artifact.packing import INT8, ITEMSIZE
from engine.artifact.reading import owner, read, stored_bytes
from engine.artifact.wire import Span, spans
from engine.measure import contexts

EVEN = 0.02  # differences up to this share are none
INTEGERS, SCALES, ZEROS = "integers", "scales", "zeros"
WIDTHS = {SCALES: 4, ZEROS: 1}


def report(onnx: bytes, packed: bytes, bits: Mapping[str, int] | None = None, layers: Sequence[str] | None = None,
           ) -> dict[str, Any]:  # fmt: skip
    """Tensor by tensor what is stored how, and in how many bytes; everything adds up to the packed file's length.

    ``bits``: by layer, the recipe's width of a weight; ``layers``: the names of the layers, read from ``onnx`` where
    they are not given. Raises :class:`FileError` where ``packed`` does not hold ``onnx``.

    ``{"rows", "totals", "coder"}``. A row: ``layer`` (None: of no layer), ``tensor``, ``part`` (integers of weights, or
    numbers), ``container`` (its names, outer first), ``count`` of values, ``zeros`` (share), ``bytes``,
    ``nominal_bits`` a value, ``nominal_bytes``; for integers also ``entropy_bytes``, ``context_bytes`` and ``why`` (see
    :func:`why`), else None. ``totals``: ``packed``, ``weights`` (integers), ``numbers`` (scales, biases, floats),
    ``skeleton`` (graph, index and checksum), of the weights ``entropy`` (layer by layer), ``entropy_pooled`` (all as
    one source), ``context`` and ``nominal``. ``coder``: what made ``context`` (see :mod:`engine.measure.contexts`).
    """
    names = [layer.name for layer in read(onnx, packed, bits).layers] if layers is None else list(layers)
    index, streams = decoder.contents(packed)
    narrow = Nodes(onnx).packed_widths()
    rows: list[dict[str, Any]] = []
    sources: list[NDArray[np.int8]] = []
    for span, number, part in _stored(onnx, index):
        layer = owner(span.name, names)
        kind, values, size = index["streams"][number], streams[number], stored_bytes(index["streams"][number])
        row = {"layer": layer, "tensor": span.name, "container": containers(kind), "bytes": size, "count": len(values)}
        if kind[0] == "take":
            values = _numbered(values)
        shape = span.dims
        if span.name in narrow:  # several numbers a byte
            values = _unpacked(values, narrow[span.name])
            part, shape, row = INTEGERS, (span.dims[0], len(values) // span.dims[0]), row | {"count": len(values)}
        if part == INTEGERS and values.dtype == np.int8:
            sources.append(values)
            rows.append(row | integers(values, shape, (bits or {}).get(layer or ""), size))
        else:
            rows.append(row | _numbers(values, WIDTHS.get(part, ITEMSIZE.get(span.data_type, 1))))
    return {"rows": rows, "totals": _totals(rows, sources, len(packed)), "coder": contexts.coder()}


def integers(values: NDArray[np.int8], shape: tuple[int, ...], bits: int | None, stored: int) -> dict[str, Any]:
    """What is known of the integers of one layer that take ``stored`` bytes; ``bits`` None: as many as they need."""
    width = bits or max(1, int(np.abs(values.astype(np.int16)).max(initial=0)).bit_length() + 1)
    ideal, context = entropy(values), contexts.context_bytes(values.reshape(shape if shape else -1))
    return {
        "part": INTEGERS, "nominal_bits": width, "nominal_bytes": len(values) * width / 8,
        "zeros": _zeros(values),
        "entropy_bytes": ideal, "context_bytes": context, "why": why(stored, ideal, context),
    }  # fmt: skip


def entropy(values: NDArray[Any]) -> float:
    """Bytes that ``values`` take where each costs minus the logarithm of its share: order 0, its table not counted."""
    counts = np.unique(values, return_counts=True)[1]
    return float(-(counts * np.log2(counts / max(counts.sum(), 1))).sum() / 8) + 0.0


def why(stored: float, ideal: float, context: float) -> str:
    """The reason for the difference between what is stored and what a coder with contexts makes of it.

    - ``even``: within 2 % of each other.
    - ``neighbours``: contexts save more than 2 % of the entropy: weights resemble those around them (zeros in a row).
    - ``learning``: a coder with contexts is longer, as it learns each of them from few weights.
    - ``table``: it is shorter only as it needs no table of frequencies, or no whole bytes.
    """
    if abs(stored - context) <= EVEN * max(stored, context):
        return "even"
    if context > stored:
        return "learning"
    return "neighbours" if context < (1 - EVEN) * ideal else "table"


def containers(row: Sequence[Any]) -> list[str]:
    """The names of a stream's containers, the outer one first."""
    return [str(row[0]), *(containers(row[-1]) if isinstance(row[-1], list) else [])]


def _stored(onnx: bytes, index: Mapping[str, Any]) -> Iterator[tuple[Span, int, str]]:
    """(tensor, stream, part) of every stream, once; what is only computed from others takes no bytes and has no row."""
    named = {span.start: span for span in spans(onnx)}
    seen: set[int] = set()
    at = 0
    for literal, *listed in index["holes"]:
        span, numbers = named[at + literal], [number for number in listed if not isinstance(number, list)]
        # two streams are either integers with their scales, or a product of two tensors with rows of their own
        several = [INTEGERS, SCALES, ZEROS][: len(numbers)]
        whole = _weights(span) or index["streams"][numbers[0]][0] == "take"
        parts = several if len(numbers) > 1 else [INTEGERS if whole else "numbers"]
        at = span.stop
        for number, part in zip(numbers, parts, strict=True):
            if number not in seen:
                seen.add(number)
                yield span, number, part


def _numbered(values: NDArray[np.float32]) -> NDArray[np.int8]:
    """Values of a table as their numbers, zero (or where it would be) being 0."""
    levels, places = np.unique(values, return_inverse=True)
    return (places - min(max(int((levels < 0).sum()), len(levels) - 128), 128)).astype(np.int8)


def _unpacked(values: NDArray[Any], width: int) -> NDArray[np.int8]:
    """The numbers of a tensor that holds several in a byte; those that fill the last block of a row up are zeros."""
    octets = values.view(np.uint8).reshape(1, -1)
    return matmul.unpack(octets, width, octets.size * 8 // width).ravel()


def _weights(span: Span) -> bool:
    return span.data_type == INT8 and not span.name.endswith("_zero")


def _numbers(values: NDArray[Any], itemsize: int) -> dict[str, Any]:
    nominal = {"nominal_bits": 8 * itemsize, "nominal_bytes": float(len(values) * itemsize), "zeros": _zeros(values)}
    return nominal | {"part": "numbers", "entropy_bytes": None, "context_bytes": None, "why": None}


def _zeros(values: NDArray[Any]) -> float:
    return 1 - int(np.count_nonzero(values)) / max(len(values), 1)


def _totals(rows: Sequence[Mapping[str, Any]], sources: Sequence[NDArray[np.int8]], packed: int) -> dict[str, Any]:
    weights = [r for r in rows if r["part"] == INTEGERS]
    stored = {part: sum(r["bytes"] for r in rows if r["part"] == part) for part in (INTEGERS, "numbers")}
    sums = {n: sum(r[f"{n}_bytes"] for r in weights) for n in ("entropy", "context", "nominal")}
    pooled = entropy(np.concatenate(sources)) if sources else 0.0
    skeleton = packed - sum(stored.values())
    return {"packed": packed, "weights": stored[INTEGERS], "numbers": stored["numbers"], "skeleton": skeleton,
            "entropy_pooled": pooled, **sums}  # fmt: skip
