"""A graph exported once and filled many times: the ONNX file of a model is a template's bytes with new tensors.

``artifact.write`` uses the same path, so a filled template and a written model are equal byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import zstandard
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.artifact import matmul, qdq, stem, tables
from engine.artifact.conversions import conversions
from engine.artifact.export import structure
from engine.artifact.fold import Arrays, Layer, fold, layers_of, pooled_gammas
from engine.artifact.graph import Graph, Node
from engine.artifact.kernels import AUTO, choose
from engine.artifact.matmul import Product as Way
from engine.artifact.packing import Coded, Codes, Looked, Product, pack
from engine.artifact.wire import Span, spans
from engine.errors import FileError
from engine.weights.values import Code, InputCode, TableCode, WeightCode

Weights = Mapping[str, "NDArray[Any] | Tensor"]
MAX_TEMPLATE = 2**30


@dataclass(frozen=True)
class Built:
    """One model as an ONNX file, with what packing and the latency's remarks need to know about it.

    ``graph_key`` is equal for models that run the same operations on tensors of the same shapes and types.
    ``simulated``: some layer's number format is not the one that is executed. ``bits``: the widest code, None for a
    model in float. ``conversions``: Quantize and Dequantize nodes that stay nodes of their own at run time.
    ``rounds_inputs``: some layer's input is rounded too, so that answers differ a little from the trained network's.
    """

    onnx: bytes
    codes: Codes
    graph_key: str
    simulated: bool
    bits: int | None
    conversions: int
    rounds_inputs: bool = False

    def packed(self) -> bytes:
        """The packed file (2 ms for 10,000 parameters, made once)."""
        return self._packed

    @cached_property
    def _packed(self) -> bytes:
        return pack(self.onnx, self.codes)


class Template:
    """Exports ``model`` (plain: see ``weights.code.bake``) once; :meth:`build` and :meth:`fill` take milliseconds.

    Variants (which layers run in integers, which norms can be folded) are made when they are first needed and kept.
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self._open(structure(model, example).SerializeToString())

    @classmethod
    def from_bytes(cls, data: bytes) -> Template:
        """The inverse of :meth:`to_bytes`; raises FileError for anything else."""
        template = cls.__new__(cls)
        try:
            template._open(zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_TEMPLATE))
        except (zstandard.ZstdError, ValueError, onnx.checker.ValidationError) as problem:
            raise FileError(f"a cached graph is truncated or altered ({problem}); delete it") from None
        return template

    def to_bytes(self) -> bytes:
        """The template for a cache: a few kilobytes, as all of its values are zeros."""
        return zstandard.ZstdCompressor(level=9, write_checksum=True).compress(self._data)

    def fill(
        self,
        weights: Weights,
        codes: Mapping[str, Code] | None = None,
        inputs: Mapping[str, InputCode] | None = None,
    ) -> bytes:
        """The bytes of the ONNX file; see :meth:`build`."""
        return self.build(weights, codes, inputs).onnx

    def build(
        self,
        weights: Weights,
        codes: Mapping[str, Code] | None = None,
        inputs: Mapping[str, InputCode] | None = None,
        runtime: str = AUTO,
    ) -> Built:
        """The model with these tensors.

        ``weights``: every parameter and buffer by name, as :func:`export.values` gives them (quantized layers already
        dequantized); ``codes`` and ``inputs`` by layer name; ``runtime``: see :mod:`engine.artifact.kernels`. Raises
        ValueError for a model of another structure.
        """
        values = {name: _array(weights[name], name, shape) for name, shape in self._shapes.items()}
        codes = tables.with_products(self._tables, codes or {})
        plan = choose(runtime, self.kinds, codes, inputs or {}, self._convolutional, self._tables)
        inputs = {name: code for name, code in (inputs or {}).items() if name in plan.static}
        loose = frozenset(name for name, code in inputs.items() if code.bits < qdq.BITS or not _simple(codes, name))
        key = _Key(
            frozenset(name for name, code in codes.items() if code.simple),
            tuple(sorted((name, code.zero_point == 0) for name, code in inputs.items())),
            loose,
            frozenset(name for name in self._pooled if float(values[name].min()) >= 0),
            self._shared({name: code for name, code in inputs.items() if name not in loose}),
            tuple(sorted(plan.products.items(), key=lambda item: item[0])),
            tuple(sorted(plan.tables.items())),
        )
        if key not in self._variants:
            self._variants[key] = _Variant(onnx.load_from_string(self._data), key, self._tables)
        built = self._variants[key].build(values, codes, inputs)
        return replace(built, simulated=True) if self._rounds else built

    def _shared(self, inputs: Mapping[str, InputCode]) -> frozenset[str]:
        """The values whose readers all round them alike: they are rounded once, and sums read them rounded too."""
        alike = (value for value, names in self._readers.items() if len({inputs.get(name) for name in names}) == 1)
        return frozenset(value for value in alike if self._readers[value][0] in inputs)

    def _open(self, data: bytes) -> None:
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model)
        self._data = data
        self.key = hashlib.sha256(data).hexdigest()
        self._shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        graph = Graph(model)
        layers = layers_of(graph)
        self._pooled = pooled_gammas(graph)
        self.kinds = {layer.name: layer.op for layer in layers.values()}
        self._tables = tables.tables_of(graph, layers)
        self._convolutional = any(node.op_type == "Conv" for node in graph.nodes)
        self._readers = qdq.shareable(graph, layers)
        # the network itself rounds (keys and values, say), by float operators
        self._rounds = any(node.op_type == "Round" for node in graph.nodes)
        self._variants: dict[_Key, _Variant] = {}


@dataclass(frozen=True)
class _Key:
    """All that a model's values decide about the structure of its graph."""

    codes: frozenset[str]
    inputs: tuple[tuple[str, bool], ...]
    loose: frozenset[str]
    positive: frozenset[str]
    shared: frozenset[str]
    products: tuple[tuple[str, Way], ...]
    tables: tuple[tuple[str, int], ...]


class _Variant:
    """A folded, perhaps quantized graph as literal bytes and holes."""

    def __init__(self, model: onnx.ModelProto, key: _Key, known: Mapping[str, tables.Table]) -> None:
        graph = Graph(model)
        layers = fold(graph, key.positive.__contains__)
        self.quantized = qdq.quantize(graph, layers, dict(key.inputs), key.codes, key.shared, key.loose)
        stem.group_pixels(graph, layers)
        self.products, self.tables = dict(key.products), {name: (known[name], way) for name, way in key.tables}
        self.lookups = known.keys()
        tables.rewrite(graph, known, dict(key.tables))
        matmul.rewrite(graph, layers, self.products)
        for node in graph.nodes:
            node.name = layers[id(node)].name if id(node) in layers else _place(node)
        self.layers = {layer.name: layer for layer in layers.values()}
        self.conversions = conversions(graph)
        data = graph.finish().SerializeToString()
        self.spans = sorted(spans(data), key=lambda span: span.start)
        self.literals = _literals(data, self.spans)
        self.key = _graph_key(self.literals, self.spans)

    def build(self, values: Arrays, codes: Mapping[str, Code], inputs: Mapping[str, InputCode]) -> Built:
        tensors: dict[str, NDArray[Any]] = dict(values)
        known: dict[str, Coded | Looked | Product] = {}
        for name, code in inputs.items():
            tensors |= qdq.input_tensors(name, code)
        for output in self.quantized.outputs:
            name = output.layer.name
            tensors[f"{name}.output_scale"], tensors[f"{name}.output_zero"] = output.code(values)
        for layer in self.layers.values():
            self._layer(layer, values, codes.get(layer.name), inputs.get(layer.name), tensors, known)
        for name in codes.keys() - self.layers.keys():
            if name in self.tables:
                tensors |= tables.tensors(name, *self.tables[name], codes[name])
            else:
                known[f"{name}.weight"] = _coded(codes[name])
        widths = [code.bits for code in codes.values()]
        simulated = any(self.width(n) != code.bits for n, code in codes.items() if n not in self.lookups)
        simulated |= any(code.bits < qdq.BITS for code in inputs.values())
        rounds = bool(inputs) or any(way.inputs != "float" for way in self.products.values())
        return Built(
            self._join(tensors), known, self.key, simulated, max(widths, default=None), self.conversions, rounds
        )

    def width(self, name: str) -> int | None:
        """Bits of the weights that a layer's kernel multiplies by; None for float."""
        if name in self.products:
            return self.products[name].width
        return 8 if self.quantized.modes.get(name) == qdq.INTEGER else None

    def _layer(
        self,
        layer: Layer,
        values: Arrays,
        code: Code | None,
        step: InputCode | None,
        tensors: dict[str, NDArray[Any]],
        known: dict[str, Coded | Looked | Product],
    ) -> None:
        name, factor, bias = layer.name, layer.factor(values), layer.shift(values)
        if code is None:
            column = factor.reshape(-1, *[1] * (values[layer.weight].ndim - 1)).astype(np.float32)
            tensors[layer.weight] = values[layer.weight] * column if layer.norms else values[layer.weight]
        elif name in self.products and isinstance(code, WeightCode):
            tensors |= matmul.tensors(layer, self.products[name], code, factor, bias)
            return
        else:
            made = code.times(factor)
            integer = self.quantized.modes.get(name) == qdq.INTEGER
            if integer and step is not None and isinstance(made, WeightCode):
                tensors |= qdq.integer_tensors(layer, made.integers, made.scale, bias, np.float32(step.scale))
                known[f"{name}.bias_scale"] = Product(f"{name}.weight_scale", f"{name}.input_scale")
                return
            tensors[layer.weight], known[layer.weight] = made.dequantized(), _coded(made)
        if layer.biased:
            tensors[layer.bias or f"{name}.bias"] = bias.astype(np.float32)

    def _join(self, tensors: Arrays) -> bytes:
        parts = [self.literals[0]]
        for span, literal in zip(self.spans, self.literals[1:], strict=True):
            raw = np.ascontiguousarray(tensors[span.name]).tobytes()
            if len(raw) != span.stop - span.start:
                raise ValueError(f"{span.name}: {tensors[span.name].shape} does not fit {span.dims}")
            parts += [raw, literal]
        return b"".join(parts)


def _simple(codes: Mapping[str, Code], name: str) -> bool:
    return name not in codes or codes[name].simple


def _coded(code: Code) -> Coded | Looked:
    if isinstance(code, TableCode):
        return Looked(code.integers, code.table, code.start, code.factor)
    return Coded(code.integers, code.scale, code.zero, code.group)


def _place(node: Node) -> str:
    """Where two activations are multiplied, as in a transformer's attention: module and "MatMul"; "" elsewhere."""
    return node.name.strip("/").replace("/", ".") if node.op_type == "MatMul" else ""


def _literals(data: bytes, holes: list[Span]) -> list[bytes]:
    starts, stops = [0, *(s.stop for s in holes)], [*(s.start for s in holes), len(data)]
    return [data[a:b] for a, b in zip(starts, stops, strict=True)]


def _graph_key(literals: list[bytes], holes: list[Span]) -> str:
    digest = hashlib.sha256(repr([(s.name, s.data_type, s.dims) for s in holes]).encode())
    for literal in literals:
        digest.update(literal)
    return digest.hexdigest()


def _array(value: NDArray[Any] | Tensor, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name}: the template has shape {shape}, the model {array.shape}; export it anew")
    return array
