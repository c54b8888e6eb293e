"""Two answers on a line: a teacher with two peaks, a student with one that sliders move, and what each loss says.

The forward divergence punishes a student that gives nothing where the teacher gives something, so its best student
covers both peaks (its mean and width are the teacher's own moments); the reverse one punishes the opposite, so its best
student sits on one peak. Densities are sums over a fine grid. Sources: Bishop 2006, PRML, section 10.1.2, figure 10.2;
Gu et al. 2024, MiniLLM (arXiv:2306.08543), section 2.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from engine.figures.svg import Pane, Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import Array

MEASURES = ("forward", "reverse", "jsd", "mse")
LINE = np.linspace(-10.0, 10.0, 801)
STEP = float(LINE[1] - LINE[0])
LESS, MORE, PEAK = 0.4, 0.6, 0.8  # shares of the teacher's left and right peak, and how wide both are
MEANS = np.linspace(-6.0, 6.0, 61)
TINY, HIGHEST = 1e-300, 4.0  # nats drawn at most
COARSE = 4  # a search for the best student needs every fourth place of the line
HEIGHT = 324
KNOBS = (
    Knob("mean", "float", 0.0, "Where the student's only peak lies.", -6.0, 6.0, step=0.2),
    Knob("width", "float", 1.0, "How wide the student's peak is (its standard deviation).", 0.4, 5.0, step=0.1),
    Knob("gap", "float", 5.0, "How far apart the teacher's two peaks are.", 0.0, 8.0, step=0.5),
    Knob("measure", "str", "forward", "Which loss is asked for its best student.", choices=MEASURES),
)  # fmt: skip


class Divergence(NamedTuple):
    """Densities on ``LINE``; values by measure (nats; of mse the integral of the squared difference).

    ``entropy`` is the teacher's, in nats: the cross-entropy is that plus the forward divergence. ``best``: mean and
    width of the best student of the chosen measure. ``curve``: the measure at ``MEANS``, at the present width.
    """

    measure: str
    mean: float
    width: float
    teacher: Array
    student: Array
    values: dict[str, float]
    entropy: float
    best: tuple[float, float]
    best_student: Array
    curve: tuple[float, ...]


def normal(mean: Array | float, width: Array | float, line: Array = LINE) -> Array:
    """Normal densities on a line [L]; means and widths [...] give [..., L]."""
    place = (line - np.asarray(mean)[..., None]) / np.asarray(width)[..., None]
    found: Array = np.exp(-0.5 * place**2) / (np.asarray(width)[..., None] * math.sqrt(2 * math.pi))
    return found


def teacher_of(gap: float) -> Array:
    """Two peaks ``gap`` apart around zero, three fifths of the mass on the right one."""
    found: Array = LESS * normal(-gap / 2, PEAK) + MORE * normal(gap / 2, PEAK)
    return found


def distance(measure: str, teacher: Array, student: Array) -> Array:
    """One of MEASURES between densities [..., L], as a sum over the grid."""
    if measure == "mse":
        found: Array = np.square(teacher - student).sum(-1) * STEP
        return found
    if measure == "jsd":
        middle = (teacher + student) / 2
        return (distance("forward", teacher, middle) + distance("forward", student, middle)) / 2
    first, second = (teacher, student) if measure == "forward" else (student, teacher)
    logs = np.log(np.maximum(first, TINY)) - np.log(np.maximum(second, TINY))
    total: Array = (first * logs).sum(-1) * STEP
    return total


@functools.lru_cache(maxsize=128)
def best(measure: str, gap: float) -> tuple[float, float]:
    """Mean and width of the student with the least of a measure: moments for the forward one, else a search."""
    teacher = teacher_of(gap)
    mean = float((LINE * teacher).sum() * STEP)
    width = float(np.sqrt((np.square(LINE - mean) * teacher).sum() * STEP))
    if measure == "forward":
        return mean, width
    means, widths = np.linspace(-gap / 2 - 0.5, gap / 2 + 0.5, 33), np.linspace(0.5, max(width * 1.2, 1.2), 12)
    coarse = slice(None, None, COARSE)
    for _ in range(5):  # a grid, then finer ones around its best place
        grid = np.stack(np.meshgrid(means, widths, indexing="ij"), -1).reshape(-1, 2)
        found = distance(measure, teacher[coarse], normal(grid[:, 0], grid[:, 1], LINE[coarse]))
        mean, width = (float(v) for v in grid[int(found.argmin())])
        spans = means[1] - means[0], widths[1] - widths[0]
        means, widths = (np.linspace(max(v - s, 0.05) if i else v - s, v + s, 9)
                         for i, (v, s) in enumerate(zip((mean, width), spans, strict=True)))  # fmt: skip
    return mean, width


def info(values: Values) -> Divergence:
    """Everything at the present places."""
    measure, mean, width, gap = (values[n] for n in ("measure", "mean", "width", "gap"))
    teacher, student = teacher_of(gap), normal(mean, width)
    every = {m: float(distance(m, teacher, student)) for m in MEASURES}
    entropy = -float((teacher * np.log(np.maximum(teacher, TINY))).sum() * STEP)
    at = best(measure, gap)
    curve = distance(measure, teacher, normal(MEANS, np.full(len(MEANS), width)))
    return Divergence(measure, mean, width, teacher, student, every, entropy, at, normal(*at), tuple(curve.tolist()))


def draw(info: Divergence, theme: Theme, words: Words) -> str:
    """The densities on the left, the chosen measure over the student's mean on the right."""
    picture = Picture(theme, HEIGHT)
    shown = slice(80, 721, 5)  # from -8 to 8
    most = float(max(info.teacher.max(), min(info.student.max(), 0.6), info.best_student.max())) * 1.08
    pane = Pane(picture, 8, 62, 276, 206, (-8.0, 8.0), (0.0, most))
    pane.axes(words["line"], words["density"], [(v, f"{v:g}".replace("-", "−")) for v in (-8, -4, 0, 4, 8)])
    pane.curve(LINE[shown], info.teacher[shown], theme.teacher, fill=True)
    pane.curve(LINE[shown], np.minimum(info.student[shown], most), theme.front, 2.5)
    pane.curve(LINE[shown], info.best_student[shown], theme.slower, 2, "6 4")
    picture.key(0, 14, [("line", theme.teacher, words["teacher"]), ("line", theme.front, words["student"]),
                        ("line6 4", theme.slower, words["best"])])  # fmt: skip
    high = {"jsd": math.log(2) * 1.05, "mse": 0.9}.get(info.measure, HIGHEST)
    right = Pane(picture, 338, 62, 194, 206, (-6.0, 6.0), (0.0, high))
    unit = words["unit_mse" if info.measure == "mse" else "unit_nats"]
    ticks = [(high * i / 4, f"{high * i / 4:.2g}") for i in range(5)]
    right.axes(words["mean"], f"{words[f'option.measure.{info.measure}']} ({unit})",
               [(v, f"{v:g}".replace("-", "−")) for v in (-6, -3, 0, 3, 6)], ticks)  # fmt: skip
    for run in _runs(info.curve, high):
        right.curve(MEANS[run], info.curve[run], theme.front)
    right.rule(info.best[0], theme.slower, "6 4")
    right.point(info.mean, info.values[info.measure], "circle", theme.front, 6,
                hollow=info.values[info.measure] > high)  # fmt: skip
    return picture.svg()


def _runs(values: tuple[float, ...], most: float) -> list[slice]:
    """Where a curve lies within the pane: beyond it would be a flat line that nobody measured."""
    inside = np.concatenate(([False], np.array(values) <= most, [False]))
    starts, ends = np.flatnonzero(inside[1:] & ~inside[:-1]), np.flatnonzero(~inside[1:] & inside[:-1])
    return [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def alt(info: Divergence, words: Words) -> str:
    """The student's place, what the losses say, the best student's place."""
    told = {m: f"{v:.2f}" for m, v in info.values.items()}
    return words["alt"].format(mean=f"{info.mean:g}", width=f"{info.width:g}", **told, best=f"{info.best[0]:.1f}",
                               best_width=f"{info.best[1]:.1f}",
                               measure=words[f"option.measure.{info.measure}"])  # fmt: skip


def facts(info: Divergence) -> tuple[Fact, ...]:
    """All losses at this student."""
    return (
        Fact("forward", info.values["forward"], "nats"), Fact("reverse", info.values["reverse"], "nats"),
        Fact("ce", info.values["forward"] + info.entropy, "nats"), Fact("jsd", info.values["jsd"], "nats"),
        Fact("mse", info.values["mse"]),
    )  # fmt: skip


FIGURE = Live("divergence", KNOBS, info, draw, alt, facts)
