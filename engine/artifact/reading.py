"""What an artifact's two files say of each layer: weights, zeros, operations from the ONNX file, bytes from the packed.

Nothing is estimated: the bytes of all layers, of other tensors and of the graph add up to the packed file's length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.artifact import decoder
from engine.artifact.kernel_nodes import Kernel, Nodes
from engine.artifact.packing import unpack
from engine.artifact.wire import spans
from engine.errors import FileError


@dataclass(frozen=True)
class LayerReading:
    """One layer as the artifact holds it; norms that were folded are part of their layer's weights and bias.

    ``kind``: convolution, depthwise, pointwise, linear, recurrent, embedding, norm, or attention, which has no weights:
    the products of its activations. ``parameters`` are weights and biases (of a layer that multiplies by a table of
    embeddings only its bias: the table has the others), ``nonzero`` those that are not zero, ``zeros`` the share of
    zeros among the weights alone. ``bits`` a weight; ``packed_bytes`` of all of the layer's tensors; ``macs``
    multiply-accumulates for one example.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    nonzero: int
    zeros: float
    bits: int
    packed_bytes: int
    macs: int


@dataclass(frozen=True)
class Reading:
    """``layers`` in the order of the graph; ``weights`` by layer name, in float32 with norms folded in.

    ``other_bytes``: tensors of no layer. ``graph_bytes``: the packed file's header, index and graph, with tensors of
    less than 16 bytes, which are stored inside the graph.
    """

    layers: tuple[LayerReading, ...]
    weights: Mapping[str, NDArray[np.float32]]
    other_bytes: int
    graph_bytes: int


def read(model: bytes, packed: bytes, bits: Mapping[str, int] | None = None) -> Reading:
    """Read both files of one artifact. ``bits``: what is known of the layers' number formats; the rest is float.

    Raises :class:`FileError` when ``packed`` does not hold exactly ``model``.
    """
    if unpack(packed) != model:
        raise FileError("the packed file holds another model than the ONNX file")
    stored = tensor_bytes(model, packed)
    found = _merged(Nodes(model).kernels())
    owners = {name: owner(name, [k.name for k in found]) for name in stored}
    layers = tuple(
        _layer(k, (bits or {}).get(k.name), sum(n for t, n in stored.items() if owners[t] == k.name)) for k in found
    )
    other = sum(n for t, n in stored.items() if owners[t] is None)
    weights = {k.name: k.weights for k in found if k.kind != "norm" and k.weights.size}
    return Reading(layers, weights, other, len(packed) - sum(stored.values()))


def tensor_bytes(model: bytes, packed: bytes) -> dict[str, int]:
    """Bytes in ``packed`` of every tensor that is stored for itself, by name; a shared stream counts once."""
    index, _ = decoder.contents(packed)
    sizes = [stored_bytes(row) for row in index["streams"]]
    named = {span.start: span for span in spans(model)}
    found: dict[str, int] = {}
    seen: set[int] = set()
    at = 0
    for literal, *parts in index["holes"]:
        at += literal
        streams = [part for part in parts if not isinstance(part, list)]  # a list says how groups lie
        span = named[at]
        found[span.name] = sum(sizes[i] for i in streams if i not in seen)
        seen |= set(streams)
        at = span.stop
    return found


def stored_bytes(row: list[Any]) -> int:
    """Bytes of one stream: a container's own, and those of the one inside it."""
    return int(row[-2]) + stored_bytes(row[-1]) if isinstance(row[-1], list) else int(row[-1])


def _merged(kernels: list[Kernel]) -> list[Kernel]:
    """Nodes that share their weights as one layer, which does all of their work."""
    found: dict[str, Kernel] = {}
    for kernel in kernels:
        first = found.setdefault(kernel.name, kernel)
        if first is not kernel:
            found[kernel.name] = replace(first, macs=first.macs + kernel.macs)
    return list(found.values())


def _layer(kernel: Kernel, bits: int | None, stored: int) -> LayerReading:
    weights, nonzero = kernel.weights.size, int(np.count_nonzero(kernel.weights))
    own, kept = (0, 0) if kernel.tied else (weights, nonzero)
    zeros = 1 - nonzero / weights if weights else 0.0
    return LayerReading(
        kernel.name, kernel.kind, tuple(kernel.weights.shape), own + kernel.bias.size,
        kept + int(np.count_nonzero(kernel.bias)), zeros, bits or kernel.width, stored, kernel.macs,
    )  # fmt: skip


def owner(tensor: str, layers: list[str]) -> str | None:
    """The layer with the longest name that the tensor's name starts with."""
    fitting = [name for name in layers if tensor == name or tensor.startswith(f"{name}.")]
    return max(fitting, key=len, default=None)
