"""Weights that share a few values: a table made by k-means beside even steps, on the same layer at the same bits.

Source: Han et al. 2016, Deep Compression (arXiv:1510.00149), section 3.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from engine.figures.svg import Pane, Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live import arithmetic
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import LAYERS, Array, layer
from engine.live.histogram import Histogram, histogram, pane, rug

BITS = range(1, 6)
HEIGHT = 330
KNOBS = (
    Knob("layer", "str", "student", "Whose weights are looked at.", choices=LAYERS),
    Knob("bits", "int", 3, "Bits of a place in the table: it has 2 to the power of so many values.", 1, 5),
)


class Codebook(NamedTuple):
    """Both ways of having few values: ``table`` and ``even`` hold them; signal to noise in dB by bits.

    ``table_bytes`` and ``even_bytes``: the places of this layer's weights under zstd, and the table or the step.
    ``nominal_bytes``: bits a weight and the table, as the paper counts.
    """

    found: Histogram
    bits: int
    table: tuple[float, ...]
    even: tuple[float, ...]
    table_curve: tuple[float, ...]
    even_curve: tuple[float, ...]
    table_bytes: int
    even_bytes: int
    nominal_bytes: int
    float_bytes: int


def info(values: Values) -> Codebook:
    """Both ways at the chosen bits."""
    name, bits = values["layer"], values["bits"]
    weight = layer(name)
    centres, which = shared(name, bits)
    integers, scale = arithmetic.integers_of(name, bits, "tensor", "least_squares")
    table, even = (tuple(_noise(name, b, way) for b in BITS) for way in ("table", "even"))
    return Codebook(
        histogram(weight), bits, tuple(centres.tolist()), tuple(float(v) * float(scale) for v in np.unique(integers)),
        table, even, arithmetic.packed_bytes(which, bits) + 4 * len(centres),
        arithmetic.packed_bytes(integers, bits) + 4, -(-weight.size * bits // 8) + 4 * len(centres), 4 * weight.size,
    )  # fmt: skip


@functools.cache
def shared(name: str, bits: int) -> tuple[Array, Array]:
    """The table of a layer, and the place that each of its weights has in it."""
    return arithmetic.kmeans(layer(name), 1 << bits)


@functools.cache
def _noise(name: str, bits: int, way: str) -> float:
    weight = layer(name)
    if way == "table":
        centres, which = shared(name, bits)
        return arithmetic.decibels(weight, centres[which])
    return arithmetic.decibels(weight, arithmetic.rounded(weight, bits, "tensor", "least_squares"))


def draw(info: Codebook, theme: Theme, words: Words) -> str:
    """The histogram over both sets of values, and both errors by bits."""
    picture = Picture(theme, HEIGHT)
    made = pane(picture, (34, 60, 250, 200), info.found, words["value"], words["weights"])
    rug(made, info.table, theme.front)
    rug(made, info.even, theme.slower, row=1)
    entries = [("circle", theme.front, words["table"]), ("square", theme.slower, words["even"])]
    picture.key(0, 14, entries)
    high = max(*info.table_curve, *info.even_curve)
    right = Pane(picture, 330, 60, 202, 200, (0.8, 5.2), (0.0, high * 1.08))
    right.axes(words["bits"], words["snr"], [(b, str(b)) for b in BITS], [(v, f"{v}") for v in range(0, int(high), 5)])
    for curve, symbol, colour in ((info.table_curve, "circle", theme.front), (info.even_curve, "square", theme.slower)):
        right.curve(BITS, curve, colour)
        for bits, value in zip(BITS, curve, strict=True):
            right.point(bits, value, symbol, colour, 7 if bits == info.bits else 3, f"{value:.1f} dB")
    return picture.svg()


def alt(info: Codebook, words: Words) -> str:
    """Both errors and both sizes."""
    at = list(BITS).index(info.bits)
    return words["alt"].format(bits=info.bits, count=len(info.table), table=f"{info.table_curve[at]:.1f}",
                               even=f"{info.even_curve[at]:.1f}")  # fmt: skip


def facts(info: Codebook) -> tuple[Fact, ...]:
    """What the table gains and what it costs."""
    at = list(BITS).index(info.bits)
    return (
        Fact("gain", info.table_curve[at] - info.even_curve[at], "db"), Fact("table_bytes", info.table_bytes, "bytes"),
        Fact("even_bytes", info.even_bytes, "bytes"), Fact("smaller", info.float_bytes / info.table_bytes, "times"),
    )  # fmt: skip


FIGURE = Live("codebook", KNOBS, info, draw, alt, facts)
