"""What a trial gives back: frozen values whose JSON is the object that ``stillhouse run --json`` prints.

Units: proportions are fractions of one, sizes bytes, latencies milliseconds, runs seconds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import FileError

STATES = ("queued", "running", "done", "failed", "cancelled")
ORIGINS = ("trial", "grid", "shipped")
DIRECTIONS = ("maximize", "minimize")
LATENCIES = {1: "latency", 8: "latency_batch8", 32: "latency_batch32"}  # Cost's fields by batch size


@dataclass(frozen=True)
class Quality:
    """A task's metric with its 95 % interval over examples; ``method`` made the interval (wilson or bootstrap)."""

    metric: str
    value: float
    low: float
    high: float
    direction: str = "maximize"
    method: str = "wilson"

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.value, self.low, self.high)):
            raise ValueError(f"{self.metric}: quality must be finite, got {self}")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.metric}: the interval must hold the value, got {self}")
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction {self.direction!r} is none of {DIRECTIONS}")


@dataclass(frozen=True)
class Latency:
    """Time of one call: pooled median, 95th percentile, interval of the median; the ratio is to the dense student.

    ``simulated``: the timed graph does not execute the recipe's number format. ``slower_here``: fewer bytes than the
    dense student while the paired ratio's interval lies above 1; ``cause`` is then one of CAUSES in engine.measure.
    ``memory_bytes``: what loading and running it added to the resident memory of a process with ONNX Runtime.
    """

    median_ms: float
    p95_ms: float
    low_ms: float
    high_ms: float
    runtime: str
    threads: int
    batch: int
    simulated: bool
    slower_here: bool
    cause: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    cpu_ms: float | None = None
    rounds: int = 0
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.median_ms < math.inf:
            raise ValueError(f"a latency must be positive and finite, got {self.median_ms}")


@dataclass(frozen=True)
class Cost:
    """What an artifact costs; ``macs`` is for one example, ``latency`` for batch 1, the others for 8 and 32."""

    onnx_bytes: int
    packed_bytes: int
    parameters: int
    nonzero: int
    macs: int
    latency: Latency | None = None
    latency_batch32: Latency | None = None
    latency_batch8: Latency | None = None


@dataclass(frozen=True)
class CurvePoint:
    """One epoch: mean training loss, quality on validation; ``moved``: settings that the loss changed by itself."""

    epoch: int
    loss: float
    quality: float
    phase: int = 0
    moved: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PhaseResult:
    """What the student was after a phase; cost only where it was exported."""

    name: str
    quality: float | None
    cost: Cost | None = None


@dataclass(frozen=True)
class Result:
    """A finished trial. ``recipe`` is canonical JSON; ``artifact`` holds file names inside the trial's folder.

    ``preview``: a grid point measured on the first 1,000 validation examples only, replaced when all are measured.
    """

    key: str
    state: str
    recipe: Mapping[str, Any]
    quality: Quality
    cost: Cost
    metrics: Mapping[str, float]
    origin: str = "trial"
    attempts: int = 1
    seconds: float = 0.0
    preview: bool = False
    test: Quality | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    artifact: Mapping[str, str] = field(default_factory=dict)
    phases: tuple[PhaseResult, ...] = ()
    curve: tuple[CurvePoint, ...] = ()

    def __post_init__(self) -> None:
        if self.state not in STATES or self.origin not in ORIGINS:
            raise ValueError(f"state {self.state!r} or origin {self.origin!r} is unknown")

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Result:
        """The inverse of :meth:`to_json`; raises :class:`FileError` for anything else."""
        try:
            values = {f.name: row[f.name] for f in dataclasses.fields(cls) if f.name in row}
            values["quality"] = Quality(**row["quality"])
            values["test"] = Quality(**row["test"]) if row.get("test") else None
            values["cost"] = cost_from_json(row["cost"])
            values["phases"] = tuple(_phase(p) for p in row.get("phases", ()))
            values["curve"] = tuple(CurvePoint(**p) for p in row.get("curve", ()))
            return cls(**values)
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise FileError(f"this is not a trial's result: {problem!r}") from None


def cost_from_json(row: Mapping[str, Any]) -> Cost:
    """A Cost from plain data."""
    latencies = {n: Latency(**row[n]) if row.get(n) else None for n in LATENCIES.values()}
    return Cost(**{**row, **latencies})


def _phase(row: Mapping[str, Any]) -> PhaseResult:
    return PhaseResult(row["name"], row["quality"], cost_from_json(row["cost"]) if row.get("cost") else None)
