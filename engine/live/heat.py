"""A matrix of weights as squares in a few shades: blue is negative, orange positive, holes are grey."""

from __future__ import annotations

import numpy as np

from engine.figures.matrices import MIDDLE, ZERO
from engine.figures.svg import Picture
from engine.live.data import Array

NEGATIVE, POSITIVE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
SHADES = 4  # of each sign


def matrix(picture: Picture, left: float, top: float, cell: tuple[float, float], weight: Array, kept: Array) -> None:
    """``weight`` [rows, columns]; what ``kept`` does not hold is a hole; ``cell`` is (width, height)."""
    scale = float(np.percentile(np.abs(weight), 98)) or 1.0
    level = np.clip(np.rint(weight / scale * SHADES), -SHADES, SHADES).astype(int)
    level[~kept] = SHADES + 1
    for value in np.unique(level):
        rows, columns = np.nonzero(level == value)
        places = zip((left + columns * cell[0]).tolist(), (top + rows * cell[1]).tolist(), strict=True)
        picture.cells(places, *cell, _shade(int(value), picture.theme.name))


def rows_of(weight: Array) -> Array:
    """[out, height, width, in] as [out, columns]: the rows of the layer's matrix product, as hardware sees them."""
    return np.moveaxis(weight, 1, -1).reshape(len(weight), -1)


def _shade(value: int, look: str) -> str:
    if value > SHADES:
        return ZERO[look]
    middle = [int(MIDDLE[look][i : i + 2], 16) for i in (1, 3, 5)]
    end, part = (POSITIVE if value > 0 else NEGATIVE), abs(value) / SHADES
    return "#" + "".join(f"{round(m + part * (e - m)):02x}" for m, e in zip(middle, end, strict=True))
