"""BatchNormalization folded into the convolution or linear layer before it, in the graph and in numpy.

For y = gamma * (w x + b - mean) / sqrt(variance + eps) + beta the layer gets the weights w * f and the bias
(b - mean) * f + beta with f = gamma / sqrt(variance + eps) (Jacob et al. 2018, arXiv:1712.05877, section 3.2). A max
pool in between commutes with f only where f is not negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.artifact.graph import Graph, Node, attribute

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Norm:
    """One BatchNormalization: the names of its tensors."""

    gamma: str
    beta: str
    mean: str
    variance: str
    eps: float


@dataclass(frozen=True)
class Layer:
    """One Conv, Gemm or MatMul with weights of its own [out, ...]; ``bias`` names the model's own bias, if any.

    A MatMul reads its weights through a Transpose, and its bias is added by a node of its own. ``tied``: its weights
    are a table of embeddings, too, after which they are named.
    """

    name: str
    op: str
    weight: str
    bias: str | None
    outputs: int
    norms: tuple[Norm, ...] = ()
    tied: bool = False

    @property
    def biased(self) -> bool:
        """Whether the folded layer has a bias."""
        return self.bias is not None or bool(self.norms)

    def factor(self, values: Arrays) -> NDArray[np.float64]:
        """gamma / sqrt(variance + eps) of all norms together [out]."""
        product = np.ones(self.outputs)
        for norm in self.norms:
            product = product * _factor(norm, values)
        return product

    def shift(self, values: Arrays) -> NDArray[np.float64]:
        """The folded bias [out]."""
        bias = np.zeros(self.outputs) if self.bias is None else values[self.bias].astype(np.float64)
        for norm in self.norms:
            bias = (bias - values[norm.mean]) * _factor(norm, values) + values[norm.beta]
        return bias


def layers_of(graph: Graph) -> dict[int, Layer]:
    """Conv, Gemm and MatMul nodes whose weights are theirs alone, by the id of the node."""
    found = {}
    for node in graph.nodes:
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            continue
        weight, bias = _product(graph, node) if node.op_type == "MatMul" else _own(node)
        if not weight.endswith("weight") or not _ordinary(node):
            continue
        tied = node.op_type == "MatMul" and _is_table(graph, weight)
        owned = all(n in graph.initializers and len(graph.readers(n)) == 1 for n in (weight, bias) if n)
        if tied or owned:
            table = weight[: -len("weight")].rstrip(".")
            name = (_module(node) or f"{table}.product") if tied else table
            found[id(node)] = Layer(name, node.op_type, weight, bias, graph.shape(weight)[0], tied=tied)
    return found


def _module(node: Node) -> str:
    """The module that was traced: "head" of "/head/MatMul"; "" where a function of the whole model multiplies."""
    return node.name.rpartition("/")[0].strip("/").replace("/", ".")


def _is_table(graph: Graph, weight: str) -> bool:
    """Whether embeddings are looked up in the weights of a layer."""
    others = [node for node in graph.readers(weight) if node.op_type != "Transpose"]
    lookups = all(node.op_type == "Gather" and node.input[0] == weight for node in others)
    return bool(others) and lookups and len(graph.readers(weight)) == len(others) + 1


def _own(node: Node) -> tuple[str, str | None]:
    return node.input[1], node.input[2] if len(node.input) > 2 else None


def _product(graph: Graph, node: Node) -> tuple[str, str | None]:
    """Weight and bias of a linear layer written as Transpose, MatMul, Add; "" where it is another MatMul."""
    turned, reader = graph.producer(node.input[1]), graph.only_reader(node.output[0])
    usual = turned is not None and turned.op_type == "Transpose" and graph.only_reader(node.input[1]) is not None
    if turned is None or not usual or turned.input[0] not in graph.initializers:
        return "", None
    added = [n for n in reader.input if n in graph.initializers] if reader and reader.op_type == "Add" else []
    fits = len(added) == 1 and graph.shape(added[0]) == graph.shape(turned.input[0])[:1]
    return turned.input[0], added[0] if fits and len(graph.readers(added[0])) == 1 else None


def fold(graph: Graph, positive: Callable[[str], bool]) -> dict[int, Layer]:
    """Remove every BatchNormalization that can be folded; ``positive(gamma)`` says whether a scale is nowhere negative.

    Returns the layers by the id of their node, with the norms that their weights have to take up.
    """
    layers = layers_of(graph)
    for node in list(graph.nodes):
        if id(node) not in layers:
            continue
        while (norm := _next_norm(graph, node, positive)) is not None:
            layer = layers[id(node)]
            layers[id(node)] = replace(layer, norms=(*layer.norms, _norm(norm)))
            graph.bypass(norm)
        layer = layers[id(node)]
        if layer.biased and layer.bias is None:
            node.input.append(graph.tensor(f"{layer.name}.bias", (layer.outputs,), np.float32))
    return layers


def pooled_gammas(graph: Graph) -> tuple[str, ...]:
    """The scales of norms behind a max pool: whether they can be folded depends on their values."""
    found = []
    for node in graph.nodes:
        if node.op_type == "BatchNormalization":
            maker = graph.producer(node.input[0])
            if maker is not None and maker.op_type == "MaxPool":
                found.append(node.input[1])
    return tuple(found)


def _next_norm(graph: Graph, node: Node, positive: Callable[[str], bool]) -> Node | None:
    reader, pooled = graph.only_reader(node.output[0]), False
    while reader is not None and reader.op_type == "MaxPool":
        reader, pooled = graph.only_reader(reader.output[0]), True
    if reader is None or reader.op_type != "BatchNormalization":
        return None
    if not all(name in graph.initializers for name in reader.input[1:]):
        return None
    return reader if not pooled or positive(reader.input[1]) else None


def _norm(node: Node) -> Norm:
    gamma, beta, mean, variance = node.input[1:5]
    return Norm(gamma, beta, mean, variance, float(attribute(node, "epsilon", 1e-5)))


def _ordinary(node: Node) -> bool:
    """Gemm as nn.Linear writes it: x W^T + b."""
    if node.op_type != "Gemm":
        return True
    usual = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    return all(attribute(node, k, v) == v for k, v in usual.items()) and attribute(node, "transB", 0) == 1


def _factor(norm: Norm, values: Arrays) -> NDArray[np.float64]:
    variance = values[norm.variance].astype(np.float64)
    return np.asarray(values[norm.gamma] / np.sqrt(variance + norm.eps), np.float64)
