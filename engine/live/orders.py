"""Pruning and then rounding a real layer, or the other way round: what becomes of each weight, and of the zeros.

Where pruning comes first its zeros are kept (zero is one more level) and the steps are fitted to the weights that stay.
Where rounding comes first many weights share a magnitude: which of them go is then decided by chance, here by position.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.figures.svg import Pane, Picture, round_ticks
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live import arithmetic
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import Array, layer

LAYER, EVERY = "student", 9
HEIGHT = 322
LEVELS = ("even", "table")
ORDERS = ("prune_first", "round_first")
KNOBS = (
    Knob("sparsity", "float", 0.5, "Share of the weights that become zero.", 0.0, 0.95, step=0.05, unit="%"),
    Knob("bits", "int", 3, "Bits of a weight that stays.", 1, 8),
    Knob("levels", "str", "even", "Even steps, of which one is zero, or a table of values made by k-means.",
         choices=LEVELS),
)  # fmt: skip


class Orders(NamedTuple):
    """``sample``: some weights; what became of them in each of ``ORDERS``.

    ``errors``: mean squares of the change by those of the weights; ``zeros``: shares of all weights. ``lost``: share
    of the pruned weights that a table made of all weights, without a place for zero, would bring back.
    """

    sample: tuple[float, ...]
    results: tuple[tuple[float, ...], ...]
    errors: tuple[float, ...]
    zeros: tuple[float, ...]
    lost: float


def info(values: Values) -> Orders:
    """Both orders on the layer."""
    weight, sparsity, bits = layer(LAYER), float(values["sparsity"]), int(values["bits"])
    pruned = np.where(arithmetic.magnitude_mask(weight, sparsity), weight, 0)
    first = few_values(pruned, bits, values["levels"])
    few = few_values(weight, bits, values["levels"])
    second = np.where(arithmetic.magnitude_mask(few, sparsity), few, 0)
    power = float(np.square(weight).mean())
    both = (first, second)
    return Orders(
        tuple(weight.ravel()[::EVERY].tolist()), tuple(tuple(r.ravel()[::EVERY].tolist()) for r in both),
        tuple(arithmetic.error(weight, r) / power for r in both), tuple(float((r == 0).mean()) for r in both),
        _lost(pruned, bits),
    )  # fmt: skip


def few_values(weight: Array, bits: int, levels: str) -> Array:
    """Round to the steps or the table that suit the weights that are not zero; zeros stay."""
    if levels == "even":
        return arithmetic.rounded(weight, bits, "tensor", "least_squares")
    kept = weight != 0
    found = np.zeros_like(weight)
    if kept.any():
        centres, which = arithmetic.kmeans(weight[kept], 1 << bits)
        found[kept] = centres[which]
    return found


def _lost(pruned: Array, bits: int) -> float:
    """How many zeros k-means over everything, zeros too, would move."""
    zero = pruned == 0
    if not zero.any():
        return 0.0
    centres, which = arithmetic.kmeans(pruned, 1 << bits)
    return float((np.abs(centres[which[zero]]) > 0).mean())


def draw(info: Orders, theme: Theme, words: Words) -> str:
    """A pane an order: the weight across, what became of it upwards."""
    picture = Picture(theme, HEIGHT)
    reach = max(abs(v) for v in info.sample) * 1.05
    marks = round_ticks(-reach, reach, lambda v: f"{v:g}".replace("-", "−"), 4)
    for i, order in enumerate(ORDERS):
        left = 42 + 276 * i
        picture.text(left, 14, words[order], bold=True)
        pane = Pane(picture, left, 54, 214, 214, (-reach, reach), (-reach, reach))
        pane.axes(words["x"], words["y"], marks, marks)
        pane.curve((-reach, reach), (-reach, reach), theme.muted, 1, "3 3")
        symbol, colour = (("circle", theme.front), ("square", theme.slower))[i]
        _dots(pane, info.sample, info.results[i], symbol, colour)
    return picture.svg()


def _dots(pane: Pane, xs: tuple[float, ...], ys: tuple[float, ...], kind: str, colour: str) -> None:
    """Many small marks as one shape."""
    places = ((pane.across(x), pane.up(y)) for x, y in zip(xs, ys, strict=True))
    way = "".join(f"M{x:.1f} {y:.1f}h.01" for x, y in places)
    cap = "round" if kind == "circle" else "square"
    pane.picture.parts.append(
        f'<path d="{way}" stroke="{colour}" stroke-width="4.5" stroke-linecap="{cap}" stroke-opacity="0.75"/>'
    )


def alt(info: Orders, words: Words) -> str:
    """Errors and zeros of both."""
    values = {f"{n}_{k}": f"{100 * v:.1f} %" for n, both in (("error", info.errors), ("zeros", info.zeros))
              for k, v in zip(("first", "second"), both, strict=True)}  # fmt: skip
    return words["alt"].format(**values)


def facts(info: Orders) -> tuple[Fact, ...]:
    """Errors, zeros, and zeros that nobody protects."""
    return (
        Fact("error_first", info.errors[0], "share"), Fact("error_second", info.errors[1], "share"),
        Fact("zeros_first", info.zeros[0], "share"), Fact("zeros_second", info.zeros[1], "share"),
        Fact("lost", info.lost, "share"),
    )  # fmt: skip


FIGURE = Live("orders", KNOBS, info, draw, alt, facts)
