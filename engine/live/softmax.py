"""What a temperature does to a teacher's answer, and to the push that a student feels from it.

With p the teacher's and q the student's softmax at temperature T, the soft term's gradient by the student's scores is
(q - p) / T: for large T it shrinks like 1/T^2, which is why the loss is multiplied by T^2. Source: Hinton et al. 2015
(arXiv:1503.02531), section 2 and equations 2 to 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.figures.svg import Pane, Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live.base import Fact, Live, Values, Words, class_of
from engine.live.data import Array, answers, image
from engine.units import format_share

TEMPERATURES = np.arange(1.0, 20.01, 0.5)
HEIGHT, ROW = 318, 24
KNOBS = (
    Knob(
        "image",
        "int",
        24,
        "Which real validation image is looked at: of each class two ordinary ones, then two hard ones.",
        0,
        39,
    ),
    Knob("temperature", "float", 4.0, "Scores are divided by it before they become shares.", 1.0, 20.0, step=0.5),
)


class Softmax(NamedTuple):
    """``shares`` [C] of the teacher at ``temperature``; ``entropy`` in bits.

    ``plain`` and ``scaled``: the push, half the sum of |gradient| over the classes, at ``TEMPERATURES``, without and
    with T^2; ``limit`` is where the scaled one goes as T grows.
    """

    image: int
    names: tuple[str, ...]
    label: int
    temperature: float
    shares: tuple[float, ...]
    entropy: float
    plain: tuple[float, ...]
    scaled: tuple[float, ...]
    limit: float
    push: tuple[float, float]


def softmax(scores: Array, temperature: float = 1.0) -> Array:
    """exp(z / T) over its sum, along the last axis; safe for large scores."""
    powers = np.exp((scores - scores.max(-1, keepdims=True)) / temperature)
    shares: Array = powers / powers.sum(-1, keepdims=True)
    return shares


def entropy(shares: Array) -> Array:
    """In bits, along the last axis."""
    found: Array = -(shares * np.log2(np.maximum(shares, 1e-300))).sum(-1)
    return found + 0.0


def gradient(student: Array, teacher: Array, temperature: float) -> Array:
    """Of the cross-entropy at ``temperature`` by the student's scores, without T^2."""
    found: Array = (softmax(student, temperature) - softmax(teacher, temperature)) / temperature
    return found


def info(values: Values) -> Softmax:
    """The answer to one image and the pushes over all temperatures."""
    seen, row, now = answers(), int(values["image"]), float(values["temperature"])
    teacher, student = seen.teacher[row], seen.student[row]
    plain = [float(np.abs(gradient(student, teacher, t)).sum() / 2) for t in TEMPERATURES]
    scaled = [p * float(t) ** 2 for p, t in zip(plain, TEMPERATURES, strict=True)]
    centred = (student - student.mean()) - (teacher - teacher.mean())
    here = float(np.abs(gradient(student, teacher, now)).sum() / 2)
    shares = softmax(teacher, now)
    return Softmax(
        row, seen.names, seen.labels[row], now, tuple(shares.tolist()), float(entropy(shares)), tuple(plain),
        tuple(scaled), float(np.abs(centred).sum() / 2 / len(centred)), (here, here * now**2),
    )  # fmt: skip


def draw(info: Softmax, theme: Theme, words: Words) -> str:
    """Bars of the classes on the left, the two pushes over temperature on the right."""
    picture = Picture(theme, HEIGHT)
    bars(picture, info.image, info.names, info.shares, info.label, words)
    every = [v for v in (*info.plain, *info.scaled, info.limit) if v > 0]
    low, high = min(every) / 1.6, max(every) * 1.6
    pane = Pane(picture, 350, 66, 182, 190, (1.0, 20.0), (low, high), log_y=True)
    marks = [(10.0**p, f"{10.0**p:g}") for p in range(-8, 4) if low <= 10.0**p <= high]
    pane.axes(words["x"], words["y"], [(t, f"{t:g}") for t in (1, 5, 10, 15, 20)], marks)
    pane.level(info.limit, theme.muted, "2 3", 1)
    pane.curve(TEMPERATURES, info.plain, theme.slower, dash="6 4")
    pane.curve(TEMPERATURES, info.scaled, theme.front)
    pane.point(info.temperature, info.push[0], "diamond", theme.slower)
    pane.point(info.temperature, info.push[1], "circle", theme.front)
    picture.key(316, 14, [("line", theme.front, words["scaled"]), ("line6 4", theme.slower, words["plain"])])
    return picture.svg()


def bars(picture: Picture, place: int, names: tuple[str, ...], shares: tuple[float, ...], label: int,
         words: Words) -> None:  # fmt: skip
    """The image, then a row a class: name, bar, share; the label's is marked by a tick and another colour."""
    theme = picture.theme
    picture.text(0, 14, words["shares"])
    picture.image(0, 36, 56, image(place))
    for i, (name, share) in enumerate(zip(names, shares, strict=True)):
        y, shown = 46 + ROW * i, class_of(words, name)
        picture.text(150, y, f"{shown} ✓" if i == label else shown, "end", bold=i == label)
        picture.rect(157, y - 8, 100, 16, theme.grid)
        picture.rect(157, y - 8, 100 * share, 16, theme.teacher if i == label else theme.front,
                     f"{shown}: {format_share(share)}")  # fmt: skip
        picture.text(263, y, format_share(share), colour=theme.muted, size=13)


def alt(info: Softmax, words: Words) -> str:
    """The two largest shares, and what remains of the push."""
    order = sorted(range(len(info.shares)), key=lambda i: -info.shares[i])[:2]
    named = ", ".join(f"{class_of(words, info.names[i])} {format_share(info.shares[i])}" for i in order)
    return words["alt"].format(temperature=f"{info.temperature:g}", shares=named, plain=f"{info.push[0]:.2g}",
                               scaled=f"{info.push[1]:.2g}")  # fmt: skip


def facts(info: Softmax) -> tuple[Fact, ...]:
    """Entropy, what all but the first answer get, and the push with and without T^2."""
    return (
        Fact("entropy", info.entropy, "bits"), Fact("dark", 1 - max(info.shares), "share"),
        Fact("plain", info.push[0]), Fact("scaled", info.push[1]),
    )  # fmt: skip


FIGURE = Live("softmax", KNOBS, info, draw, alt, facts)
