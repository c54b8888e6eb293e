"""The nodes of an ONNX file that have weights or multiply: what each holds as numbers, and how much it multiplies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, shape_inference

from engine.artifact import matmul
from engine.artifact.graph import Node, attribute
from engine.artifact.runtime import session

FLOAT_BITS, INTEGER_BITS = 32, 8
KERNELS, NORMS, RECURRENT = ("Conv", "Gemm", "MatMul"), ("BatchNormalization", "LayerNormalization"), ("LSTM", "GRU")
INTEGER_PRODUCTS = ("MatMulInteger", "MatMulNBits")
REARRANGING = ("Pad", "Concat", "Reshape", "Transpose", "Slice", "Unsqueeze")
LOOKUPS = ("Gather", "GatherBlockQuantized", "Slice")
ATTENTION, EMBEDDING = "attention", "embedding"
Numbers = NDArray[np.float32]
NONE = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Kernel:
    """A node that has weights: where it stands, its weights as numbers [out, ...], their bits in the file, its biases.

    ``tied``: its weights are those of a table of embeddings, which has them already.
    """

    name: str
    kind: str
    place: int
    weights: Numbers
    width: int
    bias: NDArray[Any]
    macs: int
    tied: bool = False


class Nodes:
    """The nodes of an ONNX file with the values of their weights."""

    def __init__(self, model: bytes) -> None:
        self.proto = onnx.load_from_string(model)
        self.nodes = list(self.proto.graph.node)
        self.tensors = {t.name: t for t in self.proto.graph.initializer}
        self.makers = {name: node for node in self.nodes for name in node.output}

    def kernels(self) -> list[Kernel]:
        """All of them, in the order of the graph; nodes that share their weights follow each other."""
        found = [kernel for place, node in enumerate(self.nodes) for kernel in self._kernel(place, node)]
        return sorted(found, key=lambda kernel: kernel.place)

    def packed_widths(self) -> dict[str, int]:
        """The tensors of weights that hold several numbers in a byte, or one from 0 to 255: bits of a number."""
        found = [(self._stored(node.input[0 if node.op_type in LOOKUPS else 1]), attribute(node, "bits", 4))
                 for node in self.nodes if node.op_type in ("MatMulNBits", "GatherBlockQuantized")]  # fmt: skip
        return {name: int(bits) for name, bits in found if name in self.tensors}

    def _kernel(self, place: int, node: Node) -> Iterator[Kernel]:
        if node.op_type in KERNELS:
            yield from self._product(place, node)
        elif node.op_type in INTEGER_PRODUCTS:
            yield self._integer_product(place, node)
        elif node.op_type in NORMS:
            yield from self._norm(place, node)
        elif node.op_type in LOOKUPS:
            yield from self._table(place, node)
        elif node.op_type in RECURRENT:
            yield from self._recurrent(place, node)

    def _product(self, place: int, node: Node) -> Iterator[Kernel]:
        """A convolution or linear layer with constant weights, or the product of two activations."""
        weights = self.value(node.input[1])
        if weights is None:
            if node.op_type == "MatMul" and node.name and self.value(node.input[0]) is None:
                inner = self.sizes(node.input[0])[-1]
                macs = math.prod(self.sizes(node.output[0])) * inner
                yield Kernel(node.name.rpartition(".")[0], ATTENTION, place, NONE, FLOAT_BITS, NONE, macs)
            return
        stored = self._stored(node.input[1])
        tied = node.op_type == "MatMul" and self._looked_up(stored)
        # layers that share a weight are one layer, wherever they stand
        own = stored.endswith(".weight") and stored in self.tensors and not tied
        name = self._tensor_name(stored) if own else node.name or self._tensor_name(node.input[1])
        bias = self.value(node.input[2]) if len(node.input) > 2 else None
        if node.op_type == "MatMul":  # its weights lie the other way round, its bias is a node of its own
            weights, bias = weights.T, self.value(f"{name}.bias")
        width = FLOAT_BITS if stored in self.tensors else INTEGER_BITS
        macs = math.prod(self.sizes(node.output[0])) * _inputs(node, weights)
        yield Kernel(name, _kind(node, weights), place, weights, width, NONE if bias is None else bias, macs, tied)

    def _integer_product(self, place: int, node: Node) -> Kernel:
        """Dynamic int8 or n bits, as :mod:`engine.artifact.matmul` writes them."""
        stored = self._stored(node.input[1])
        table, numbers = stored.rpartition(".")[0], numpy_helper.to_array(self.tensors[stored])
        name, width = node.name or table, INTEGER_BITS
        if node.op_type == "MatMulInteger":
            scale = self._tensor(f"{table}.weight_scale")
            whole = numbers if numbers.shape[0] == len(scale) and stored != node.input[1] else numbers.T
            weights = whole.astype(np.float32) * scale[:, None]
        else:
            width = int(attribute(node, "bits", 4))
            weights = self._unpacked(node, numbers)
        bias = self.value(f"{name}.bias")
        macs = math.prod(self.sizes(node.output[0])) * weights.shape[1]
        return Kernel(name, "linear", place, weights, width, NONE if bias is None else bias, macs, table != name)

    def _unpacked(self, node: Node, packed: NDArray[np.uint8]) -> Numbers:
        inputs, bits, block = (int(attribute(node, name, 0)) for name in ("K", "bits", "block_size"))
        rows = packed.reshape(len(packed), -1, block * bits // 8)
        values = matmul.unpack(rows, bits, inputs).astype(np.float32)
        if len(node.input) > 3 and node.input[3]:
            points = self._tensor(node.input[3]).reshape(len(packed), -1).astype(np.uint8)
            zeros = matmul.unpack(points[:, None], bits, rows.shape[1]).astype(np.float32)
            values -= np.repeat(zeros, block, axis=1)[:, :inputs]
        scales = self._tensor(self._stored(node.input[2])).reshape(len(packed), -1)
        return np.asarray(values * np.repeat(scales, block, axis=1)[:, :inputs], np.float32)

    def _norm(self, place: int, node: Node) -> Iterator[Kernel]:
        """A norm that is a node of its own: its scale counts as weights, its offset as bias."""
        gamma, beta = self.value(node.input[1]), self.value(node.input[2]) if len(node.input) > 2 else NONE
        if gamma is not None and beta is not None:
            yield Kernel(self._tensor_name(node.input[1]), "norm", place, gamma, FLOAT_BITS, beta, 0)

    def _table(self, place: int, node: Node) -> Iterator[Kernel]:
        """A table of embeddings in float, int8 or nibbles."""
        tensor = self.tensors.get(node.input[0])
        if tensor is None or len(tensor.dims) != 2 or not node.input[0].endswith(("weight", "integers", "packed")):
            return
        name, numbers, width = self._tensor_name(node.input[0]), numpy_helper.to_array(tensor), FLOAT_BITS
        if node.op_type == "GatherBlockQuantized":
            width = int(attribute(node, "bits", 4))
            scales = self._tensor(node.input[2])
            row = numbers.shape[1] * 8 // width
            whole = matmul.unpack(numbers[:, None], width, row).astype(np.float32)
            numbers = whole * np.repeat(scales, int(attribute(node, "block_size", row)), axis=1)[:, :row]
        elif numbers.dtype == np.int8:
            numbers, width = numbers.astype(np.float32) * self._tensor(f"{name}.weight_scale")[:, None], INTEGER_BITS
        yield Kernel(name, EMBEDDING, place, np.asarray(numbers, np.float32), width, NONE, 0)

    def _recurrent(self, place: int, node: Node) -> Iterator[Kernel]:
        """All of its matrices, flat and one behind the other; each is used once a step."""
        first = self._stored(node.input[1])
        name = node.name or first.rpartition(".")[0]
        own = {n: self._tensor(n) for n in self.tensors if n.rpartition(".")[0] == name}
        weights = [v.ravel() for n, v in own.items() if v.ndim == 2]
        if weights:
            biases = [v.ravel() for v in own.values() if v.ndim == 1]
            flat, bias = np.concatenate(weights), np.concatenate([NONE, *biases])
            yield Kernel(name, "recurrent", place, flat, FLOAT_BITS, bias, self.sizes(node.output[0])[0] * flat.size)

    def value(self, name: str) -> Numbers | None:
        """A constant as float32: an initializer, or integers that are dequantized; None for anything computed."""
        if name in self.tensors:
            return self._tensor(name)
        maker = self.makers.get(name)
        if maker is not None and maker.op_type == "Transpose" and maker.input[0] in self.tensors:
            return self._tensor(maker.input[0]).T
        if maker is None or maker.op_type != "DequantizeLinear":
            return None
        names = [self._stored(n) for n in maker.input[:2]]
        if any(n not in self.tensors for n in names):
            return None
        integers, scale = (self._tensor(n) for n in names)
        axis = attribute(maker, "axis", 1) if scale.ndim else None  # outputs come first but in a MatMul's [in, out]
        column = scale.reshape([-1 if i == axis else 1 for i in range(integers.ndim)])
        return np.asarray(integers * column, np.float32)

    def sizes(self, name: str) -> tuple[int, ...]:
        """The shape of a value for one example."""
        known = self._shapes.get(name)
        if known is None or not all(known[1:]) or self._runs:
            return self._seen[name]
        return (1, *known[1:])

    @cached_property
    def _runs(self) -> bool:
        """Whether shapes are found by running: batches are folded into other axes where tokens are embedded."""
        return any(node.op_type in ("LayerNormalization", *RECURRENT, *INTEGER_PRODUCTS) for node in self.nodes)

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        inferred = shape_inference.infer_shapes(self.proto).graph
        return {v.name: _dims(v) for v in (*inferred.value_info, *inferred.output)}

    @cached_property
    def _seen(self) -> dict[str, tuple[int, ...]]:
        """The shapes of what products read and make when the graph runs on one example."""
        twin = onnx.ModelProto()
        twin.CopyFrom(self.proto)
        wanted = [n for node in self.nodes if node.op_type in (*KERNELS, *INTEGER_PRODUCTS, *RECURRENT)
                  for n in (node.input[0], node.output[0])]  # fmt: skip
        inputs = {value.name for value in twin.graph.input}
        names = [n for n in dict.fromkeys(wanted) if n not in inputs | set(self.tensors)]
        known = {value.name for value in twin.graph.output}
        twin.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
        runner = session(twin.SerializeToString())
        shapes = {i.name: [n if isinstance(n, int) else 1 for n in i.shape] for i in runner.get_inputs()}
        types = {i.name: np.float32 if "float" in i.type else np.int64 for i in runner.get_inputs()}
        fed = {name: np.ones(shape, types[name]) for name, shape in shapes.items()}
        found = runner.run(names, fed)
        return {n: tuple(v.shape) for n, v in [*zip(names, found, strict=True), *fed.items()]}

    def _tensor(self, name: str) -> Numbers:
        return numpy_helper.to_array(self.tensors[name]).astype(np.float32)

    def _stored(self, name: str) -> str:
        """The tensor that a value is a rearrangement of (see :mod:`engine.artifact.stem`); other values themselves."""
        for _ in self.nodes:  # no further, whatever the file says
            maker = self.makers.get(name)
            if maker is None or maker.op_type not in REARRANGING:
                break
            name = maker.input[0]
        return name

    def _looked_up(self, tensor: str) -> bool:
        return any(node.op_type == "Gather" and node.input[0] == tensor for node in self.nodes)

    def _tensor_name(self, name: str) -> str:
        made = self._stored(name)
        made = made if made in self.tensors else self.makers[made].input[0]
        for part in (".integers", ".packed", ".weight"):
            made = made.removesuffix(part)
        return made


def _kind(node: Node, weights: Numbers) -> str:
    if node.op_type != "Conv":
        return "linear"
    if int(attribute(node, "group", 1)) > 1 and weights.shape[1] == 1:
        return "depthwise"
    return "pointwise" if math.prod(weights.shape[2:]) == 1 else "convolution"


def _inputs(node: Node, weights: Numbers) -> int:
    """Multiplications an output."""
    turned = node.op_type == "Gemm" and not attribute(node, "transB", 0)
    return int(weights.shape[0] if turned else weights[0].size)


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(int(d.dim_value) for d in value.type.tensor_type.shape.dim)
