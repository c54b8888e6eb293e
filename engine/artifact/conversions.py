"""Conversions of numbers that stay operations of their own when ONNX Runtime has merged what it can."""

from __future__ import annotations

from engine.artifact.graph import Graph, Node

KERNELS = ("Conv", "Gemm", "MatMul")


def conversions(graph: Graph) -> int:
    """Quantize and Dequantize nodes that no integer kernel takes up: at the ends and around float operations."""
    integer = {id(node) for node in graph.nodes if _in_integers(graph, node)}
    count = 0
    for node in graph.nodes:
        if node.op_type == "QuantizeLinear":
            maker = graph.producer(node.input[0])
            count += maker is None or id(maker) not in integer
        elif node.op_type == "DynamicQuantizeLinear":
            count += len(graph.readers(node.output[0])) > 1  # one that is read once becomes part of the product
        elif node.op_type == "DequantizeLinear" and node.input[0] not in graph.initializers:
            count += any(id(reader) not in integer for reader in graph.readers(node.output[0]))
    return count


def _in_integers(graph: Graph, node: Node) -> bool:
    """Layers with integer weights, and sums of rounded values that are rounded again."""
    if node.op_type in KERNELS:
        return str(node.input[1]).endswith(".weights")
    makers = [graph.producer(name) for name in node.input] if node.op_type == "Add" else []
    reader = graph.only_reader(node.output[0]) if makers else None
    rounded = all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)
    return reader is not None and reader.op_type == "QuantizeLinear" and rounded
