"""What a student is asked to answer: the label, the teacher's shares, a mix of both, or the mean of two teachers.

``(1 - a) * label + a * softmax(z / T)``: at temperature 1 the loss is one cross-entropy against this mix; at others
both terms still pull towards these two answers. Source: Hinton et al. 2015 (arXiv:1503.02531), section 2; the mean of
several teachers' shares as in You et al. 2017 (KDD, "Learning from multiple teacher networks").
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.figures.svg import Pane, Picture, round_ticks
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live.base import Fact, Live, Values, Words, class_of
from engine.live.data import Array, answers, image
from engine.live.softmax import TEMPERATURES, entropy, softmax
from engine.units import format_share

HEIGHT, ROW = 298, 22
TEACHERS = ("teacher", "student", "both")
KNOBS = (
    Knob("image", "int", 26, "Which real validation image: of each class two ordinary ones, then two hard ones.", 0,
         39),
    Knob("temperature", "float", 4.0, "The teacher's scores are divided by it; a large one evens its shares out.",
         1.0, 20.0, step=0.5),
    Knob("weight", "float", 0.7, "The teacher's part in the target; the label has the rest.", 0.0, 1.0, step=0.05,
         unit="%"),
    Knob("teacher", "str", "teacher", "Who answers: the teacher, a student that learned from it, or the mean of both.",
         choices=TEACHERS),
    Knob("hard", "bool", False, "Keep only the class that the teacher finds likeliest, without shares."),
)  # fmt: skip


class Targets(NamedTuple):
    """``target`` [C] and the teacher's part of it; entropies in bits, ``curve`` of the target at ``TEMPERATURES``.

    ``right``: whether the teacher's likeliest class is the label; ``likely`` is that class. ``dropped``: the bits that
    keeping only that class throws away.
    """

    image: int
    names: tuple[str, ...]
    label: int
    likely: int
    temperature: float
    target: tuple[float, ...]
    taught: tuple[float, ...]
    bits: float
    dropped: float
    curve: tuple[float, ...]


def info(values: Values) -> Targets:
    """The target for one image."""
    seen, row, now, part = answers(), int(values["image"]), float(values["temperature"]), float(values["weight"])
    shares = taught(row, now, values["teacher"])
    said = _hardened(shares) if values["hard"] else shares
    label = np.eye(len(seen.names))[seen.labels[row]]
    curve = [taught(row, float(t), values["teacher"]) for t in TEMPERATURES]
    mixed = [(1 - part) * label + part * (_hardened(s) if values["hard"] else s) for s in curve]
    target = (1 - part) * label + part * said
    return Targets(
        row, seen.names, seen.labels[row], int(shares.argmax()), now, tuple(target.tolist()),
        tuple((part * said).tolist()), float(entropy(target)), float(entropy(shares)),
        tuple(entropy(np.array(mixed)).tolist()),
    )  # fmt: skip


def taught(row: int, temperature: float, who: str) -> Array:
    """The shares that one or both give at a temperature."""
    seen = answers()
    sides = {"teacher": [seen.teacher], "student": [seen.student], "both": [seen.teacher, seen.student]}[who]
    found: Array = np.mean([softmax(side[row], temperature) for side in sides], axis=0)
    return found


def _hardened(shares: Array) -> Array:
    found: Array = np.eye(len(shares))[int(shares.argmax())]
    return found


def draw(info: Targets, theme: Theme, words: Words) -> str:
    """Stacked bars of the target on the left, its entropy over temperature on the right."""
    picture = Picture(theme, HEIGHT)
    picture.key(0, 14, [("square", theme.teacher, words["from_teacher"]), ("square", theme.dense, words["from_label"])])
    picture.image(0, 36, 56, image(info.image))
    for i, (name, share, part) in enumerate(zip(info.names, info.target, info.taught, strict=True)):
        y, shown = 46 + ROW * i, class_of(words, name)
        picture.text(150, y, f"{shown} ✓" if i == info.label else shown, "end", bold=i == info.label)
        picture.rect(157, y - 8, 100, 16, theme.grid)
        picture.rect(157, y - 8, 100 * part, 16, theme.teacher, f"{words['from_teacher']}: {format_share(part)}")
        picture.rect(157 + 100 * part, y - 8, 100 * (share - part), 16, theme.dense,
                     f"{words['from_label']}: {format_share(share - part)}")  # fmt: skip
        picture.text(263, y, format_share(share), colour=theme.muted, size=13)
    pane = Pane(picture, 350, 66, 182, 190, (1.0, 20.0), (0.0, 3.4))
    pane.axes(words["x"], words["y"], [(t, f"{t:g}") for t in (1, 5, 10, 15, 20)], round_ticks(0, 3.4, str, 4))
    pane.level(float(np.log2(len(info.names))), theme.muted, "2 3", 1)
    pane.curve(TEMPERATURES, info.curve, theme.front)
    pane.point(info.temperature, info.bits, "circle", theme.front, 6)
    return picture.svg()


def alt(info: Targets, words: Words) -> str:
    """The largest shares of the target and its entropy."""
    order = sorted(range(len(info.target)), key=lambda i: -info.target[i])[:3]
    named = ", ".join(f"{class_of(words, info.names[i])} {format_share(info.target[i])}" for i in order)
    return words["alt"].format(shares=named, bits=f"{info.bits:.2f}", label=class_of(words, info.names[info.label]))


def facts(info: Targets) -> tuple[Fact, ...]:
    """Entropy of the target, what a hardened answer drops, the label's share, the strongest other class."""
    others = [s for i, s in enumerate(info.target) if i != info.label]
    return (
        Fact("bits", info.bits, "bits"), Fact("dropped", info.dropped, "bits"),
        Fact("label", info.target[info.label], "share"), Fact("other", max(others), "share"),
    )  # fmt: skip


FIGURE = Live("targets", KNOBS, info, draw, alt, facts)
