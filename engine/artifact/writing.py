"""From a trained model to its artifact: ``model.onnx``, which ONNX Runtime runs, and ``model.packed``, its size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from engine.artifact.export import plain, values
from engine.artifact.kernels import AUTO
from engine.artifact.template import Built, Template
from engine.files import atomic_write
from engine.weights.code import bake, input_codes, weight_codes

ONNX_NAME, PACKED_NAME = "model.onnx", "model.packed"


@dataclass(frozen=True)
class Artifact:
    """The files of one model and what is known about its graph (see :class:`template.Built`)."""

    onnx: Path
    packed: Path
    graph_key: str
    simulated: bool
    bits: int | None
    conversions: int


def write(model: nn.Module, example: Tensor, folder: Path, template: Template | None = None) -> Artifact:
    """Export ``model`` (with its constraints and quantizers) into ``folder``, replacing what is there.

    ``example``: an input batch of two or more. ``template``: one made from a model of this structure before.
    """
    return save(build(model, example, template), folder)


def build(
    model: nn.Module, example: Tensor, template: Template | None = None, runtime: str = AUTO,
    baked: nn.Module | None = None,
) -> Built:  # fmt: skip
    """The model as ONNX bytes, not written anywhere; ``runtime``: see :mod:`engine.artifact.kernels`.

    ``baked``: ``bake(model)`` where somebody has made it already.
    """
    ordinary = (baked or bake(model)).eval()
    template = template or Template(plain(ordinary), example)
    return template.build(values(ordinary), weight_codes(model), input_codes(model), runtime)


def save(built: Built, folder: Path) -> Artifact:
    """Write both files; each appears whole or not at all."""
    onnx, packed = folder / ONNX_NAME, folder / PACKED_NAME
    atomic_write(packed, built.packed())
    atomic_write(onnx, built.onnx)
    return Artifact(onnx, packed, built.graph_key, built.simulated, built.bits, built.conversions)
