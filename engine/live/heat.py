"""A matrix of weights as squares in a few shades: blue is negative, orange positive, holes are grey."""

from __future__ import annotations

import functools

import numpy as np

from engine.figures.matrices import MIDDLE, ZERO
from engine.figures.svg import Picture, stroke
from engine.live.data import Array

NEGATIVE, POSITIVE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
SHADES = 4  # of each sign


def matrix(picture: Picture, left: float, top: float, cell: tuple[float, float], weight: Array, kept: Array) -> None:
    """``weight`` [rows, columns]; what ``kept`` does not hold is a hole; ``cell`` is (width, height)."""
    scale = float(np.percentile(np.abs(weight), 98)) or 1.0
    level = np.clip(np.rint(weight / scale * SHADES), -SHADES, SHADES).astype(int)
    level[~kept] = SHADES + 1
    cells = _cells(left, top, cell, weight.shape)
    for value in np.unique(level):
        picture.cells(cells[level == value], cell[1], _shade(int(value), picture.theme.name))


@functools.lru_cache(maxsize=4)
def _cells(left: float, top: float, cell: tuple[float, float], shape: tuple[int, ...]) -> Array:
    """Every cell's stroke [rows, columns], written once."""
    rows, columns = (range(n) for n in shape)
    found = [[stroke(round(left + c * cell[0], 2), round(top + r * cell[1], 2), *cell) for c in columns] for r in rows]
    return np.array(found, object)


def rows_of(weight: Array) -> Array:
    """[out, height, width, in] as [out, columns]: the rows of the layer's matrix product, as hardware sees them."""
    return np.moveaxis(weight, 1, -1).reshape(len(weight), -1)


def _shade(value: int, look: str) -> str:
    if value > SHADES:
        return ZERO[look]
    middle = [int(MIDDLE[look][i : i + 2], 16) for i in (1, 3, 5)]
    end, part = (POSITIVE if value > 0 else NEGATIVE), abs(value) / SHADES
    return "#" + "".join(f"{round(m + part * (e - m)):02x}" for m, e in zip(middle, end, strict=True))
