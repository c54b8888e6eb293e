"""Matrix products with integer weights: dynamic int8 and MatMulNBits nodes from our own integers and scales.

*Dynamic*: the input is quantized to uint8 over the range that it has in that call (DynamicQuantizeLinear), multiplied
in integers (MatMulInteger) and scaled back; ONNX Runtime fuses this into DynamicQuantizeMatMul.

*n bits*: ``MatMulNBits`` of ONNX Runtime (domain com.microsoft) keeps weights of 2, 4 or 8 bits packed, with one scale
a block of each row. Its weights are exactly ours. Inputs stay in float (accuracy level 1), for which there are kernels
at 4 bits only, or are rounded to int8 block by block (level 4), which is faster and has kernels at every width; level 1
at other widths unpacks the whole matrix at each call (measured: a tenth of the float speed).

Source: the contrib operators of ONNX Runtime, https://onnxruntime.ai/docs/reference/operators/ContribOperators.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engine.artifact.fold import Layer
from engine.artifact.graph import Graph, Node
from engine.weights.values import WeightCode

DOMAIN = "com.microsoft"
WIDTHS = (2, 4, 8)
BLOCKS = (16, 32, 64, 128)  # 256 has no int8 kernel at 2 bits
FLOAT_INPUTS, INT8_INPUTS = 1, 4  # MatMulNBits' accuracy_level
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Product:
    """How one matrix product runs: ``width`` bits a weight in memory, inputs in ``float`` or ``int8``.

    ``dynamic`` is MatMulInteger on uint8 inputs, else MatMulNBits, in blocks of ``block`` weights (0: as is shortest),
    with zero points of their own where ``zeros``.
    """

    width: int = 8
    inputs: str = "int8"
    dynamic: bool = False
    block: int = 0
    zeros: bool = False


def rewrite(graph: Graph, layers: Mapping[int, Layer], chosen: Mapping[str, Product]) -> None:
    """Replace the nodes of the layers named in ``chosen``; their values come from :func:`tensors`."""
    found = [(node, layers[id(node)]) for node in graph.nodes if id(node) in layers]
    quantized: dict[str, tuple[str, str, str]] = {}
    for node, layer in found:
        product = chosen.get(layer.name)
        if product is None:
            continue
        if node.op_type == "MatMul":
            graph.nodes.remove(graph.maker(node.input[1]))  # the Transpose of weights that are stored anew
        if product.dynamic:
            _dynamic(graph, node, layer, quantized)
        else:
            _nbits(graph, node, layer, product)


def tensors(layer: Layer, product: Product, code: WeightCode, factor: NDArray[Any], bias: NDArray[Any]) -> Tensors:
    """The values for a rewritten layer; ``factor`` [out] and ``bias`` [out] of norms that were folded into it."""
    scale = _by_row(code.scale, layer.outputs) * factor[:, None]
    found: Tensors = {layer.bias or f"{layer.name}.bias": bias.astype(np.float32)} if layer.biased else {}
    if layer.tied:  # its integers are those of a table (see :mod:`tables`)
        return found
    if product.dynamic:
        found[f"{layer.name}.integers"] = np.ascontiguousarray(code.integers.T)
        found[f"{layer.name}.weight_scale"] = scale[:, 0].astype(np.float32)
        return found
    inputs, width = code.integers.shape[1], product.width
    block = product.block or block_of(inputs, width)
    found[f"{layer.name}.packed"] = pack(code.integers, width, block)
    found[f"{layer.name}.scales"] = block_scales(scale, inputs, block, code.group)
    if product.zeros and code.zero is not None:
        zeros = block_scales(_by_row(code.zero, layer.outputs), inputs, block, code.group).astype(np.int8)
        bytewise = -(-zeros.shape[1] * width // 8) * 8 // width
        found[f"{layer.name}.zeros"] = pack(zeros, width, bytewise).ravel()
    return found


def pack(integers: NDArray[np.int8], width: int, block: int) -> NDArray[np.uint8]:
    """int8 [out, in] as MatMulNBits reads it: uint8 [out, blocks, block * width / 8], the first value in the low bits.

    Values are stored with 2^(width-1) added, which is the operator's zero point where none is given; what fills the
    last block up is zero.
    """
    outputs, inputs = integers.shape
    blocks, each = -(-inputs // block), 8 // width
    zero = 1 << (width - 1)
    full = np.full((outputs, blocks * block), zero, np.uint8)
    full[:, :inputs] = (integers.astype(np.int16) + zero).astype(np.uint8)
    parts = full.reshape(outputs, blocks, -1, each)
    packed = np.zeros(parts.shape[:3], np.uint8)
    for place in range(each):
        packed |= parts[..., place] << np.uint8(width * place)
    return packed


def unpack(packed: NDArray[np.uint8], width: int, inputs: int) -> NDArray[np.int8]:
    """The inverse of :func:`pack`."""
    each, zero = 8 // width, 1 << (width - 1)
    parts = [(packed >> np.uint8(width * place)) & ((1 << width) - 1) for place in range(each)]
    flat = np.stack(parts, -1).reshape(len(packed), -1)[:, :inputs]
    return (flat.astype(np.int16) - zero).astype(np.int8)


def block_scales(scale: NDArray[Any], inputs: int, block: int, group: int = 0) -> NDArray[np.float32]:
    """One scale a block, float32 [out, blocks], from ``scale`` [out, groups]; a group holds whole blocks.

    ``group``: weights of a group, of equal groups where it is not given; the last one of a row may be shorter.
    """
    blocks = -(-inputs // block)
    groups = scale.shape[1]
    size = group or inputs / groups
    if groups > 1 and size % block:
        raise ValueError(f"groups of {size:g} weights are not made of blocks of {block}")
    repeats = blocks if groups == 1 else int(size) // block
    return np.ascontiguousarray(np.repeat(scale, repeats, axis=1)[:, :blocks], np.float32)


def block_for(code: WeightCode) -> int | None:
    """The block length for a code: the longest that its groups are made of, 0 for any, None where there is none."""
    if code.scale.ndim < 2 or code.scale.shape[1] == 1:
        return 0
    return max((block for block in BLOCKS if code.group % block == 0), default=None)


def block_of(inputs: int, width: int) -> int:
    """The block length with which a row takes the fewest bytes, padding and scales together."""
    return min(BLOCKS, key=lambda block: (-(-inputs // block) * (block * width / 8 + 4), -block))


def _nbits(graph: Graph, node: Node, layer: Layer, product: Product) -> None:
    outputs, inputs = graph.shape(layer.weight)
    bias = node.op_type == "Gemm" and layer.biased  # a MatMul's bias is a node of its own already
    block = product.block or block_of(inputs, product.width)
    blocks = -(-inputs // block)
    shape = (outputs, blocks, block * product.width // 8)
    if layer.tied:
        packed, scales = _rearranged(graph, node, layer, "packed", shape), f"{_table(layer)}.scales"
    else:
        packed = graph.tensor(f"{layer.name}.packed", shape, np.uint8)
        scales = graph.tensor(f"{layer.name}.scales", (outputs, blocks), np.float32)
    zeros = f"{layer.name}.zeros"
    if product.zeros:
        graph.tensor(zeros, (outputs * -(-blocks * product.width // 8),), np.uint8)
    names = [node.input[0], packed, scales, zeros if product.zeros else "", "", node.input[2] if bias else ""]
    while not names[-1]:
        names.pop()
    level = FLOAT_INPUTS if product.inputs == "float" else INT8_INPUTS
    made = helper.make_node(
        "MatMulNBits", names, list(node.output), domain=DOMAIN,
        K=inputs, N=outputs, bits=product.width, block_size=block, accuracy_level=level,
    )  # fmt: skip
    node.CopyFrom(made)
    graph.use(DOMAIN)


def _dynamic(graph: Graph, node: Node, layer: Layer, quantized: dict[str, tuple[str, str, str]]) -> None:
    """One DynamicQuantizeLinear a value, however many layers read it."""
    name, value = layer.name, node.input[0]
    outputs, inputs = graph.shape(layer.weight)
    if value not in quantized:
        made = (f"{name}.input_integers", f"{name}.input_scale", f"{name}.input_zero")
        graph.before(node, helper.make_node("DynamicQuantizeLinear", [value], list(made)))
        quantized[value] = made
    integers, step, zero = quantized[value]
    if layer.tied:
        weights, scale = _rearranged(graph, node, layer, "integers", None), f"{_table(layer)}.weight_scale"
    else:
        weights = graph.tensor(f"{name}.integers", (inputs, outputs), np.int8)
        scale = graph.tensor(f"{name}.weight_scale", (outputs,), np.float32)
    bias = node.input[2] if node.op_type == "Gemm" and layer.biased else None
    after, last = node.output[0], f"{name}.unbiased" if bias else node.output[0]
    node.CopyFrom(helper.make_node("MatMulInteger", [integers, weights, zero], [f"{name}.sums"]))
    chain = [
        helper.make_node("Cast", [f"{name}.sums"], [f"{name}.floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [step, scale], [f"{name}.unit"]),
        helper.make_node("Mul", [f"{name}.floats", f"{name}.unit"], [last]),
    ]
    if bias:
        chain.append(helper.make_node("Add", [last, bias], [after]))
    at = graph.nodes.index(node) + 1
    graph.nodes[at:at] = chain


def _table(layer: Layer) -> str:
    return layer.weight.removesuffix(".weight")


def _rearranged(graph: Graph, node: Node, layer: Layer, part: str, shape: tuple[int, ...] | None) -> str:
    """The numbers of a tied layer's table as its kernel reads them: of another ``shape``, or transposed.

    ONNX Runtime computes that once, at loading; the file holds them once.
    """
    source, made = f"{_table(layer)}.{part}", f"{layer.name}.{part}"
    if shape is None:
        graph.before(node, helper.make_node("Transpose", [source], [made], perm=[1, 0]))
        return made
    graph.before(node, helper.make_node("Constant", [], [f"{made}_shape"], value_ints=list(shape)))
    graph.before(node, helper.make_node("Reshape", [source, f"{made}_shape"], [made]))
    return made


def _by_row(scale: NDArray[Any], outputs: int) -> NDArray[Any]:
    """(), [out] or [out, groups] as [out, groups]."""
    rows = scale.reshape(-1, scale.shape[1] if scale.ndim > 1 else 1)
    return np.broadcast_to(rows, (outputs, rows.shape[1]))
