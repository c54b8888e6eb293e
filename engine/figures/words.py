"""The facts behind "9.1x smaller, 0.6 points below the teacher, 1.3x slower here because ...": data, not words.

A page's message file turns them into a sentence in its language.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Comparison = Literal["above", "below", "level", "unknown"]
Speed = Literal["faster", "slower", "level", "unknown"]
Size = Literal["smaller", "larger", "level", "unknown"]
LEVEL_RATIO = 1.02


class Facts(NamedTuple):
    """One finished trial against its references.

    Sizes are of packed files. ``times_smaller`` is the dense student's bytes over this trial's, ``size`` the word for
    it, ``size_factor`` at least 1 and ready to print; ``times_smaller_than_teacher`` likewise. Points are percentage
    points of the metric, positive when this trial is better; ``beside_*`` is "level" while the difference's 95 %
    interval holds zero. Speed is the paired latency ratio to the dense student: "level" while its interval holds one;
    ``speed_factor`` is at least 1. ``cause`` is one of the causes in engine.measure when smaller is slower here.
    ``simulated``: the time is that of another number format.
    """

    value: float
    metric: str
    packed_bytes: int
    latency_ms: float | None
    size: Size
    size_factor: float | None
    times_smaller: float | None
    times_smaller_than_teacher: float | None
    points_over_teacher: float | None
    points_over_dense: float | None
    points_over_baseline: float | None
    beside_teacher: Comparison
    beside_dense: Comparison
    beside_baseline: Comparison
    speed: Speed
    speed_factor: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    slower_here: bool
    cause: str | None
    simulated: bool


def facts(run: Mapping[str, Any], paired: Mapping[str, Mapping[str, float]] | None = None) -> Facts:
    """``run`` is the object of ``engine.api.result`` (baseline, dense and teacher may be None).

    ``paired`` maps "teacher", "dense", "baseline" to ``{"difference", "low", "high"}`` of ``engine.api.paired``
    (fractions, this trial minus the other). Without it a comparison gives the difference but is "unknown".
    """
    quality, cost, given = run["quality"], run["cost"], paired or {}
    sign = 1.0 if quality.get("direction", "maximize") == "maximize" else -1.0
    latency = cost.get("latency") or {}
    smaller = _times(run.get("dense"), cost)
    ratio, low, high = (latency.get(name) for name in ("ratio", "ratio_low", "ratio_high"))
    speed = _speed(ratio, low, high)
    points = {name: _points(run, name, given, sign) for name in ("teacher", "dense", "baseline")}
    return Facts(
        value=quality["value"], metric=quality["metric"], packed_bytes=cost["packed_bytes"],
        latency_ms=latency.get("median_ms"), size=_size(smaller), size_factor=_at_least_one(smaller),
        times_smaller=smaller, times_smaller_than_teacher=_times(run.get("teacher"), cost),
        points_over_teacher=points["teacher"], points_over_dense=points["dense"],
        points_over_baseline=points["baseline"], beside_teacher=_beside(given.get("teacher"), sign),
        beside_dense=_beside(given.get("dense"), sign), beside_baseline=_beside(given.get("baseline"), sign),
        speed=speed, speed_factor=_at_least_one(ratio), ratio=ratio, ratio_low=low, ratio_high=high,
        slower_here=bool(latency.get("slower_here")), cause=latency.get("cause"),
        simulated=bool(latency.get("simulated")),
    )  # fmt: skip


def _times(other: Mapping[str, Any] | None, cost: Mapping[str, Any]) -> float | None:
    theirs = ((other or {}).get("cost") or {}).get("packed_bytes")
    return None if not theirs or not cost["packed_bytes"] else theirs / cost["packed_bytes"]


def _points(run: Mapping[str, Any], name: str, paired: Mapping[str, Mapping[str, float]], sign: float) -> float | None:
    if paired.get(name):
        return 100 * sign * paired[name]["difference"]
    other = (run.get(name) or {}).get("quality")
    return None if not other else 100 * sign * (run["quality"]["value"] - other["value"])


def _beside(paired: Mapping[str, float] | None, sign: float) -> Comparison:
    if not paired:
        return "unknown"
    ends = sorted((sign * paired["low"], sign * paired["high"]))
    if not all(math.isfinite(e) for e in ends):
        return "unknown"
    return "above" if ends[0] > 0 else "below" if ends[1] < 0 else "level"


def _speed(ratio: float | None, low: float | None, high: float | None) -> Speed:
    if ratio is None or low is None or high is None:
        return "unknown"
    return "slower" if low > 1 else "faster" if high < 1 else "level"


def _size(times: float | None) -> Size:
    if times is None:
        return "unknown"
    return "smaller" if times > LEVEL_RATIO else "larger" if times < 1 / LEVEL_RATIO else "level"


def _at_least_one(ratio: float | None) -> float | None:
    return None if not ratio else max(ratio, 1 / ratio)
