"""Which kernels run a model's quantized layers: the rule of every artifact, and other runtimes to compare it with.

``auto``, what a trial ships:

- A graph with a convolution: layers whose inputs have fixed ranges (8 bits) run in static int8, other widths in float.
- A graph of matrix products only: 8 bits run as dynamic int8 (faster than static here, and no range can be exceeded);
  up to 4 bits in the 4-bit kernel of MatMulNBits with float inputs, so that the answers stay those of the trained
  network; 5 to 7 bits in float, as no kernel is faster.
- Weights with zero points or scales for groups run in MatMulNBits, where groups are made of its blocks, and otherwise
  in float. Inputs of fewer than 8 bits, or of such weights, are rounded in float too, as the recipe says.

Tables of embeddings are stored in integers, of which those that are looked up become floats: nothing is multiplied in
them, so no width is simulated. One that is a layer's weights as well follows that layer's kernel.

``float``: dequantized weights, nothing rounded. ``static``: all in static int8. ``dynamic`` and ``nbits``: matrix
products in that way, convolutions static where their inputs have ranges. ``nbits_int8``: as ``nbits``, at the narrowest
width that there is, with inputs rounded to int8.

A layer's format is *executed* where the kernel's width is the layer's own; otherwise the artifact is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.artifact import tables as embeddings
from engine.artifact.matmul import WIDTHS, Product, block_for
from engine.artifact.tables import Table
from engine.weights.values import Code, InputCode, TableCode

AUTO, FLOAT, STATIC, DYNAMIC, NBITS, NBITS_INT8 = "auto", "float", "static", "dynamic", "nbits", "nbits_int8"
RUNTIMES = (AUTO, FLOAT, STATIC, DYNAMIC, NBITS, NBITS_INT8)
STATIC_BITS, NARROW = 8, 4
OWN = Product(STATIC_BITS, "int8", dynamic=True)


@dataclass(frozen=True)
class Plan:
    """``static``: the layers whose inputs are rounded over fixed ranges. ``products``: how matrix products run.

    ``tables``: the bits of a number in the tables of embeddings that are stored in integers.
    """

    static: frozenset[str]
    products: Mapping[str, Product]
    tables: embeddings.Ways = field(default_factory=dict)


def choose(
    runtime: str,
    layers: Mapping[str, str],
    codes: Mapping[str, Code],
    inputs: Mapping[str, InputCode],
    convolutional: bool,
    tables: Mapping[str, Table] | None = None,
) -> Plan:
    """The plan for a model; ``layers``: the operator (Conv, Gemm, MatMul) of every layer that can run in integers.

    ``convolutional``: whether the graph holds any convolution; ``tables``: its embeddings. Raises ValueError for a
    runtime that is none of ``RUNTIMES``.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime {runtime!r} is none of {RUNTIMES}")
    if runtime == FLOAT:
        return Plan(frozenset(), {})
    tables = tables or {}
    if runtime == STATIC or (runtime == AUTO and convolutional):
        return Plan(frozenset(inputs), {}, embeddings.choose(tables, codes, {}))
    wanted = {name: codes[name] for name, op in layers.items() if name in codes and op != "Conv"}
    made = {name: _product(runtime, code, inputs.get(name)) for name, code in wanted.items()}
    products = {name: product for name, product in made.items() if product is not None}
    ways = embeddings.choose(tables, codes, products)
    for name in {layer for table in tables.keys() - ways.keys() for layer in tables[table].tied}:
        products.pop(name, None)
    fixed = (n for n in inputs if _fixed(runtime, layers.get(n), products.get(n), inputs[n]))
    return Plan(frozenset(fixed), products, ways)


def _fixed(runtime: str, operator: str | None, product: Product | None, step: InputCode) -> bool:
    """Whether a layer's input is rounded over its fixed range."""
    if operator in (None, "Conv"):
        return operator is not None
    dynamic = product is not None and product.dynamic
    return not dynamic and (runtime == AUTO or step.bits < STATIC_BITS)


def _product(runtime: str, code: Code, step: InputCode | None) -> Product | None:
    """How a matrix product runs, None for float; ``step``: how the recipe rounds its inputs, None where it doesn't."""
    rounded = step is not None and step.bits == STATIC_BITS
    if code.simple and (runtime == DYNAMIC or (runtime == AUTO and rounded)):
        return OWN
    block = None if isinstance(code, TableCode) else block_for(code)
    if isinstance(code, TableCode) or runtime == DYNAMIC or block is None:
        return None
    if code.bits <= NARROW and runtime != NBITS_INT8:
        return Product(NARROW, FLOAT, block=block, zeros=code.zero is not None)
    if runtime == AUTO:
        return None
    width = min(width for width in WIDTHS if width >= max(code.bits, 2))
    return Product(width, "int8", block=block, zeros=code.zero is not None)
