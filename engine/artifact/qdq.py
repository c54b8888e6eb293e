"""Layers in integers: Quantize and Dequantize nodes from our own codes, placed where ONNX Runtime fuses them.

ONNX Runtime runs DequantizeLinear -> Conv -> QuantizeLinear as one QLinearConv and DequantizeLinear -> Gemm as QGemm.
So the node that quantizes a layer's input is moved up to the layer that makes it: max pools, ReLU and flattening
commute with rounding, all are monotone, and with the zero point 0 the clipping at 0 *is* the ReLU, which is left out.

Where nothing quantizes what a convolution makes (a sum, an average or a hardswish comes next), its output is quantized
too, over the range that BatchNorm promises, beta +- 6 gamma (Nagel et al. 2019, Data-Free Quantization,
arXiv:1906.04721, section 4.2.2): a convolution with float output would run in float. Without such a norm it does.

What layers and sums read is rounded once for all of them, so that the sum which made it runs in integers too: in a
half-width ResNet-18 the sums in float take a quarter of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from engine.artifact.fold import Arrays, Layer
from engine.artifact.graph import Graph, Node
from engine.weights.values import InputCode

COMMUTING = ("MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Identity")
DEVIATIONS = 6.0
HARDSWISH_ZERO = -3.0
INTEGER, INPUT_ONLY, FLOAT = "integer", "input", "float"
BITS = 8  # of the integers that kernels read


@dataclass(frozen=True)
class Output:
    """How the output of a layer is quantized: over beta +- 6 gamma, not below ``floor``."""

    layer: Layer
    floor: float

    def code(self, values: Arrays) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Scale and zero point, both ()."""
        norm = self.layer.norms[-1]
        beta, spread = values[norm.beta].astype(np.float64), DEVIATIONS * np.abs(values[norm.gamma].astype(np.float64))
        low = min(0.0, max(self.floor, float((beta - spread).min())))
        high = max(0.0, float((beta + spread).max()))
        scale = np.float32(max(high - low, 1e-6) / 255)
        return np.asarray(scale), np.asarray(round(-low / float(scale)), np.uint8)


@dataclass(frozen=True)
class Quantized:
    """What :func:`quantize` decided: a mode for each coded layer, and the outputs that it quantized."""

    modes: Mapping[str, str]
    outputs: tuple[Output, ...]


def shareable(graph: Graph, layers: Mapping[int, Layer]) -> dict[str, tuple[str, ...]]:
    """The names of the layers that read a value, by value, where none but them and sums read it, two nodes at least."""
    found = {}
    for value in dict.fromkeys(node.input[0] for node in graph.nodes if id(node) in layers):
        readers = graph.readers(value)
        ours = [layers[id(node)].name for node in readers if id(node) in layers]
        sums = [n for n in readers if n.op_type == "Add" and not any(name in graph.initializers for name in n.input)]
        if len(readers) > 1 and len(ours) + len(sums) == len(readers) and value not in graph.outputs:
            found[value] = tuple(ours)
    return found


def quantize(
    graph: Graph,
    layers: Mapping[int, Layer],
    coded: Mapping[str, bool],
    weights: frozenset[str],
    shared: frozenset[str] = frozenset(),
    loose: frozenset[str] = frozenset(),
) -> Quantized:
    """Rewrite ``graph``.

    ``coded``: by layer whether its input's zero point is 0; ``weights``: the layers with integer weights; ``shared``:
    values of :func:`shareable` whose layers all round them alike; ``loose``: layers of ``coded`` that no integer kernel
    runs, whose inputs are therefore rounded in float.
    """
    nodes = {layer.name: (node, layer) for node in graph.nodes if (layer := layers.get(id(node)))}
    done: set[int] = set()
    for name, unsigned in coded.items():
        if name in nodes and name in loose:
            _round_input(graph, nodes[name][0], name)
        elif name in nodes and id(nodes[name][0]) not in done:
            node = nodes[name][0]
            readers = graph.readers(node.input[0]) if node.input[0] in shared else [node]
            done |= {id(reader) for reader in readers}
            _quantize_input(graph, readers, name, unsigned)
    modes, outputs = {}, []
    for name, (node, layer) in nodes.items():
        if name not in coded:
            continue
        modes[name] = INPUT_ONLY
        if name not in weights or name in loose:
            continue
        if layer.op == "Conv" and not _feeds_quantizer(graph, node):
            if not layer.norms or node.output[0] in graph.outputs:
                continue
            outputs.append(_quantize_output(graph, node, layer))
        _quantize_weights(graph, node, layer)
        modes[name] = INTEGER
    return Quantized(modes, tuple(outputs))


def input_tensors(name: str, code: InputCode) -> dict[str, NDArray[Any]]:
    """The tensors of a layer's input quantizer."""
    return {
        f"{name}.input_scale": np.asarray(code.scale, np.float32),
        f"{name}.input_zero": np.asarray(code.zero_point, np.uint8),
        f"{name}.input_low": np.asarray(-code.zero_point, np.float32),
        f"{name}.input_high": np.asarray((1 << code.bits) - 1 - code.zero_point, np.float32),
    }


def integer_tensors(
    layer: Layer, integers: NDArray[np.int8], scale: NDArray[np.float32], bias: NDArray[np.float64], step: np.float32
) -> dict[str, NDArray[Any]]:
    """The tensors of a layer in integers, from its codes after folding; ``step`` is the scale of its input.

    A scale must be positive, and large enough for the bias, which counts in scale * step, to fit 32 bits: integers of
    a channel that folding has (nearly) switched off are rounded to a larger scale.
    """
    positive = np.abs(scale)
    least = np.maximum(np.abs(bias) / (float(step) * 2.0**30), 1e-30).astype(np.float32) if layer.biased else positive
    final = np.maximum(positive, np.maximum(least, np.float32(1e-30)))
    factor = scale / final  # +1 or -1 but for such channels
    column = factor.reshape(-1, *[1] * (integers.ndim - 1))
    rounded = np.where(np.abs(column) == 1, integers * column, np.rint(integers * column)).astype(np.int8)
    tensors: dict[str, NDArray[Any]] = {f"{layer.name}.weight_scale": final}
    tensors[f"{layer.name}.integers"] = np.ascontiguousarray(rounded.T) if layer.op == "MatMul" else rounded
    if layer.op == "MatMul":
        return tensors | ({layer.bias: bias.astype(np.float32)} if layer.bias else {})
    tensors[f"{layer.name}.weight_zero"] = np.zeros(len(final), np.int8)
    if layer.biased:
        unit = final * step
        tensors[f"{layer.name}.bias_scale"] = unit
        tensors[f"{layer.name}.bias_integers"] = np.rint(bias / unit).astype(np.int32)
    return tensors


def _round_input(graph: Graph, node: Node, name: str) -> None:
    """Round what ``node`` reads by float operators, exactly as the trained network does.

    Not by QuantizeLinear: between two of those ONNX Runtime would round the layer's weights to int8 on its own account.
    """
    scale, low, high = (graph.tensor(f"{name}.input_{part}", (), np.float32) for part in ("scale", "low", "high"))
    value, parts = node.input[0], [f"{name}.input_{part}" for part in ("steps", "whole", "clipped", "rounded")]
    graph.before(node, helper.make_node("Div", [value, scale], [parts[0]]))
    graph.before(node, helper.make_node("Round", [parts[0]], [parts[1]]))
    graph.before(node, helper.make_node("Clip", [parts[1], low, high], [parts[2]]))
    graph.before(node, helper.make_node("Mul", [parts[2], scale], [parts[3]]))
    node.input[0] = parts[3]


def _quantize_input(graph: Graph, readers: list[Node], name: str, unsigned: bool) -> None:
    """Let ``readers``, all nodes that read one value or the only one that is a layer, read it rounded."""
    bottom = readers[0].input[0]
    value, chain = bottom, list[Node]()
    alone = len(graph.readers(bottom)) == len(readers) and bottom not in graph.outputs
    while alone or (chain and graph.only_reader(value) is not None):
        maker = graph.producer(value)
        if maker is None or maker.op_type not in (*COMMUTING, *(["Relu"] if unsigned else [])):
            break
        chain.append(maker)
        value, alone = maker.input[0], False
    codes = [graph.tensor(f"{name}.input_scale", (), np.float32), graph.tensor(f"{name}.input_zero", (), np.uint8)]
    made = f"{name}.input_quantized"
    graph.after(value, helper.make_node("QuantizeLinear", [value, *codes], [made]))
    for reader in readers if not chain else chain[-1:]:
        graph.reroute(reader, value, made)
    for number, reader in enumerate(readers):
        done = f"{name}.input{number or ''}"
        graph.before(reader, helper.make_node("DequantizeLinear", [bottom if chain else made, *codes], [done]))
        graph.reroute(reader, bottom if chain else made, done)
    _drop_relus(graph, chain)


def _feeds_quantizer(graph: Graph, node: Node) -> bool:
    reader = graph.only_reader(node.output[0])
    return reader is not None and reader.op_type == "QuantizeLinear"


def _quantize_output(graph: Graph, node: Node, layer: Layer) -> Output:
    value = node.output[0]
    chain: list[Node] = []
    while (reader := graph.only_reader(value)) is not None and reader.op_type in ("MaxPool", "Relu"):
        if reader.output[0] in graph.outputs:
            break
        chain.append(reader)
        value = reader.output[0]
    nexts = graph.readers(value)
    swish = bool(nexts) and all(n.op_type == "HardSwish" for n in nexts)
    floor = 0.0 if any(n.op_type == "Relu" for n in chain) else HARDSWISH_ZERO if swish else -np.inf
    names = (f"{layer.name}.output_scale", f"{layer.name}.output_zero")
    codes = [graph.tensor(names[0], (), np.float32), graph.tensor(names[1], (), np.uint8)]
    start, made, done = node.output[0], f"{layer.name}.output_quantized", f"{layer.name}.output"
    readers = graph.readers(start)
    graph.after(start, helper.make_node("QuantizeLinear", [start, *codes], [made]))
    for reader in readers:
        graph.reroute(reader, start, made)
    bottom = value if chain else made
    last = graph.readers(bottom) if chain else readers
    graph.after(bottom, helper.make_node("DequantizeLinear", [bottom, *codes], [done]))
    for reader in last:
        graph.reroute(reader, bottom, done)
    _drop_relus(graph, chain)
    return Output(layer, floor)


def _quantize_weights(graph: Graph, node: Node, layer: Layer) -> None:
    name, shape, product = layer.name, graph.shape(layer.weight), layer.op == "MatMul"
    if product:  # stored as they are multiplied, without the Transpose
        graph.nodes.remove(graph.maker(node.input[1]))
    tensors = [graph.tensor(f"{name}.integers", shape[::-1] if product else shape, np.int8)]
    tensors.append(graph.tensor(f"{name}.weight_scale", shape[:1], np.float32))
    if layer.op == "Gemm":  # without a zero point of its own QGemm is not chosen
        tensors.append(graph.tensor(f"{name}.weight_zero", shape[:1], np.int8))
    axis = int(product)
    graph.before(node, helper.make_node("DequantizeLinear", tensors, [f"{name}.weights"], axis=axis))
    node.input[1] = f"{name}.weights"
    if layer.biased and not product:  # a product's bias is a node of its own, in float
        tensors = [graph.tensor(f"{name}.bias_integers", shape[:1], np.int32)]
        tensors.append(graph.tensor(f"{name}.bias_scale", shape[:1], np.float32))
        graph.before(node, helper.make_node("DequantizeLinear", tensors, [f"{name}.biases"], axis=0))
        node.input[2] = f"{name}.biases"


def _drop_relus(graph: Graph, chain: list[Node]) -> None:
    for node in chain:
        if node.op_type == "Relu":
            graph.bypass(node)
