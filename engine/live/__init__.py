"""Live figures of the lessons, by name: they answer a slider at once and show real weights, answers and measurements.

One file a figure: what it computes is pure numpy over :mod:`engine.live.data`, what it draws is SVG. A lesson's file
names a figure and where its knobs stand; the page *Learn* draws the controls from the same knobs.
"""

from __future__ import annotations

from engine.errors import unknown_name
from engine.live import (
    amdahl,
    codebook,
    divergence,
    few_labels,
    latency,
    masks,
    orders,
    pareto,
    rounding,
    softmax,
    targets,
)  # fmt: skip
from engine.live.base import Fact as Fact
from engine.live.base import Live as Live

FIGURES: dict[str, Live] = {
    module.FIGURE.name: module.FIGURE
    for module in (softmax, targets, divergence, few_labels, masks, rounding, codebook, orders, amdahl, latency, pareto)
}


def find(name: str) -> Live:
    """A live figure; raises :class:`InputError` with the nearest name."""
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    return FIGURES[name]
