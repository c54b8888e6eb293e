"""Every shipped student in 8 bits beside itself in 32: always a smaller file, and often more time.

Times are paired medians of ONNX Runtime on the machine that the results name, with 95 % intervals (docs/statistics.md).
"""

from __future__ import annotations

from typing import NamedTuple

from engine.figures.svg import Anchor, Pane, Picture
from engine.figures.theme import Theme
from engine.knobs import Knob
from engine.live.base import Fact, Live, Values, Words
from engine.live.data import Measured, shipped
from engine.units import format_bytes

HEIGHT = 330
STUDENTS = ("plain_1k5", "plain_5k", "plain_10k", "plain_29k", "plain_150k", "depthwise_1k4", "depthwise_5k",
            "depthwise_10k", "depthwise_28k", "depthwise_134k", "resnet18")  # fmt: skip
BATCHES = ("one", "many")
KNOBS = (
    Knob("student", "str", "plain_10k", "Which student is told about.", choices=STUDENTS),
    Knob("batch", "str", "one", "Whether one image is answered at a time, or 32 together.", choices=BATCHES),
)


class Pair(NamedTuple):
    """A student's file in 32 bits, its file in 8 bits by that, its time likewise with the 95 % interval."""

    name: str
    dense_bytes: int
    size: float
    time: float
    low: float
    high: float


class Latency(NamedTuple):
    """All pairs by size, which one is told about, and where it was measured."""

    pairs: tuple[Pair, ...]
    chosen: int
    batch: str
    machine: str


def info(values: Values) -> Latency:
    """The pairs at a batch size."""
    rows = [r for r in shipped() if r.pruning == "none" and not r.grid]
    dense = {r.student: r for r in rows if r.bits == 32}
    found = [_pair(dense[r.student], r, values["batch"]) for r in rows
             if r.bits == 8 and not r.simulated and r.student in STUDENTS]  # fmt: skip
    pairs = tuple(sorted(found, key=lambda p: p.dense_bytes))
    chosen = next(i for i, p in enumerate(pairs) if p.name == values["student"])
    return Latency(pairs, chosen, values["batch"], rows[0].machine)


def _pair(dense: Measured, small: Measured, batch: str) -> Pair:
    ratio = small.ratio if batch == "one" else small.ratio32
    return Pair(small.student, dense.packed_bytes, small.packed_bytes / dense.packed_bytes, *ratio)


def draw(info: Latency, theme: Theme, words: Words) -> str:
    """Time by time in 32 bits over the size of the network; above the line smaller is slower."""
    picture = Picture(theme, HEIGHT)
    pane = Pane(picture, 52, 60, 480, 218, (4e3, 6e7), (0.125, 4.0), log_x=True, log_y=True)
    sizes = [(v, format_bytes(v)) for v in (1e4, 1e5, 1e6, 1e7)]
    pane.axes(words["x"], words["y"], sizes, [(v, f"{v:g}×") for v in (0.125, 0.25, 0.5, 1, 2, 4)])
    pane.level(1.0, theme.text, "", 1)
    picture.text(530, pane.up(1.0) - 12, words["slower"], "end", theme.text, 13)
    picture.text(530, pane.up(1.0) + 12, words["faster"], "end", theme.text, 13)
    for i, pair in enumerate(info.pairs):
        slower, large = pair.low > 1, 8 if i == info.chosen else 5
        kind = "cross" if slower else "circle" if pair.high < 1 else "diamond"
        colour = theme.slower if slower else theme.teacher if pair.high < 1 else theme.muted
        x = pane.across(pair.dense_bytes)
        picture.line(x, pane.up(pair.low), x, pane.up(pair.high), colour, 2)
        pane.point(pair.dense_bytes, pair.time, kind, colour, large, f"{pair.name}: {pair.time:.2f}×")
    pair = info.pairs[info.chosen]
    anchor: Anchor
    anchor, below = ("start", 18) if pair.dense_bytes < 1e6 else ("end", -16)
    picture.text(pane.across(pair.dense_bytes), pane.up(pair.time) + below, pair.name, anchor, bold=True)
    picture.key(0, 14, [("cross", theme.slower, words["key_slower"]), ("circle", theme.teacher, words["key_faster"]),
                        ("diamond", theme.muted, words["key_level"])])  # fmt: skip
    return picture.svg()


def alt(info: Latency, words: Words) -> str:
    """The chosen student, and how many are slower."""
    pair = info.pairs[info.chosen]
    return words["alt"].format(student=pair.name, size=f"{pair.size:.2f}", time=f"{pair.time:.2f}",
                               low=f"{pair.low:.2f}", high=f"{pair.high:.2f}", count=len(info.pairs),
                               slower=sum(p.low > 1 for p in info.pairs), machine=info.machine)  # fmt: skip


def facts(info: Latency) -> tuple[Fact, ...]:
    """Size and time of the chosen student in 8 bits by those in 32."""
    pair = info.pairs[info.chosen]
    return (
        Fact("size", pair.size, "share"), Fact("time", pair.time, "share"), Fact("low", pair.low, "share"),
        Fact("high", pair.high, "share"), Fact("slower", sum(p.low > 1 for p in info.pairs), "count"),
    )  # fmt: skip


FIGURE = Live("latency", KNOBS, info, draw, alt, facts)
