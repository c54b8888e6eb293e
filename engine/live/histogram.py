"""A histogram of a layer's weights with the values that are left of them: for rounding and for sharing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.figures.svg import Pane, Picture, round_ticks
from engine.figures.theme import Theme
from engine.live.data import Array

BINS = 61
MOST_TICKS = 400  # values under the histogram; of more only every n-th is drawn


class Histogram(NamedTuple):
    """``counts`` of weights in even bins from -``reach`` to ``reach``, the largest magnitude."""

    reach: float
    counts: tuple[int, ...]


def histogram(weight: Array) -> Histogram:
    """How many weights have which value."""
    reach = float(np.abs(weight).max())
    counts, _ = np.histogram(weight, BINS, (-reach, reach))
    return Histogram(reach, tuple(int(c) for c in counts))


def pane(
    picture: Picture, box: tuple[float, float, float, float], found: Histogram, x_title: str, y_title: str
) -> Pane:
    """The histogram in a box (left, top, width, height); heights are square roots, so that the tails can be seen."""
    most, theme = max(found.counts), picture.theme
    made = Pane(picture, *box, x=(-found.reach, found.reach), y=(0.0, most**0.5 * 1.08))
    tall = [(t**0.5, f"{t:g}") for t, _ in round_ticks(0, most, str, 3) if t]
    made.axes("", y_title, (), tall)
    wide = 2 * found.reach / len(found.counts)
    for i, count in enumerate(found.counts):
        if count:
            low = -found.reach + i * wide
            made.column(low + 0.06 * wide, low + 0.94 * wide, count**0.5, theme.front, f"{count}", 0.75)
    bottom = box[1] + box[3]
    for value, words in round_ticks(-found.reach, found.reach, lambda v: f"{v:.2g}".replace("-", "−"), 4):
        picture.text(made.across(value), bottom + 40, words, "middle", theme.muted, 13)
    picture.text(box[0] + box[2] / 2, bottom + 59, x_title, "middle")
    return made


def rug(made: Pane, values: Sequence[float], colour: str, row: int = 0) -> None:
    """Short strokes below the axis where values lie, ``row`` by row."""
    top = made.top + made.height + 3 + 13 * row
    step = -(-len(values) // MOST_TICKS)
    way = "".join(f"M{made.across(v):.1f} {top:g}v11" for v in list(values)[:: max(step, 1)])
    made.picture.parts.append(f'<path d="{way}" stroke="{colour}" stroke-width="1.6"/>')


def beyond(made: Pane, outermost: float, theme: Theme, words: str) -> None:
    """Shades what lies beyond the outermost value and is cut off to it."""
    low, high = made.across(-outermost), made.across(outermost)
    right = made.left + made.width
    for start, end in ((made.left, low), (high, right)):
        if end - start > 1:
            made.picture.rect(start, made.top, end - start, made.height, theme.slower, words, 'fill-opacity="0.16"')
