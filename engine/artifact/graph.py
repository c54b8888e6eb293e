"""A graph that can be rewired: the nodes of an ONNX model with who makes and who reads each value."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import DTypeLike
from onnx import helper, numpy_helper

Node = onnx.NodeProto


class Graph:
    """Nodes in order, initializers by name. ``finish`` gives the ONNX model back."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.nodes: list[Node] = list(model.graph.node)
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        self.outputs = {value.name for value in model.graph.output}

    def producer(self, value: str) -> Node | None:
        """The node that makes ``value``; None for inputs and initializers."""
        return next((node for node in self.nodes if value in node.output), None)

    def maker(self, value: str) -> Node:
        """:meth:`producer` of a value that a node makes; raises ValueError for another."""
        found = self.producer(value)
        if found is None:
            raise ValueError(f"no node makes {value}")
        return found

    def readers(self, value: str) -> list[Node]:
        """The nodes that read ``value``, once for each."""
        return [node for node in self.nodes if value in node.input]

    def only_reader(self, value: str) -> Node | None:
        """The one node that reads ``value``, or None when there are more or it is an output of the graph."""
        readers = self.readers(value)
        return readers[0] if len(readers) == 1 and value not in self.outputs else None

    def bypass(self, node: Node) -> None:
        """Remove a node with one input that matters: what it made is now made by the node before it."""
        before, after = node.input[0], node.output[0]
        self.nodes.remove(node)
        if after in self.outputs:
            maker = self.producer(before)
            if maker is None:
                raise ValueError(f"{node.op_type} cannot be removed: it joins the graph's input and output")
            self._rename(before, after)
            maker.output[list(maker.output).index(before)] = after
        else:
            self._rename(after, before)

    def after(self, value: str, node: Node) -> None:
        """Insert ``node`` behind the maker of ``value``, or at the start."""
        maker = self.producer(value)
        at = self.nodes.index(maker) + 1 if maker is not None else 0
        self.nodes.insert(at, node)

    def before(self, reader: Node, node: Node) -> None:
        """Insert ``node`` in front of ``reader``."""
        self.nodes.insert(self.nodes.index(reader), node)

    def reroute(self, reader: Node, old: str, new: str) -> None:
        """Let ``reader`` read ``new`` where it read ``old``."""
        for i, name in enumerate(reader.input):
            if name == old:
                reader.input[i] = new

    def tensor(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> str:
        """Add an initializer of zeros, whose values come later; returns its name."""
        self.initializers[name] = numpy_helper.from_array(np.zeros(shape, dtype), name)
        return name

    def use(self, domain: str) -> None:
        """Declare operators of ``domain`` besides ONNX's own."""
        if all(known.domain != domain for known in self.model.opset_import):
            self.model.opset_import.append(helper.make_opsetid(domain, 1))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an initializer."""
        return tuple(self.initializers[name].dims)

    def finish(self) -> onnx.ModelProto:
        """A new ONNX model with short names for inner values; initializers that nothing reads are gone."""
        inner: dict[str, str] = {}
        outer = {value.name for value in (*self.model.graph.input, *self.model.graph.output)} | set(self.initializers)
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    if name and name not in outer:
                        names[i] = inner.setdefault(name, f"v{len(inner)}")
        read = {name for node in self.nodes for name in node.input}
        done = onnx.ModelProto()
        done.CopyFrom(self.model)
        for rows in (done.graph.node, done.graph.initializer):
            del rows[:]
        done.graph.node.extend(self.nodes)
        done.graph.initializer.extend(t for name, t in self.initializers.items() if name in read)
        return done

    def _rename(self, old: str, new: str) -> None:
        for node in self.nodes:
            self.reroute(node, old, new)


def attribute(node: Node, name: str, default: Any) -> Any:
    """An attribute's value."""
    found = next((a for a in node.attribute if a.name == name), None)
    return default if found is None else helper.get_attribute_value(found)
