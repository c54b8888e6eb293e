"""The same weights in every runtime that can run them: what a person may compare with what the recipe ships."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from engine.artifact import kernels
from engine.artifact.export import plain, values
from engine.artifact.template import Built, Template
from engine.weights import inputs
from engine.weights.code import bake, input_codes, weight_codes
from engine.weights.values import Code

Batches = Iterable[tuple[Tensor, Tensor]]
NAMES = {
    "float": kernels.FLOAT,
    "qdq_int8": kernels.STATIC,
    "dynamic_int8": kernels.DYNAMIC,
    "matmul_nbits": kernels.NBITS,
    "matmul_nbits_int8": kernels.NBITS_INT8,
}
SHIPPED = "shipped"


def variants(
    model: nn.Module, example: Tensor, calibration: Batches | None = None, template: Template | None = None
) -> dict[str, Built]:
    """``model`` (with its constraints and quantizers) by the names of ``NAMES``, each only where it applies.

    ``float`` always; ``qdq_int8`` where a quantized layer's inputs have ranges, or can get them from ``calibration``
    batches (inputs, labels); ``dynamic_int8`` and ``matmul_nbits`` where a matrix product is quantized, and
    ``matmul_nbits_int8`` where that has at most 4 bits. The integers and scales are the model's own in each; whether
    the number format of every layer is executed is ``Built.simulated``. Graphs that turn out equal are told once.
    """
    ordinary = plain(bake(model)).eval()
    template = template or Template(ordinary, example)
    tensors, codes, ranges = values(ordinary), weight_codes(model), input_codes(model)
    if codes and not ranges and calibration is not None:
        ranges = input_codes(_calibrated(model, codes, calibration))
    found: dict[str, Built] = {}
    for name, runtime in NAMES.items():
        if runtime == kernels.FLOAT or _applies(runtime, template, codes, bool(ranges)):
            built = template.build(tensors, codes, ranges if runtime == kernels.STATIC else input_codes(model), runtime)
            if all(built.onnx != other.onnx for other in found.values()):
                found[name] = built
    return found


def name_of(built: Built, found: Mapping[str, Built]) -> str:
    """The variant that ``built`` is; ``shipped`` where a mixture is none of them."""
    return next((name for name, other in found.items() if other.onnx == built.onnx), SHIPPED)


def _applies(runtime: str, template: Template, codes: Mapping[str, Code], ranges: bool) -> bool:
    if runtime == kernels.STATIC:
        return ranges and bool(codes.keys() & template.kinds.keys())
    bits = [code.bits for name, code in codes.items() if template.kinds.get(name, "Conv") != "Conv"]
    return bool(bits) and (runtime != kernels.NBITS_INT8 or min(bits) <= kernels.NARROW)


def _calibrated(model: nn.Module, codes: Mapping[str, Code], batches: Batches) -> nn.Module:
    """A copy whose quantized layers round their inputs too, over the ranges that ``batches`` show."""
    twin = copy.deepcopy(model)
    for name in (name for name, code in codes.items() if code.simple):
        inputs.attach(twin.get_submodule(name))
    inputs.calibrate(twin, batches)
    return twin
