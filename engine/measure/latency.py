"""Latency of ONNX files, measured in processes of their own (``campaign.py``), and what may be said about it.

Times are milliseconds a call. Nothing here imports torch or ONNX Runtime.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import InputError, TrialFailedError
from engine.measure import campaign
from engine.measure.causes import Evidence, Facts, cause, profiled_cause
from engine.measure.machine import available_cores
from engine.result import Latency

WORKER = Path(__file__).with_name("latency_worker.py")
STARTUP_SECONDS = 60.0  # generous: loading large models on a busy machine
THREADS = "STILLHOUSE_TIMING_THREADS"


def timing_threads() -> int:
    """How many threads a timed model may use: STILLHOUSE_TIMING_THREADS, else one. Raises :class:`InputError`."""
    text, most = os.environ.get(THREADS, "1"), available_cores()
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise InputError(THREADS, text, f"a whole number from 1 to {most}, the cores of this machine")
    return int(text)


@dataclass(frozen=True)
class Protocol:
    """How carefully to measure. ``seconds`` is the aim, ``limit`` the end, for all batch sizes together.

    At least ``rounds`` rounds, each in a process of its own (fewer only past ``limit``), of at least ``calls`` timed
    calls a model, until every interval is within +- ``half_width`` of its value.
    """

    seconds: float = campaign.PROTOCOL["seconds"]
    limit: float = campaign.PROTOCOL["limit"]
    rounds: int = campaign.PROTOCOL["rounds"]
    calls: int = campaign.PROTOCOL["calls"]
    half_width: float = campaign.PROTOCOL["half_width"]
    seed: int = campaign.PROTOCOL["seed"]
    threads: int = field(default_factory=timing_threads)


@dataclass(frozen=True)
class LatencyReading:
    """One model at one batch size: pooled median with its 95 % interval, paired ratio to the reference with its own.

    ``cpu_ms`` is processor time a call: far below the median something else held the processor. ``memory_bytes`` is
    what loading and running the model added to the resident memory of a process with ONNX Runtime, at its most.
    ``evidence``: where the time goes, the fields of :class:`engine.measure.causes.Evidence`; of slower models only.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    p95_ms: float
    cpu_ms: float
    rounds: int
    batch: int
    runtime: str
    threads: int = 1
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    memory_bytes: int | None = None
    evidence: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data; ``LatencyReading(**row)`` is its inverse."""
        return dataclasses.asdict(self)

    def explained(self, found: Evidence) -> LatencyReading:
        """The same with what its profile says."""
        return dataclasses.replace(self, evidence=dataclasses.asdict(found))


def measure(
    paths: Mapping[str, Path],
    shape: Sequence[int],
    batch: int = 1,
    reference: str | None = None,
    protocol: Protocol | None = None,
    memory: Sequence[str] = (),
) -> dict[str, LatencyReading]:
    """The readings of the ONNX files ``paths`` by name, for inputs [batch, *shape]; ratios are to ``reference``."""
    return measure_batches(paths, shape, (batch,), reference, protocol, memory)[batch]


def measure_batches(
    paths: Mapping[str, Path],
    shape: Sequence[int],
    batches: Sequence[int] = (1, 8, 32),
    reference: str | None = None,
    protocol: Protocol | None = None,
    memory: Sequence[str] = (),
) -> dict[int, dict[str, LatencyReading]]:
    """:func:`measure` for several batch sizes at once; readings by batch size and name.

    The memory of the models in ``memory`` is counted as well, the batch sizes one after the other in rising order.
    Raises TrialFailedError when a file cannot be run or a measuring process ends without an answer.
    """
    if not paths or (reference is not None and reference not in paths):
        raise ValueError(f"reference {reference!r} is none of {sorted(paths)}")
    protocol = protocol or Protocol()
    files = {name: os.fspath(path) for name, path in paths.items()}
    timeout = STARTUP_SECONDS + 2 * protocol.limit
    try:
        answer = campaign.measure(
            str(WORKER), files, list(shape), batches, reference, memory, timeout, **dataclasses.asdict(protocol)
        )
    except (RuntimeError, OSError) as problem:
        raise TrialFailedError(f"latency: {problem}") from None
    common = {"runtime": answer["runtime"], "threads": answer["threads"]}
    return {
        int(batch): {
            name: LatencyReading(
                batch=int(batch), memory_bytes=answer["memory"].get(name, {}).get(batch), **common, **row
            )
            for name, row in rows.items()
        }
        for batch, rows in answer["batches"].items()
    }


def to_latency(reading: LatencyReading, facts: Facts, smaller: bool) -> Latency:
    """The reading as a Result holds it. ``smaller``: the model takes fewer packed bytes than the dense student."""
    slower = smaller and reading.ratio_low is not None and reading.ratio_low > 1
    row = reading.to_json() | {"simulated": facts.simulated, "slower_here": slower}
    found = row.pop("evidence")
    if not slower:
        return Latency(**row)
    if found is None or reading.ratio is None:
        return Latency(**row, cause=cause(facts, reading.median_ms / reading.batch))
    return Latency(**row, cause=profiled_cause(facts, Evidence(**found), reading.ratio))
