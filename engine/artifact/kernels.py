"""Which kernels run a model's quantized layers: the rule of every artifact, and other runtimes to compare it with.

``auto``, what a trial ships:

- A graph with a convolution: layers whose inputs have fixed ranges (8 bits) run in static int8, other widths in float.
- A graph of matrix products only: 8 bits run as dynamic int8 (faster than static here, and no range can be exceeded);
  up to 4 bits in the 4-bit kernel of MatMulNBits with float inputs, so that the answers stay those of the trained
  network; 5 to 7 bits in float, as no kernel is faster.

``float``: dequantized weights, nothing rounded. ``static``: all in static int8. ``dynamic`` and ``nbits``: matrix
products in that way, convolutions static where their inputs have ranges. ``nbits_int8``: as ``nbits``, at the narrowest
width that there is, with inputs rounded to int8.

A layer's format is *executed* where the kernel's width is the layer's own; otherwise the artifact is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.artifact.matmul import WIDTHS, Product
from engine.weights.values import Code, InputCode

AUTO, FLOAT, STATIC, DYNAMIC, NBITS, NBITS_INT8 = "auto", "float", "static", "dynamic", "nbits", "nbits_int8"
RUNTIMES = (AUTO, FLOAT, STATIC, DYNAMIC, NBITS, NBITS_INT8)
STATIC_BITS, NARROW = 8, 4
OWN = Product(STATIC_BITS, "int8", dynamic=True)


@dataclass(frozen=True)
class Plan:
    """``static``: the layers whose inputs are rounded over fixed ranges. ``products``: how matrix products run."""

    static: frozenset[str]
    products: Mapping[str, Product]


def choose(
    runtime: str,
    layers: Mapping[str, str],
    codes: Mapping[str, Code],
    inputs: Mapping[str, InputCode],
    convolutional: bool,
) -> Plan:
    """The plan for a model; ``layers``: the operator (Conv, Gemm, MatMul) of every layer that can run in integers.

    ``convolutional``: whether the graph holds any convolution. Raises ValueError for a runtime that is none of
    ``RUNTIMES``.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime {runtime!r} is none of {RUNTIMES}")
    if runtime == FLOAT:
        return Plan(frozenset(), {})
    if runtime == STATIC or (runtime == AUTO and convolutional):
        return Plan(frozenset(inputs), {})
    wanted = {
        name: codes[name].bits for name, op in layers.items() if name in codes and op != "Conv" and codes[name].simple
    }
    made = {name: _product(runtime, bits, name in inputs) for name, bits in wanted.items()}
    products = {name: product for name, product in made.items() if product is not None}
    return Plan(frozenset(name for name in inputs if layers.get(name) == "Conv"), products)


def _product(runtime: str, bits: int, rounded: bool) -> Product | None:
    """How a matrix product of ``bits`` runs; ``rounded``: whether the recipe rounds its inputs too."""
    if runtime == DYNAMIC or (runtime == AUTO and rounded):
        return OWN
    if bits <= NARROW and runtime != NBITS_INT8:
        return Product(NARROW, FLOAT)
    if runtime == AUTO:
        return None
    return Product(min(width for width in WIDTHS if width >= max(bits, 2)), "int8")
