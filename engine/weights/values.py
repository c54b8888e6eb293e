"""Integer codes of weights and inputs: what an artifact stores instead of floats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class WeightCode:
    """One layer's weight as integers on a lattice.

    ``integers`` int8, shaped like the weight (first axis: output channels), within -(2^(bits-1)-1) .. 2^(bits-1)-1, or
    -1, 0, 1 at 1 bit (0 only where the weight is exactly zero). ``scale`` float32, shaped () or [out], above zero.
    """

    integers: NDArray[np.int8]
    scale: NDArray[np.float32]
    bits: int

    def dequantized(self) -> NDArray[np.float32]:
        """``integers * scale`` in float32: exactly the weight that the model computes with."""
        return np.asarray(self.integers.astype(np.float32) * self.column(), dtype=np.float32)

    def column(self) -> NDArray[np.float32]:
        """``scale`` shaped so that it broadcasts over the integers: () or [out, 1, ...]."""
        return self.scale.reshape(self.scale.shape + (1,) * (self.integers.ndim - 1) * self.scale.ndim)


@dataclass(frozen=True)
class InputCode:
    """How a layer's input becomes uint8: ``clip(round(x / scale) + zero_point, 0, 255)``.

    The same arithmetic as ONNX QuantizeLinear: float32 division, halves to even. ``zero_point`` is 0 .. 255.
    """

    scale: float
    zero_point: int
