"""What a Pareto chart shows, before anything is drawn: quality against one cost for all measured points of a task."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.errors import unknown_name
from engine.figures.hover import hover_text, quality_words
from engine.figures.labels import Labels, labels_of
from engine.search import pareto
from engine.units import BYTE_STEPS, COUNT_STEPS, TIME_STEPS, decade_ticks, format_bytes, format_count, format_ms

Row = Mapping[str, Any]
Steps = tuple[tuple[float, str], ...]
# the groups in drawing order: later ones lie on top
GROUPS = ("grid", "shipped", "trial", "baseline", "dense", "teacher")
SHOWN_BELOW_BEST = 0.16
FAR = 3.0  # how many times the typical distance from the best a quality that is no share opens with
LEAST_SPAN = 2.6
SURE, SURE_WORDS = 0.01, "99 %"


class Axis(NamedTuple):
    """How a cost is read and written; ``low`` and ``high`` name the columns of its interval."""

    steps: Steps
    low: str = ""
    high: str = ""
    timed: bool = False


COSTS: dict[str, Axis] = {
    "packed_bytes": Axis(BYTE_STEPS),
    "onnx_bytes": Axis(BYTE_STEPS),
    "latency_ms": Axis(TIME_STEPS, "latency_low_ms", "latency_high_ms", timed=True),
    "latency32_ms": Axis(TIME_STEPS, timed=True),
    "macs": Axis(COUNT_STEPS),
}


class Mark(NamedTuple):
    """One point. ``hollow``: its time is simulated; ``elsewhere``: timed on another machine than this one.

    ``chance``: the probability of being on the front; ``replicate``: one seed of several, whose mean is a point.
    """

    key: str
    x: float
    y: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float
    group: str
    front: bool
    hollow: bool
    slower: bool
    elsewhere: bool
    hover: str
    chance: float | None = None
    replicate: bool = False


class ParetoInfo(NamedTuple):
    """A chart. ``front`` holds positions in ``points`` by rising cost; ``knee`` and ``selected`` are positions.

    ``x_range`` and ``y_range`` are what the chart opens with; ``below`` points lie under it (zooming out shows them).
    ``left_out`` rows lacked the cost or the quality.
    """

    cost: str
    metric: str
    direction: str
    points: tuple[Mark, ...]
    front: tuple[int, ...]
    knee: int | None
    selected: int | None
    left_out: int
    below: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    ticks: tuple[list[float], list[str]]


def pareto_info(
    rows: Sequence[Row],
    cost: str = "packed_bytes",
    *,
    selected: str | None = None,
    metric: str = "accuracy",
    direction: str = "maximize",
    machine: str | None = None,
    labels: Labels | None = None,
    chances: Sequence[float | None] | None = None,
) -> ParetoInfo:
    """The points of ``rows`` (the dicts of ``engine.api.rows``), their front and what to open with.

    Times from different machines are not comparable: once a point was timed on ``machine`` (default: where the newest
    trial of this home ran) only such points enter the front of a time. Previews never do, nor runs whose seeds stand
    there as one (``replicate``). ``chances`` are each row's of being on it. Raises :class:`InputError` for a bad cost.
    """
    axis = axis_of(cost)
    words = labels_of(labels)
    places = [i for i, row in enumerate(rows) if _usable(row, cost)]
    usable = [rows[i] for i in places]
    sure = [chances[i] if chances is not None else None for i in places]
    here = _foreign(usable, machine) if axis.timed else [False] * len(usable)
    free = _counting(usable, here)
    costs = [row[cost] if ok else None for row, ok in zip(usable, free, strict=True)]
    qualities = [row["quality"] for row in usable]
    line = pareto.front(costs, qualities, direction)
    on_front = set(line)
    texts = [told(hover_text(row, words, metric), sure[i], words) for i, row in enumerate(usable)]
    points = tuple(_mark(row, cost, axis, i in on_front, here[i], texts[i], sure[i]) for i, row in enumerate(usable))
    chosen = next((i for i, mark in enumerate(points) if selected is not None and mark.key == selected), None)
    y_range, below = _y_range(points, direction, chosen)
    x_range = _x_range(points, y_range)
    bend = pareto.knee(costs, qualities, direction)
    ticks, left_out = decade_ticks(*x_range, axis.steps), len(rows) - len(usable)
    return ParetoInfo(
        cost, metric, direction, points, tuple(line), bend, chosen, left_out, below, x_range, y_range, ticks
    )


def free_of(rows: Sequence[Row], cost: str, machine: str | None = None) -> list[bool]:
    """Which rows may be on the front of ``cost``, as in :func:`pareto_info`."""
    usable = [i for i, row in enumerate(rows) if _usable(row, cost)]
    some = [rows[i] for i in usable]
    here = _foreign(some, machine) if axis_of(cost).timed else [False] * len(some)
    found = [False] * len(rows)
    for i, free in zip(usable, _counting(some, here), strict=True):
        found[i] = free
    return found


def told(hover: str, chance: float | None, words: Labels) -> str:
    """A point's text with its chance of being on the front, where there is one worth telling."""
    if chance is None or chance < SURE:
        return hover
    shown = f"> {SURE_WORDS}" if chance > 1 - SURE else f"{100 * chance:.0f} %"
    return f"{hover}<br>{words['hover_chance'].format(chance=shown)}"


def alt_text(info: ParetoInfo, labels: Labels | None = None) -> str:
    """The chart for those who cannot see it."""
    words = labels_of(labels)
    if not info.points:
        return words["alt_pareto_empty"]
    marks = [_alt_mark(info, i, name, words) for i, name in ((info.knee, "alt_knee"), (info.selected, "alt_selected"))]
    return words["alt_pareto"].format(
        count=len(info.points), metric=words[f"metric_{info.metric}"], axis=words[f"axis_{info.cost}"],
        front=len(info.front), ends=_alt_ends(info, words), marks=" ".join(m for m in marks if m),
    ).strip()  # fmt: skip


def axis_of(cost: str) -> Axis:
    """How ``cost`` is read; raises :class:`InputError` with the nearest name."""
    if cost not in COSTS:
        raise unknown_name("cost", cost, COSTS)
    return COSTS[cost]


def cost_words(value: float, cost: str) -> str:
    """``value`` of the column ``cost`` with its unit."""
    steps = axis_of(cost).steps
    writers = {BYTE_STEPS: format_bytes, TIME_STEPS: format_ms, COUNT_STEPS: format_count}
    return writers[steps](value)


def group_of(row: Row) -> str:
    """One of GROUPS: the role when it is a reference, otherwise where the point comes from."""
    role, origin = row.get("role"), row.get("origin")
    if role in ("teacher", "dense", "baseline"):
        return str(role)
    return str(origin) if origin in ("grid", "shipped") else "trial"


def _usable(row: Row, cost: str) -> bool:
    value, quality = row.get(cost), row.get("quality")
    if value is None or quality is None or row.get("state", "done") != "done":
        return False
    return 0 < value < math.inf and math.isfinite(quality)


def _counting(rows: Sequence[Row], foreign: Sequence[bool]) -> list[bool]:
    return [not (away or row.get("preview") or row.get("replicate")) for row, away in zip(rows, foreign, strict=True)]


def _foreign(rows: Sequence[Row], machine: str | None) -> list[bool]:
    """Which rows were timed on another machine; none when nothing was timed on this one yet."""
    own = [row for row in rows if row.get("origin") != "shipped" and row.get("machine")]
    here: Row = {"machine": machine}
    if machine is None and own:
        here = max(own, key=lambda row: str(row.get("created") or ""))
    foreign = [not _same_machine(row, here) for row in rows]
    return [False] * len(rows) if all(foreign) else foreign


def _same_machine(row: Row, here: Row) -> bool:
    """By their ids where both are known: many different processors call themselves "AMD EPYC"."""
    name = "machine_id" if row.get("machine_id") and here.get("machine_id") else "machine"
    return not (row.get(name) and here.get(name)) or bool(row[name] == here[name])


def _mark(row: Row, cost: str, axis: Axis, front: bool, elsewhere: bool, hover: str, chance: float | None) -> Mark:
    x, y = float(row[cost]), float(row["quality"])
    x_low, x_high = (row.get(axis.low), row.get(axis.high)) if axis.low else (None, None)
    y_low, y_high = row.get("quality_low"), row.get("quality_high")
    return Mark(
        str(row["key"]), x, y,
        x if x_low is None else float(x_low), x if x_high is None else float(x_high),
        y if y_low is None else float(y_low), y if y_high is None else float(y_high),
        group_of(row), front, axis.timed and bool(row.get("simulated")), bool(row.get("slower_here")), elsewhere, hover,
        chance, bool(row.get("replicate")),
    )  # fmt: skip


def _y_range(points: Sequence[Mark], direction: str, chosen: int | None) -> tuple[tuple[float, float], int]:
    """Down to ruined grid points would squeeze the interesting part: they start out of sight, counted.

    The chosen point is always in sight.
    """
    if not points:
        return (0.0, 1.0), 0
    sign = 1.0 if direction == "maximize" else -1.0
    good = [sign * p.y for p in points]
    low, high, below = min(good), max(good), 0
    reach = SHOWN_BELOW_BEST if direction == "maximize" else FAR * (high - statistics.median(good))
    if 0 < reach < high - low:
        floor = high - reach if chosen is None else min(high - reach, good[chosen])
        kept = [value for value in good if value >= floor]
        low, below = min(kept), len(good) - len(kept)
    margin = max(0.06 * (high - low), 0.005 if direction == "maximize" else 0.02 * abs(high))
    ends = sorted((sign * (low - margin), sign * (high + margin)))
    return (ends[0], ends[1]), below


def _x_range(points: Sequence[Mark], y_range: tuple[float, float]) -> tuple[float, float]:
    shown = [p.x for p in points if y_range[0] <= p.y <= y_range[1]]
    if not shown:
        return 1.0, 10.0
    low, high = min(shown), max(shown)
    # points of nearly one cost: wide enough that one of the ticks 1, 2, 5 lies inside and names the unit
    factor = max((high / low) ** 0.06, 1.2, math.sqrt(LEAST_SPAN * low / high))
    return low / factor, high * factor


def _alt_ends(info: ParetoInfo, words: Labels) -> str:
    if not info.front:
        return "-"
    first, last = info.points[info.front[0]], info.points[info.front[-1]]
    return words["alt_ends" if len(info.front) > 1 else "alt_one"].format(
        low_quality=quality_words(first.y, info.metric), low_cost=cost_words(first.x, info.cost),
        high_quality=quality_words(last.y, info.metric), high_cost=cost_words(last.x, info.cost),
    )  # fmt: skip


def _alt_mark(info: ParetoInfo, position: int | None, name: str, words: Labels) -> str:
    if position is None:
        return ""
    mark = info.points[position]
    return words[name].format(quality=quality_words(mark.y, info.metric), cost=cost_words(mark.x, info.cost))
