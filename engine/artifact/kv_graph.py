"""A language model's second graph, for one token at a time: keys and values of the text so far go in and come out.

Inputs ``input`` [batch, tokens] int64 and ``past.i`` [batch, heads, past, width], keys and values of each layer in
turn; outputs ``logits`` [batch, tokens, V] and ``present.i``, the same with the new tokens. ``past`` may be 0, so that
one graph reads the prompt and continues it. Weights, kernels and number formats are those of the model's usual
artifact: both graphs are filled by the same code from the same codes.
"""

from __future__ import annotations

import io
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from engine.artifact import export
from engine.artifact.kernels import AUTO
from engine.artifact.template import Built, Template
from engine.weights.code import bake, input_codes, weight_codes

PAST, PRESENT = "past", "present"
TRACED_PAST, TRACED_TOKENS = 3, 2  # any lengths: both axes are free in the graph


def build(model: nn.Module, runtime: str = AUTO) -> Built:
    """The graph of a language model that has ``with_past`` and ``no_past`` (see ``sample_models/_gpt_blocks.py``)."""
    ordinary = bake(model).eval()
    template = Template.__new__(Template)
    template._open(structure(ordinary).SerializeToString())
    return template.build(export.values(ordinary), weight_codes(model), input_codes(model), runtime)


def structure(model: nn.Module) -> onnx.ModelProto:
    """The graph with zeros for values, as :func:`engine.artifact.export.structure` makes the usual one."""
    twin: Any = export._all_different(export.plain(model).eval().cpu())
    twin.forward = twin.with_past
    ids = torch.ones(2, TRACED_TOKENS, dtype=torch.int64)
    return export.emptied(_traced(twin, (ids, *twin.no_past(2, TRACED_PAST))), twin)


def _traced(model: nn.Module, given: tuple[Tensor, ...]) -> onnx.ModelProto:
    file: Any = io.BytesIO()
    past, present = ([f"{name}.{i}" for i in range(len(given) - 1)] for name in (PAST, PRESENT))
    axes: dict[str, dict[int, str]] = {name: {0: "batch", 1: "tokens"} for name in (export.INPUT, export.OUTPUT)}
    axes |= {name: {0: "batch", 2: "past"} for name in past} | {name: {0: "batch", 2: "all"} for name in present}
    with export._quiet():
        torch.onnx.export(
            model, given, file, dynamo=False, opset_version=export.OPSET, input_names=[export.INPUT, *past],
            output_names=[export.OUTPUT, *present], dynamic_axes=axes, do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    return onnx.load_from_string(file.getvalue())
