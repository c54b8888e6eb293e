"""From a PyTorch model to an ONNX graph whose initializers carry the names of the model's parameters and buffers.

The graph is traced on a copy whose tensors all differ: equal tensors would be merged into one initializer and could not
be patched apart later. Constants are not folded for the same reason. The real values are then written by name.
"""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

OPSET = 17
INPUT, OUTPUT = "input", "logits"


def named_graph(model: nn.Module, example: Tensor, dynamo: bool = False) -> onnx.ModelProto:
    """The graph of a plain ``model`` (see ``weights.code.bake``), unfolded, its batch axis free.

    ``example`` is any input batch, two examples or more. ``dynamo`` chooses PyTorch's newer exporter: ten times
    slower, here for the day when the older one goes.
    """
    graph = structure(model, example, dynamo)
    write_values(graph, values(model))
    return graph


def structure(model: nn.Module, example: Tensor, dynamo: bool = False) -> onnx.ModelProto:
    """:func:`named_graph` with zeros for values: the same bytes for every model of one structure."""
    twin = _all_different(plain(model).eval().cpu())
    return emptied(_dynamo(twin, example) if dynamo else _traced(twin, example), twin)


def emptied(graph: onnx.ModelProto, twin: nn.Module) -> onnx.ModelProto:
    """``graph``, in place, with zeros for the tensors of ``twin``, which it was exported from, and without remarks."""
    graph.producer_name, graph.producer_version, graph.doc_string = "stillhouse", "", ""
    del graph.graph.value_info[:]
    graph.graph.name = "student"
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    names = {name for name, _ in _tensors(twin)}
    write_values(graph, {t.name: _zeros(t) for t in graph.graph.initializer if t.name in names})
    return graph


def plain(model: nn.Module) -> nn.Module:
    """A copy in which every module that knows a ``plain()`` form (PositiveBatchNorm2d) is replaced by it."""
    model = copy.deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            setattr(parent, name, _simple(child))
    return model


def _simple(module: nn.Module) -> nn.Module:
    make: Any = getattr(module, "plain", None)
    return make() if callable(make) else module


def values(model: nn.Module) -> dict[str, NDArray[Any]]:
    """Parameters and buffers by name as a graph needs them: float32 arrays, modules in their ``plain()`` form."""
    found: dict[str, NDArray[Any]] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        simple = _simple(module)
        for name, tensor in _tensors(simple, recurse=False):
            found[f"{prefix}.{name}" if prefix else name] = tensor.detach().cpu().numpy()
    return found


def write_values(graph: onnx.ModelProto, arrays: Mapping[str, Any]) -> None:
    """Replace the values of the initializers named in ``arrays``; their shapes must agree."""
    for tensor in graph.graph.initializer:
        if tensor.name in arrays:
            array = np.ascontiguousarray(arrays[tensor.name])
            if tuple(tensor.dims) != array.shape:
                raise ValueError(f"{tensor.name}: the graph has shape {tuple(tensor.dims)}, the model {array.shape}")
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _traced(model: nn.Module, example: Tensor) -> onnx.ModelProto:
    file: Any = io.BytesIO()  # the exporter's annotation forgets that it takes a stream
    axes = {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}
    with _quiet():
        torch.onnx.export(
            model, (example,), file, dynamo=False, opset_version=OPSET, input_names=[INPUT], output_names=[OUTPUT],
            dynamic_axes=axes, do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


def _dynamo(model: nn.Module, example: Tensor) -> onnx.ModelProto:
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    with _quiet():
        program = torch.onnx.export(
            model, (example,), dynamo=True, opset_version=18, input_names=[INPUT], output_names=[OUTPUT],
            dynamic_shapes=shapes, optimize=False, verbose=False,
        )  # fmt: skip
    if program is None:
        raise RuntimeError("PyTorch exported nothing")
    return program.model_proto


def _all_different(model: nn.Module) -> nn.Module:
    # all positive, so that variances stay valid
    generator = torch.Generator().manual_seed(0)
    for _, tensor in _tensors(model):
        tensor.data = torch.rand(tensor.shape, generator=generator) + 0.5
    return model


def _tensors(model: nn.Module, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
    for source in (model.named_parameters(recurse=recurse), model.named_buffers(recurse=recurse)):
        for name, tensor in source:
            if tensor.is_floating_point():
                yield name, tensor


def _zeros(tensor: onnx.TensorProto) -> NDArray[Any]:
    return np.zeros(tuple(tensor.dims), onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' advertisements, which are for their developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
