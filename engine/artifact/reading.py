"""What an artifact's two files say of each layer: weights, zeros, operations from the ONNX file, bytes from the packed.

Nothing is estimated: the bytes of all layers, of other tensors and of the graph add up to the packed file's length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference

from engine.artifact import decoder
from engine.artifact.graph import Node, attribute
from engine.artifact.packing import unpack
from engine.artifact.wire import spans
from engine.errors import FileError

FLOAT_BITS = 32
KERNELS, NORM = ("Conv", "Gemm", "MatMul"), "BatchNormalization"
REARRANGING = ("Pad", "Concat", "Reshape", "Transpose")


@dataclass(frozen=True)
class LayerReading:
    """One layer as the artifact holds it; norms that were folded are part of their layer's weights and bias.

    ``kind``: convolution, depthwise, pointwise, linear or norm. ``parameters`` are weights and biases, ``nonzero``
    those that are not zero, ``zeros`` the share of zeros among the weights alone. ``bits`` a weight; ``packed_bytes``
    of all of the layer's tensors; ``macs`` multiply-accumulates for one example.
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
    graph = _Graph(model)
    stored = tensor_bytes(model, packed)
    found = _merged([*graph.kernels(), *graph.norms()])
    found.sort(key=lambda kernel: kernel.place)
    owners = {name: owner(name, [k.name for k in found]) for name in stored}
    layers = tuple(
        _layer(k, (bits or {}).get(k.name), sum(n for t, n in stored.items() if owners[t] == k.name)) for k in found
    )
    other = sum(n for t, n in stored.items() if owners[t] is None)
    weights = {k.name: k.weights for k in found if k.kind != "norm"}
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


@dataclass(frozen=True)
class _Kernel:
    """A node that has weights: where it stands, its weights as numbers, its biases."""

    name: str
    kind: str
    place: int
    weights: NDArray[np.float32]
    integer: bool
    bias: NDArray[Any]
    macs: int


class _Graph:
    """The nodes of an ONNX file with the values of their weights."""

    def __init__(self, model: bytes) -> None:
        proto = onnx.load_from_string(model)
        self.nodes = list(proto.graph.node)
        self.tensors = {t.name: t for t in proto.graph.initializer}
        self.makers = {name: node for node in self.nodes for name in node.output}
        inferred = shape_inference.infer_shapes(proto).graph
        self.shapes = {v.name: _dims(v) for v in (*inferred.value_info, *inferred.output)}

    def kernels(self) -> Iterator[_Kernel]:
        """Convolutions and linear layers with constant weights."""
        for place, node in enumerate(self.nodes):
            weights = self.value(node.input[1]) if node.op_type in KERNELS else None
            if weights is None:
                continue
            integer = node.input[1] not in self.tensors
            bias = self.value(node.input[2]) if len(node.input) > 2 else None
            empty = np.zeros(0, np.float32)
            name = node.name or self._tensor_name(node.input[1])
            macs = math.prod(self.shapes[node.output[0]][1:]) * _inputs(node, weights)
            yield _Kernel(name, _kind(node, weights), place, weights, integer, empty if bias is None else bias, macs)

    def norms(self) -> Iterator[_Kernel]:
        """Norms that could not be folded: their scale counts as weights, their offset as bias."""
        for place, node in enumerate(self.nodes):
            if node.op_type == NORM:
                gamma, beta = self.value(node.input[1]), self.value(node.input[2])
                if gamma is not None and beta is not None:
                    yield _Kernel(self._tensor_name(node.input[1]), "norm", place, gamma, False, beta, 0)

    def value(self, name: str) -> NDArray[np.float32] | None:
        """A constant as float32: an initializer, or integers that are dequantized; None for anything computed."""
        if name in self.tensors:
            return numpy_helper.to_array(self.tensors[name]).astype(np.float32)
        maker = self.makers.get(name)
        if maker is not None and maker.op_type == "Transpose" and maker.input[0] in self.tensors:
            return numpy_helper.to_array(self.tensors[maker.input[0]]).astype(np.float32).T
        if maker is None or maker.op_type != "DequantizeLinear":
            return None
        names = [self._stored(n) for n in maker.input[:2]]
        if any(n not in self.tensors for n in names):
            return None
        integers, scale = (numpy_helper.to_array(self.tensors[n]) for n in names)
        axis = attribute(maker, "axis", 1) if scale.ndim else None  # outputs come first but in a MatMul's [in, out]
        column = scale.reshape([-1 if i == axis else 1 for i in range(integers.ndim)])
        return np.asarray(integers.astype(np.float32) * column, np.float32)

    def _stored(self, name: str) -> str:
        """The tensor that a value is a rearrangement of (see :mod:`engine.artifact.stem`); other values themselves."""
        for _ in self.nodes:  # no further, whatever the file says
            maker = self.makers.get(name)
            if maker is None or maker.op_type not in REARRANGING:
                break
            name = maker.input[0]
        return name

    def _tensor_name(self, name: str) -> str:
        made = name if name in self.tensors else self.makers[name].input[0]
        return made.removesuffix(".integers").removesuffix(".weight")


def _merged(kernels: list[_Kernel]) -> list[_Kernel]:
    """Nodes that share their weights as one layer, which does all of their work."""
    found: dict[str, _Kernel] = {}
    for kernel in kernels:
        first = found.setdefault(kernel.name, kernel)
        if first is not kernel:
            found[kernel.name] = replace(first, macs=first.macs + kernel.macs)
    return list(found.values())


def _layer(kernel: _Kernel, bits: int | None, stored: int) -> LayerReading:
    weights, nonzero = kernel.weights.size, int(np.count_nonzero(kernel.weights))
    width = bits or (8 if kernel.integer else FLOAT_BITS)
    return LayerReading(
        kernel.name, kernel.kind, tuple(kernel.weights.shape), weights + kernel.bias.size,
        nonzero + int(np.count_nonzero(kernel.bias)), 1 - nonzero / max(weights, 1), width, stored, kernel.macs,
    )  # fmt: skip


def _kind(node: Node, weights: NDArray[Any]) -> str:
    if node.op_type != "Conv":
        return "linear"
    if int(attribute(node, "group", 1)) > 1 and weights.shape[1] == 1:
        return "depthwise"
    return "pointwise" if math.prod(weights.shape[2:]) == 1 else "convolution"


def _inputs(node: Node, weights: NDArray[Any]) -> int:
    """Multiplications an output."""
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attribute(node, "transB", 0)):
        return int(weights.shape[-2])
    return int(weights[0].size)


def owner(tensor: str, layers: list[str]) -> str | None:
    """The layer with the longest name that the tensor's name starts with."""
    fitting = [name for name in layers if tensor == name or tensor.startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(int(d.dim_value) for d in value.type.tensor_type.shape.dim)
