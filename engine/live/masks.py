"""Zeros in a real layer: single weights, two of every four, whole channels; what each saves in bytes and in work.

Sources: Han et al. 2015 (arXiv:1506.02626); Mishra et al. 2021 (arXiv:2104.08378); Li et al. 2017 (arXiv:1608.08710).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from engine.figures.matrices import ZERO
from engine.figures.svg import Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live import arithmetic
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import Array, Measured, layer, shipped
from engine.live.heat import matrix, rows_of
from engine.units import format_share

LAYER, BITS = "student", 8
PATTERNS = ("weights", "two_of_four", "channels")
MEASURED = {"weights": ("magnitude", "plain_10k"), "channels": ("channels", "plain_150k")}
HEIGHT, CELL = 324, (3.0, 4.4)
RIGHT = 350  # where the bars begin
KNOBS = (
    Knob("pattern", "str", "weights", "What becomes zero: the smallest weights wherever they are, two of every four "
         "neighbours, or whole output channels, which then go.", choices=PATTERNS),
    Knob("sparsity", "float", 0.5, "Share of the weights or channels that go; two of four is always half.", 0.0, 0.95,
         step=0.05, unit="%"),
)  # fmt: skip


class Masks(NamedTuple):
    """``weight`` and ``kept`` [out, columns] of the layer.

    ``zeros``: share of the weights; ``energy``: the kept weights' share of the squares; ``work``: share of the
    multiply-adds that a dense kernel still does; ``size``: bytes of the layer at 8 bits, by what they were.
    ``measured``: bytes and time of a whole shipped student in 8 bits by those without zeros, at the sparsity
    ``measured_at``; None where nothing was measured.
    """

    pattern: str
    weight: Array
    kept: Array
    zeros: float
    energy: float
    work: float
    size: float
    measured: tuple[float, float] | None
    measured_at: float
    student: str


def info(values: Values) -> Masks:
    """Mask the layer."""
    pattern, sparsity = values["pattern"], float(values["sparsity"])
    weight = layer(LAYER)
    kept = mask(weight, pattern, sparsity)
    integers, _ = arithmetic.integers_of(LAYER, BITS, "channel", "least_squares")
    left = kept.reshape(len(kept), -1).any(1)
    stays = np.where(kept, integers, 0)[left] if pattern == "channels" else np.where(kept, integers, 0)
    before, after = arithmetic.packed_bytes(integers), arithmetic.packed_bytes(stays) if stays.size else 0
    measured, at, student = nearest(pattern, sparsity)
    return Masks(
        pattern, rows_of(weight), rows_of(kept), 1 - float(kept.mean()),
        float(np.square(weight[kept]).sum() / np.square(weight).sum()),
        float(left.mean()) if pattern == "channels" else 1.0, after / before, measured, at, student,
    )  # fmt: skip


def mask(weight: Array, pattern: str, sparsity: float) -> Array:
    """True where a weight stays."""
    if pattern == "two_of_four":
        return arithmetic.n_m_mask(weight)
    return (arithmetic.magnitude_mask if pattern == "weights" else arithmetic.channel_mask)(weight, sparsity)


def nearest(pattern: str, sparsity: float) -> tuple[tuple[float, float] | None, float, str]:
    """Bytes and time of the shipped student with the nearest sparsity, by those of the one without zeros."""
    if pattern not in MEASURED:
        return None, 0.0, ""
    cut, student = MEASURED[pattern]
    rows = [r for r in shipped() if r.student == student and r.bits == BITS and _alone(r, cut)]
    dense = next(r for r in rows if r.pruning == "none")
    found = min(rows, key=lambda r: abs(r.sparsity - sparsity))
    ratios = found.packed_bytes / dense.packed_bytes, found.latency_ms / dense.latency_ms
    return ratios, found.sparsity, student


def _alone(row: Measured, cut: str) -> bool:
    """Cut in one way after training (channels: before it), or not at all."""
    return row.pruning == "none" or row.pruning == cut


def draw(info: Masks, theme: Theme, words: Words) -> str:
    """The layer before and after on the left, what is left of it as bars on the right."""
    picture = Picture(theme, HEIGHT)
    tall = CELL[1] * len(info.weight)
    picture.text(0, 20, words["before"])
    picture.parts += _before(theme)
    picture.text(0, 64 + tall, words["after"])
    matrix(picture, 0, 80 + tall, CELL, info.weight, info.kept)
    picture.key(0, 310, [("square", "#0072B2", words["negative"]), ("square", "#D55E00", words["positive"]),
                         ("square", ZERO[theme.name], words["gone"])])  # fmt: skip
    rows = [("left", 1 - info.zeros, theme.front), ("size", info.size, theme.front), ("work", info.work, theme.slower)]
    picture.text(RIGHT, 20, words["remains"], bold=True)
    for i, (name, share, colour) in enumerate(rows):
        _bar(picture, 52 + 42 * i, words[name], share, colour)
    if info.measured is None:
        picture.text(RIGHT, 190, words["unmeasured"], colour=theme.muted, size=12)
    else:
        picture.text(RIGHT, 190, words["measured"].format(student=info.student, share=_percent(info.measured_at)),
                     colour=theme.muted, size=12)  # fmt: skip
        _bar(picture, 216, words["file"], info.measured[0], theme.front)
        _bar(picture, 258, words["time"], info.measured[1], theme.slower)
    return picture.svg()


@functools.cache
def _before(theme: Theme) -> tuple[str, ...]:
    """The layer without holes, drawn once."""
    picture, weight = Picture(theme, HEIGHT), rows_of(layer(LAYER))
    matrix(picture, 0, 36, CELL, weight, np.ones(weight.shape, bool))
    return tuple(picture.parts)


def _bar(picture: Picture, y: float, name: str, share: float, colour: str) -> None:
    picture.text(RIGHT, y, name, size=13)
    picture.rect(RIGHT, y + 10, 130, 13, picture.theme.grid)
    picture.rect(RIGHT, y + 10, 130 * min(share, 1.0), 13, colour, f"{name}: {format_share(share)}")
    picture.text(RIGHT + 137, y + 17, _percent(share), size=13, colour=picture.theme.muted)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def alt(info: Masks, words: Words) -> str:
    """Zeros, bytes, work, and what was measured."""
    told = words["alt_measured"].format(
        student=info.student, size=_percent(info.measured[0]), time=_percent(info.measured[1])
    ) if info.measured else words["unmeasured"]  # fmt: skip
    return words["alt"].format(zeros=_percent(info.zeros), pattern=words[f"option.pattern.{info.pattern}"],
                               size=_percent(info.size), work=_percent(info.work), measured=told)  # fmt: skip


def facts(info: Masks) -> tuple[Fact, ...]:
    """Zeros, what of the weights' power stays, bytes and work."""
    found = [Fact("zeros", info.zeros, "share"), Fact("energy", info.energy, "share"),
             Fact("size", info.size, "share"), Fact("work", info.work, "share")]  # fmt: skip
    return (*found, Fact("time", info.measured[1], "share")) if info.measured else tuple(found)


FIGURE = Live("masks", KNOBS, info, draw, alt, facts)
