"""Tables of embeddings in few bits: a row is looked up as integers, and only what was looked up becomes floats.

*int8* (5 to 8 bits): Gather of a table of int8 and of one scale a row, then their product: ONNX's own operators.
*Nibbles* (up to 4 bits): ``GatherBlockQuantized`` of ONNX Runtime on a table with two numbers a byte.

A table that is also the weights of a linear layer (tied: Press & Wolf 2017, arXiv:1608.05859) is stored once: the layer
multiplies by the same integers, in MatMulInteger or MatMulNBits. Where no kernel multiplies by them both stay in float.

Source: the contrib operators of ONNX Runtime, https://onnxruntime.ai/docs/reference/operators/ContribOperators.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engine.artifact import matmul
from engine.artifact.fold import Layer
from engine.artifact.graph import Graph, Node, attribute
from engine.weights.values import Code, WeightCode

INT8, NIBBLES = 8, 4  # bits of a number in the file
Ways = Mapping[str, int]


@dataclass(frozen=True)
class Table:
    """A table of ``rows`` embeddings of ``width`` numbers; ``tied``: the layers whose weights it is, too.

    ``cut``: the first rows are taken as they are, as positions often are; such a table stays in float.
    """

    rows: int
    width: int
    tied: tuple[str, ...] = ()
    cut: bool = False

    @property
    def block(self) -> int:
        """Numbers that share a scale in a table of nibbles: whole rows where that is possible."""
        fitting = [block for block in matmul.BLOCKS if self.width % block == 0]
        return fitting[-1] if fitting else max(matmul.BLOCKS[0], 1 << (self.width - 1).bit_length())

    @property
    def blocks(self) -> int:
        """Blocks of a row."""
        return -(-self.width // self.block)


def tables_of(graph: Graph, layers: Mapping[int, Layer]) -> dict[str, Table]:
    """The tables by name: float tensors that nothing but Gather (or Slice) nodes and layers tied to them read."""
    found = {}
    for weight in dict.fromkeys(node.input[0] for node in graph.nodes if _looks_up(node) or node.op_type == "Slice"):
        tied = [layer.name for layer in layers.values() if layer.weight == weight]
        cut = any(node.op_type == "Slice" for node in graph.readers(weight))
        others = [node for node in graph.readers(weight) if not _looks_up(node) and node.op_type != "Slice"]
        tensor = graph.initializers.get(weight)
        floats = tensor is not None and tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2
        if floats and weight.endswith("weight") and len(others) == len(tied):
            rows, width = graph.shape(weight)
            found[name_of(weight)] = Table(rows, width, tuple(tied), cut)
    return found


def with_products(tables: Mapping[str, Table], codes: Mapping[str, Code]) -> dict[str, Code]:
    """``codes`` in which layers that are tied to a table and name no code of their own have the table's."""
    return {layer: codes[name] for name, table in tables.items() if name in codes for layer in table.tied} | dict(codes)


def choose(tables: Mapping[str, Table], codes: Mapping[str, Code], products: Mapping[str, matmul.Product]) -> Ways:
    """How each coded table is stored (INT8 or NIBBLES); those that stay in float are absent."""
    found = {name: _way(codes[name]) for name, table in tables.items() if name in codes and not table.cut}
    return {n: way for n, way in found.items() if way and all(_shared(tables[n], way, products.get(layer))
                                                              for layer in tables[n].tied)}  # fmt: skip


def rewrite(graph: Graph, tables: Mapping[str, Table], ways: Ways) -> None:
    """Replace the lookups in the tables named in ``ways``; their values come from :func:`tensors`.

    Comes before :func:`matmul.rewrite`, which finds the integers of tied layers here.
    """
    for name, way in ways.items():
        lookups = [node for node in graph.nodes if _looks_up(node) and name_of(node.input[0]) == name]
        make = _int8 if way == INT8 else _nibbles
        for number, node in enumerate(lookups):
            make(graph, node, name, tables[name], number)


def tensors(name: str, table: Table, way: int, code: Code) -> dict[str, NDArray[Any]]:
    """The values for a rewritten table."""
    if not isinstance(code, WeightCode):
        raise TypeError(f"{name}: a table of codes is not stored in integers")
    scale = np.broadcast_to(code.scale, (table.rows,)).astype(np.float32)
    if way == INT8:
        return {f"{name}.integers": code.integers, f"{name}.weight_scale": scale}
    packed = matmul.pack(code.integers, NIBBLES, table.block).reshape(table.rows, -1)[:, : -(-table.width // 2)]
    return {f"{name}.packed": packed, f"{name}.scales": np.repeat(scale[:, None], table.blocks, axis=1)}


def name_of(weight: str) -> str:
    """The layer's name from its weight's."""
    return weight.removesuffix("weight").rstrip(".")


def _looks_up(node: Node) -> bool:
    return node.op_type == "Gather" and attribute(node, "axis", 0) == 0


def _way(code: Code) -> int | None:
    if not code.simple:
        return None
    return NIBBLES if code.bits <= NIBBLES else INT8


def _shared(table: Table, way: int, product: matmul.Product | None) -> bool:
    """Whether a tied layer's kernel multiplies by the table as it is stored."""
    if product is None:
        return False
    if way == INT8:
        return product.dynamic
    return not product.dynamic and product.width == NIBBLES and table.width % table.block == 0


def _int8(graph: Graph, node: Node, name: str, table: Table, number: int) -> None:
    """Integers and scales of the rows that are looked up, multiplied."""
    integers, scale = f"{name}.integers", f"{name}.weight_scale"
    if not number:
        graph.tensor(integers, (table.rows, table.width), np.int8)
        graph.tensor(scale, (table.rows,), np.float32)
    parts = [f"{name}.{part}{number}" for part in ("found", "floats", "unit", "axis", "column")]
    found, floats, unit, axis, column = parts
    for made in (
        helper.make_node("Gather", [integers, node.input[1]], [found]),
        helper.make_node("Cast", [found], [floats], to=TensorProto.FLOAT),
        helper.make_node("Gather", [scale, node.input[1]], [unit]),
        helper.make_node("Constant", [], [axis], value_ints=[-1]),
        helper.make_node("Unsqueeze", [unit, axis], [column]),
    ):
        graph.before(node, made)
    node.CopyFrom(helper.make_node("Mul", [floats, column], list(node.output)))


def _nibbles(graph: Graph, node: Node, name: str, table: Table, number: int) -> None:
    if not number:
        graph.tensor(f"{name}.packed", (table.rows, -(-table.width // 2)), np.uint8)
        graph.tensor(f"{name}.scales", (table.rows, table.blocks), np.float32)
        graph.use(matmul.DOMAIN)
    made = helper.make_node(
        "GatherBlockQuantized", [f"{name}.packed", node.input[1], f"{name}.scales"], list(node.output),
        domain=matmul.DOMAIN, bits=NIBBLES, block_size=table.block, gather_axis=0, quantize_axis=1,
    )  # fmt: skip
    node.CopyFrom(made)
