"""The measured results that came with the project, and one more point that sliders move: who dominates whom.

Hypervolume as in Zitzler and Thiele 1998 (PPSN V:292): the area that the front dominates, here in points of accuracy
times tenfold steps of size.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from engine.figures.svg import Pane, Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import shipped
from engine.search.pareto import dominates, front, hypervolume
from engine.units import format_bytes, format_share

SIZES, QUALITIES = (1e3, 1e8), (0.75, 0.96)
HEIGHT = 336
KNOBS = (
    Knob("size", "float", 5000.0, "Bytes of the point's file.", 1e3, 1e8, log=True, unit="bytes"),
    Knob("quality", "float", 0.9, "The point's accuracy on validation.", 0.75, 0.96, step=0.002),
)


class Pareto(NamedTuple):
    """``points`` (bytes, accuracy); places of those on the front, and of those that the moved point dominates
    (``worse``) or is dominated by (``better``).

    ``volume``: of the front with the point; ``gain``: what the point adds, in points times tenfold steps.
    """

    points: tuple[tuple[float, float], ...]
    front: tuple[int, ...]
    moved: tuple[float, float]
    worse: frozenset[int]
    better: frozenset[int]
    volume: float
    gain: float


@functools.cache
def measured() -> tuple[tuple[float, float], ...]:
    """Bytes and accuracy of the shipped results of images, those of the charts' range."""
    found = {(float(r.packed_bytes), r.quality) for r in shipped() if r.quality >= QUALITIES[0]}
    return tuple(sorted(found))


def info(values: Values) -> Pareto:
    """Compare the moved point with all of them."""
    points, moved = measured(), (float(values["size"]), float(values["quality"]))
    costs, good = [p[0] for p in points], [p[1] for p in points]
    reference = (SIZES[1], QUALITIES[0])
    before = hypervolume(costs, good, reference, log=True)
    after = hypervolume([*costs, moved[0]], [*good, moved[1]], reference, log=True)
    return Pareto(
        points, tuple(front(costs, good)), moved,
        frozenset(i for i, p in enumerate(points) if dominates(*moved, *p)),
        frozenset(i for i, p in enumerate(points) if dominates(*p, *moved)), 100 * after, 100 * (after - before),
    )  # fmt: skip


def draw(info: Pareto, theme: Theme, words: Words) -> str:
    """All points, the front as steps, the quarter that the moved point dominates."""
    picture = Picture(theme, HEIGHT)
    pane = Pane(picture, 50, 60, 470, 224, SIZES, QUALITIES, log_x=True)
    sizes = [(10.0**p, format_bytes(10.0**p)) for p in range(3, 9)]
    pane.axes(words["x"], words["y"], sizes, [(v / 100, f"{v} %") for v in (75, 80, 85, 90, 95)])
    x, y = pane.across(info.moved[0]), pane.up(info.moved[1])
    picture.rect(x, y, pane.left + pane.width - x, pane.top + pane.height - y, theme.front, "", 'fill-opacity="0.1"')
    steps: list[tuple[float, float]] = []
    for i in info.front:
        cost, value = info.points[i]
        steps += [(cost, steps[-1][1])] if steps else []
        steps.append((cost, value))
    pane.curve([s[0] for s in steps], [s[1] for s in steps], theme.teacher)
    for i, (cost, value) in enumerate(info.points):
        kind, colour = ("square", theme.slower) if i in info.better else (
            ("cross", theme.muted) if i in info.worse else ("circle", theme.rest))  # fmt: skip
        pane.point(cost, value, kind, colour, 3.5, f"{format_bytes(cost)}, {format_share(value)}")
    pane.point(*info.moved, "diamond", theme.front, 8)
    entries = [("diamond", theme.front, words["moved"]), ("cross", theme.muted, words["worse"]),
               ("square", theme.slower, words["better"]), ("line", theme.teacher, words["front"])]  # fmt: skip
    picture.key(0, 14, entries)
    return picture.svg()


def alt(info: Pareto, words: Words) -> str:
    """Where the point lies and how many points are better or worse in both."""
    return words["alt"].format(size=format_bytes(info.moved[0]), quality=format_share(info.moved[1]),
                               worse=len(info.worse), better=len(info.better), count=len(info.points))  # fmt: skip


def facts(info: Pareto) -> tuple[Fact, ...]:
    """How many points it dominates and is dominated by, and what it adds to the front."""
    return (
        Fact("worse", len(info.worse), "count"), Fact("better", len(info.better), "count"),
        Fact("gain", info.gain), Fact("volume", info.volume),
    )  # fmt: skip


FIGURE = Live("pareto", KNOBS, info, draw, alt, facts)
