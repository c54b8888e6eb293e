"""A real layer's weights and the few values that rounding leaves of them: bits, range and granularity.

Source: Krishnamoorthi 2018 (arXiv:1806.08342), sections 2 and 3; the percentile as in NVIDIA's calibration (Migacz
2017, GTC S7310); least squares Banner et al. 2019 (arXiv:1810.05723).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from engine.figures.svg import Pane, Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live import arithmetic
from engine.live.arithmetic import GRANULARITIES, RANGES, column
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import LAYERS, layer
from engine.live.histogram import Histogram, beyond, histogram, pane, rug

BITS = range(1, 9)
HEIGHT = 330
SYMBOLS = {"maximum": "square", "percentile": "triangle", "least_squares": "circle"}
KNOBS = (
    Knob("layer", "str", "student", "Whose weights are looked at.", choices=LAYERS),
    Knob("bits", "int", 4, "Bits of a weight: each one halves the number of values that are left.", 1, 8),
    Knob("range", "str", "maximum", "Where the outermost value lies: at the largest weight, where 99 % of the weights "
         "have their place, or where the squared error is smallest.", choices=RANGES),
    Knob("granularity", "str", "tensor", "One step for the whole layer, or one for each output channel.",
         choices=GRANULARITIES),
)  # fmt: skip


class Rounding(NamedTuple):
    """``levels`` are the values that occur, ``possible`` how many there could be; ``outermost`` the largest
    where the whole layer has one step.

    ``curves``: signal to noise in dB by range, at 1 to 8 bits. Bytes are of this layer alone, with its steps;
    ``nominal_bytes`` counts bits, ``packed_bytes`` is what zstd makes of them, ``float_bytes`` what they were.
    """

    found: Histogram
    bits: int
    reach: str
    levels: tuple[float, ...]
    possible: int
    outermost: float | None
    mse: float
    snr: float
    curves: dict[str, tuple[float, ...]]
    nominal_bytes: int
    packed_bytes: int
    float_bytes: int


def info(values: Values) -> Rounding:
    """Round the layer."""
    name, bits, granularity, reach = (values[k] for k in ("layer", "bits", "granularity", "range"))
    weight = layer(name)
    integers, scale = arithmetic.integers_of(name, bits, granularity, reach)
    changed = integers * column(scale, weight)
    steps = 4 * max(scale.size, 1)
    return Rounding(
        histogram(weight), bits, reach, tuple(float(v) for v in np.unique(np.float32(changed))),
        (2 if bits == 1 else 2 * arithmetic.limit(bits) + 1) * scale.size,
        float(scale) * arithmetic.limit(bits) if granularity == "tensor" else None,
        arithmetic.error(weight, changed), arithmetic.decibels(weight, changed),
        {r: _curve(name, granularity, r) for r in RANGES}, -(-weight.size * bits // 8) + steps,
        arithmetic.packed_bytes(integers, bits) + steps, 4 * weight.size,
    )  # fmt: skip


@functools.cache
def _curve(name: str, granularity: str, reach: str) -> tuple[float, ...]:
    """Signal to noise at every number of bits."""
    weight = layer(name)
    both = ((weight, *arithmetic.integers_of(name, b, granularity, reach)) for b in BITS)
    return tuple(arithmetic.decibels(w, integers * column(scale, w)) for w, integers, scale in both)


def draw(info: Rounding, theme: Theme, words: Words) -> str:
    """The histogram over its values on the left, signal to noise by bits on the right."""
    picture = Picture(theme, HEIGHT)
    made = pane(picture, (34, 60, 250, 200), info.found, words["value"], words["weights"])
    if info.outermost is not None:
        beyond(made, info.outermost, theme, words["cut"])
    rug(made, info.levels, theme.slower)
    picture.key(0, 14, [("square", theme.front, words["before"]), ("line", theme.slower, words["after"])])
    every = [v for curve in info.curves.values() for v in curve]
    low, high = min(0.0, *every), max(every)
    right = Pane(picture, 330, 60, 202, 200, (0.7, 8.3), (low, high * 1.06))
    right.axes(words["bits"], words["snr"], [(b, str(b)) for b in BITS], [(v, f"{v}") for v in range(0, int(high), 10)])
    for row, reach in enumerate(RANGES):  # in the corner that the curves leave free
        picture.key(420, 206 + 18 * row, [(SYMBOLS[reach], _colour(reach, theme), words[f"option.range.{reach}"])])
    for reach, curve in info.curves.items():
        right.curve(BITS, curve, _colour(reach, theme), 2.5 if reach == info.reach else 1.2)
        for bits, value in zip(BITS, curve, strict=True):
            here = reach == info.reach and bits == info.bits
            right.point(bits, value, SYMBOLS[reach], _colour(reach, theme), 7 if here else 3, f"{value:.1f} dB")
    return picture.svg()


def _colour(reach: str, theme: Theme) -> str:
    return {"maximum": theme.slower, "percentile": theme.dense, "least_squares": theme.front}[reach]


def alt(info: Rounding, words: Words) -> str:
    """Values, error, bytes."""
    return words["alt"].format(bits=info.bits, levels=len(info.levels), snr=f"{info.snr:.1f}",
                               range=words[f"option.range.{info.reach}"], weights=sum(info.found.counts))  # fmt: skip


def facts(info: Rounding) -> tuple[Fact, ...]:
    """Error, values, bytes."""
    return (
        Fact("snr", info.snr, "db"), Fact("mse", info.mse), Fact("levels", len(info.levels), "count"),
        Fact("packed", info.packed_bytes, "bytes"), Fact("smaller", info.float_bytes / info.packed_bytes, "times"),
    )  # fmt: skip


FIGURE = Live("rounding", KNOBS, info, draw, alt, facts)
