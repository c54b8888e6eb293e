"""Integer codes of weights and inputs: what an artifact stores instead of floats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WeightCode:
    """One layer's weight as integers on a lattice: ``(integers - zero) * scale``.

    ``integers`` int8, shaped like the weight (first axis: output channels). Symmetric (``zero`` None): within
    -(2^(bits-1)-1) .. 2^(bits-1)-1 (with a learned step also -2^(bits-1) below 8 bits), or -1, 0, 1 at 1 bit (0 only
    where the weight is exactly zero). Affine: within -2^(bits-1) .. 2^(bits-1)-1, as is ``zero``, int8 and shaped like
    ``scale``.

    ``scale`` float32, above zero, shaped () or [out], or [out, groups]: then each belongs to ``group`` neighbouring
    weights of a flattened output channel, the last one of a channel perhaps to fewer.
    """

    integers: NDArray[np.int8]
    scale: NDArray[np.float32]
    bits: int
    zero: NDArray[np.int8] | None = None
    group: int = 0

    def dequantized(self) -> NDArray[np.float32]:
        """``(integers - zero) * scale`` in float32: exactly the weight that the model computes with."""
        values = self.integers.astype(np.float32)
        if self.zero is not None:
            values -= spread(self.zero.astype(np.float32), values.shape, self.group)
        return np.asarray(values * self.column(), dtype=np.float32)

    def column(self) -> NDArray[np.float32]:
        """``scale`` shaped so that it broadcasts over the integers: () or [out, 1, ...], of groups the whole shape."""
        return spread(self.scale, self.integers.shape, self.group)

    def times(self, factor: NDArray[np.float64]) -> WeightCode:
        """The code of the weight with each output channel multiplied by its ``factor`` [out]."""
        factor = factor.reshape(factor.shape + (1,) * (self.scale.ndim - 1))
        return replace(self, scale=np.asarray(self.scale * factor, np.float32))

    @property
    def simple(self) -> bool:
        """Whether integer kernels for convolutions take it: no zero point, at most one scale an output channel."""
        return self.zero is None and self.scale.ndim < 2


@dataclass(frozen=True, eq=False)
class TableCode:
    """One layer's weight as places in a table: ``table[integers + start] * factor``.

    ``integers`` int8, shaped like the weight; ``table`` float32, ascending, one value for each number that occurs. Zero
    stands where ``start`` is the number of values below zero. ``factor`` float32 [out], or None for one everywhere.
    """

    integers: NDArray[np.int8]
    table: NDArray[np.float32]
    start: int
    bits: int
    factor: NDArray[np.float32] | None = None

    def dequantized(self) -> NDArray[np.float32]:
        """The float32 weight that the model computes with."""
        values = self.table[self.integers.astype(np.int16) + self.start]
        return values if self.factor is None else values * spread(self.factor, values.shape, 0)

    def times(self, factor: NDArray[np.float64]) -> TableCode:
        """The code of the weight with each output channel multiplied by its ``factor`` [out]."""
        ones = self.factor is None and bool((factor == 1).all())
        before = np.float32(1) if self.factor is None else self.factor
        return replace(self, factor=None if ones else np.asarray(before * factor, np.float32))

    @property
    def simple(self) -> bool:
        """No integer kernel takes it."""
        return False


Code = WeightCode | TableCode


def spread(values: NDArray[Any], shape: tuple[int, ...], group: int) -> NDArray[Any]:
    """``values`` (), [out] or [out, groups] so that they broadcast over ``shape`` [out, ...]."""
    if values.ndim < 2:
        return values.reshape(values.shape + (1,) * (len(shape) - 1) * values.ndim)
    return np.repeat(values, group, axis=1)[:, : math.prod(shape[1:])].reshape(shape)


@dataclass(frozen=True)
class InputCode:
    """How a layer's input becomes uint8: ``clip(round(x / scale) + zero_point, 0, 2^bits - 1)``.

    The same arithmetic as ONNX QuantizeLinear: float32 division, halves to even. ``zero_point`` is 0 .. 2^bits - 1.
    """

    scale: float
    zero_point: int
    bits: int = 8
