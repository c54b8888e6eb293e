"""The first convolution on pixels, rewritten for integer kernels: a large kernel of stride 2 over few channels.

ONNX Runtime gathers the pixels under such a kernel three bytes at a time, which takes longer than the products: in an
int8 ResNet-18 of half the width at 224 x 224 the first layer is a quarter of all time. Where an image is kept channels
last, four neighbouring pixels are one pixel of 4 C channels without moving a byte, and two neighbouring outputs are one
output of twice the channels: with stride 2, group p of the outputs reads groups p - 1, p and p + 1 of the pixels. The
same products are computed (and some with zeros), in longer runs and without gathering: answers are the same to the bit.

Integers and scales stay stored as they are; a few nodes that ONNX Runtime computes once, at loading, rearrange them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from engine.artifact.fold import Layer
from engine.artifact.graph import Graph, Node, attribute

CHANNELS, SMALLEST, STRIDE = 4, 5, 2  # at most so many channels; kernels from this width on, with this stride
PIXELS, GROUPS = 4, 3  # pixels of a group; groups that two outputs read
FIRST, LAST = (0, 2, 3, 1), (0, 3, 1, 2)  # channels last, and back


@dataclass(frozen=True)
class Stem:
    """A convolution that reads the rounded input of the graph, from ``width`` columns; ``left``: its padding there."""

    node: Node
    layer: Layer
    channels: int
    outputs: int
    kernel: tuple[int, int]
    width: int
    left: int


def group_pixels(graph: Graph, layers: Mapping[int, Layer]) -> None:
    """Rewrite every convolution in integers that is such a stem."""
    for node in list(graph.nodes):
        stem = _stem(graph, node, layers.get(id(node)))
        if stem is not None:
            _weights(graph, stem)
            _attributes(stem)
            _around(graph, stem)


def _stem(graph: Graph, node: Node, layer: Layer | None) -> Stem | None:
    """The convolution as a stem, None where it is none."""
    if layer is None or node.op_type != "Conv" or not str(node.input[1]).endswith(".weights"):
        return None
    quantizer = graph.producer(graph.maker(node.input[0]).input[0])
    reader = graph.only_reader(node.output[0])
    if quantizer is None or reader is None or reader.op_type != "QuantizeLinear":
        return None
    size = _size(graph, quantizer.input[0])
    outputs, channels, high, wide = graph.shape(layer.weight)
    if size is None or size[0] != channels or channels > CHANNELS or wide < SMALLEST or size[2] % PIXELS:
        return None
    plain = attribute(node, "group", 1) == 1 and set(attribute(node, "dilations", [1, 1])) == {1}
    _, left, _, right = attribute(node, "pads", [0, 0, 0, 0])
    if (
        not plain
        or attribute(node, "strides", [1, 1])[1] != STRIDE
        or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET"
    ):
        return None
    ends = (size[2] + left + right - wide) // STRIDE + 1
    reached = STRIDE + wide - 1 - left  # the last pixel that the second output reads, counted from the group's first
    if ends != size[2] // STRIDE or left > PIXELS or reached >= 2 * PIXELS:
        return None
    return Stem(node, layer, channels, outputs, (high, wide), size[2], left)


def _size(graph: Graph, value: str) -> tuple[int, ...] | None:
    """Channels, height and width of an input of the graph, where all are fixed."""
    for given in graph.model.graph.input:
        dims = given.type.tensor_type.shape.dim
        if given.name == value and len(dims) == 4 and all(d.dim_value > 0 for d in dims[1:]):
            return tuple(int(d.dim_value) for d in dims[1:])
    return None


def _weights(graph: Graph, stem: Stem) -> None:
    """[O, C, h, w] as [2 O, 4 C, h, 3]: the kernel of either output among the pixels of three groups."""
    name, (high, wide) = stem.layer.name, stem.kernel
    scaled = graph.maker(stem.node.input[1])
    made = []
    for which in range(STRIDE):
        before = PIXELS - stem.left + STRIDE * which
        pads = _constant(
            graph, scaled, f"{name}.pads{which}", [0, 0, 0, before, 0, 0, 0, PIXELS * GROUPS - wide - before]
        )
        made.append(_node(graph, scaled, "Pad", [scaled.input[0], pads], f"{name}.shifted{which}"))
    both = _node(graph, scaled, "Concat", made, f"{name}.both", axis=0)
    count, channels = STRIDE * stem.outputs, stem.channels
    apart = _constant(graph, scaled, f"{name}.apart", [count, channels, high, GROUPS, PIXELS])
    split = _node(graph, scaled, "Reshape", [both, apart], f"{name}.split")
    moved = _node(graph, scaled, "Transpose", [split], f"{name}.moved", perm=[0, 4, 1, 2, 3])
    joined = _constant(graph, scaled, f"{name}.joined", [count, PIXELS * channels, high, GROUPS])
    scaled.input[0] = _node(graph, scaled, "Reshape", [moved, joined], f"{name}.grouped")
    for reader in (scaled, graph.producer(stem.node.input[2]) if stem.layer.biased else None):
        if reader is not None:
            for place in range(0 if reader is not scaled else 1, len(reader.input)):
                twice = f"{reader.input[place]}.twice"
                reader.input[place] = _node(graph, reader, "Concat", [reader.input[place]] * 2, twice, axis=0)


def _attributes(stem: Stem) -> None:
    node = stem.node
    top, _, bottom, _ = attribute(node, "pads", [0, 0, 0, 0])
    down = attribute(node, "strides", [1, 1])[0]
    kept = [a for a in node.attribute if a.name not in ("kernel_shape", "strides", "pads", "auto_pad")]
    del node.attribute[:]
    wanted: dict[str, Any] = {
        "kernel_shape": [stem.kernel[0], GROUPS],
        "strides": [down, 1],
        "pads": [top, 1, bottom, 1],
    }
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in wanted.items())])


def _around(graph: Graph, stem: Stem) -> None:
    """Group the rounded pixels before it, and take its rounded outputs apart again."""
    name, node, width = stem.layer.name, stem.node, stem.width
    scaled = graph.maker(node.input[0])
    scaled.input[0] = _regrouped(
        graph, scaled, scaled.input[0], f"{name}.pixels", width // PIXELS, PIXELS * stem.channels
    )
    rounded = graph.readers(node.output[0])[0]
    value = rounded.output[0]
    readers = graph.readers(value)
    made = _regrouped(graph, readers[0], value, f"{name}.outputs", width // STRIDE, stem.outputs)
    for reader in readers:
        graph.reroute(reader, value, made)


def _regrouped(graph: Graph, reader: Node, value: str, name: str, width: int, channels: int) -> str:
    """The value [batch, channels, height, width] with another share of columns and channels."""
    last = _node(graph, reader, "Transpose", [value], f"{name}.last", perm=FIRST)
    shape = _constant(graph, reader, f"{name}.shape", [0, 0, width, channels])
    same = _node(graph, reader, "Reshape", [last, shape], f"{name}.same")
    return _node(graph, reader, "Transpose", [same], f"{name}.regrouped", perm=LAST)


def _node(graph: Graph, reader: Node, operator: str, values: Sequence[str], made: str, **attributes: Any) -> str:
    graph.before(reader, helper.make_node(operator, list(values), [made], **attributes))
    return made


def _constant(graph: Graph, reader: Node, name: str, numbers: Sequence[int]) -> str:
    """Whole numbers that belong to the graph, not to the model: a node, no tensor to be packed."""
    value = numpy_helper.from_array(np.array(numbers, np.int64))
    graph.before(reader, helper.make_node("Constant", [], [name], value=value))
    return name
