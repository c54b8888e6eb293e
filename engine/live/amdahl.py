"""How much faster the whole gets when a part of it does: the limit that Amdahl's law sets, and shipped students on it.

Speed-up of all = 1 / ((1 - p) + p / s) for a part that takes the share p of the time and becomes s times as fast. The
marks are profiles of shipped students in ONNX Runtime: their products with weights in 32 bits and in 8
(sample_data.live measures them). Source: Amdahl 1967, AFIPS 30:483.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.figures.svg import Pane, Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import facts as kept

FACTORS = np.geomspace(0.25, 64.0, 81)
HEIGHT = 330
KNOBS = (
    Knob("share", "float", 0.95, "Share of the time that is spent in the part that becomes faster.", 0.0, 1.0,
         step=0.01, unit="%"),
    Knob("factor", "float", 2.13, "How many times as fast that part becomes; below 1 it becomes slower.", 0.25, 64.0,
         log=True, unit="times"),
)  # fmt: skip


class Student(NamedTuple):
    """A shipped student's 8 bits beside its 32: the products' share of the time before, their factor, that of all."""

    name: str
    share: float
    factor: float
    total: float


class Amdahl(NamedTuple):
    """``total`` times as fast at most; ``limit`` were the part to take no time at all (infinite where it is all)."""

    share: float
    factor: float
    total: float
    limit: float
    curve: tuple[float, ...]
    students: tuple[Student, ...]
    machine: str


def speed_up(share: float, factor: float) -> float:
    """Amdahl's law."""
    return 1 / ((1 - share) + share / factor)


def students() -> tuple[Student, ...]:
    """The profiles as points."""
    found = []
    for name, forms in kept()["profiles"].items():
        before, after = forms["dense"], forms["int8"]
        busy = before["float"] + before["integer"]
        found.append(
            Student(
                name, busy / before["all"], busy / (after["float"] + after["integer"]), before["all"] / after["all"]
            )
        )
    return tuple(found)


def info(values: Values) -> Amdahl:
    """The law at the present place, and the measured students."""
    share, factor = float(values["share"]), float(values["factor"])
    curve = tuple(speed_up(share, float(f)) for f in FACTORS)
    limit = 1 / (1 - share) if share < 1 else float("inf")
    return Amdahl(share, factor, speed_up(share, factor), limit, curve, students(), kept()["machine"])


def draw(info: Amdahl, theme: Theme, words: Words) -> str:
    """Speed-up of all over that of the part, with the limit; bars of the time before and after."""
    picture = Picture(theme, HEIGHT)
    pane = Pane(picture, 46, 62, 296, 214, (0.25, 64.0), (0.25, 64.0), log_x=True, log_y=True)
    marks = [(v, f"{v:g}×") for v in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)]
    pane.axes(words["x"], words["y"], marks[::2], marks[::2])
    pane.curve(FACTORS, FACTORS, theme.muted, 1, "2 3")
    if info.limit <= 64:
        pane.level(info.limit, theme.slower, "6 4")
    pane.curve(FACTORS, info.curve, theme.front, 2.5)
    for student in info.students:
        title = f"{student.name}: {student.factor:.2f}×, {student.total:.2f}×"
        pane.point(student.factor, student.total, "square", theme.dense, 5, title)
    pane.point(info.factor, info.total, "circle", theme.front, 7)
    entries = [("line", theme.front, words["law"]), ("line6 4", theme.slower, words["limit"]),
               ("line2 3", theme.muted, words["all"]), ("square", theme.dense, words["measured"])]  # fmt: skip
    picture.key(0, 14, entries)
    _times(picture, info, words)
    return picture.svg()


def _times(picture: Picture, info: Amdahl, words: Words) -> None:
    """One call before and after as two bars of parts."""
    theme, after = picture.theme, info.share / info.factor
    scale = 160 / max(1.0, 1 - info.share + after)
    for i, (name, part) in enumerate((("before", info.share), ("after", after))):
        y = 84 + 62 * i
        picture.text(372, y, words[name])
        picture.rect(372, y + 12, scale * (1 - info.share), 20, theme.rest, words["rest"])
        picture.rect(372 + scale * (1 - info.share), y + 12, scale * part, 20, theme.front, words["part"])
    picture.symbol(378, 222, "square", theme.front, 5)
    picture.text(392, 222, words["part"], size=13)
    picture.symbol(378, 244, "square", theme.rest, 5)
    picture.text(392, 244, words["rest"], size=13)


def alt(info: Amdahl, words: Words) -> str:
    """The law in numbers and the students."""
    told = "; ".join(f"{s.name} {s.factor:.2f}, {s.total:.2f}" for s in info.students)
    limit = f"{info.limit:.3g}" if info.share < 1 else "∞"
    return words["alt"].format(share=f"{100 * info.share:.0f} %", factor=f"{info.factor:.3g}", limit=limit,
                               total=f"{info.total:.3g}", students=told, machine=info.machine)  # fmt: skip


def facts(info: Amdahl) -> tuple[Fact, ...]:
    """The whole's factor, its limit, the time that is left."""
    found = (Fact("total", info.total, "times"), Fact("left", 1 / info.total, "share"))
    return (*found, Fact("limit", info.limit, "times")) if info.share < 1 else found


FIGURE = Live("amdahl", KNOBS, info, draw, alt, facts)
