"""Latency of ONNX files, measured in a child process of its own (``latency_worker.py``), and what may be said about it.

Times are milliseconds a call. Nothing here imports torch or ONNX Runtime.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import TrialFailedError
from engine.result import Latency

WORKER = Path(__file__).with_name("latency_worker.py")
NO_KERNEL, CONVERSIONS, DENSE_ZEROS, TOO_SMALL = "no kernel", "conversion nodes", "zeros in a dense kernel", "too small"
CAUSES = (NO_KERNEL, CONVERSIONS, DENSE_ZEROS, TOO_SMALL)
SMALL_MS, SMALL_PARAMETERS = 0.3, 50_000  # below, an integer network's fixed costs outweigh what its kernels save
STARTUP_SECONDS = 60.0  # generous: loading large models on a busy machine


@dataclass(frozen=True)
class Protocol:
    """How carefully to measure. ``seconds`` is the aim, ``limit`` the end, for all batch sizes together.

    At least ``rounds`` rounds (fewer only past ``limit``) of at least ``calls`` timed calls a model, until every
    interval is within +- ``half_width`` of its value.
    """

    seconds: float = 1.2
    limit: float = 12.0
    rounds: int = 12
    calls: int = 5
    half_width: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class LatencyReading:
    """One model at one batch size: pooled median with its 95 % interval, paired ratio to the reference with its own.

    ``cpu_ms`` is CPU time of the calling thread a call: far below the median something else held the processor.
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

    def to_json(self) -> dict[str, Any]:
        """Plain data; ``LatencyReading(**row)`` is its inverse."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Facts:
    """What the cause of a latency is decided from. ``nonzero`` counts among ``parameters``.

    ``bits``, ``simulated`` and ``conversions`` are those of :class:`engine.artifact.Built`.
    """

    simulated: bool
    bits: int | None
    conversions: int
    parameters: int
    nonzero: int


def measure(
    paths: Mapping[str, Path],
    shape: Sequence[int],
    batch: int = 1,
    reference: str | None = None,
    protocol: Protocol | None = None,
) -> dict[str, LatencyReading]:
    """The readings of the ONNX files ``paths`` by name, for inputs [batch, *shape]; ratios are to ``reference``."""
    return measure_batches(paths, shape, (batch,), reference, protocol)[batch]


def measure_batches(
    paths: Mapping[str, Path],
    shape: Sequence[int],
    batches: Sequence[int] = (1, 32),
    reference: str | None = None,
    protocol: Protocol | None = None,
) -> dict[int, dict[str, LatencyReading]]:
    """:func:`measure` for several batch sizes in one child process; readings by batch size and name.

    Raises TrialFailedError when a file cannot be run or the child ends without an answer.
    """
    if not paths or (reference is not None and reference not in paths):
        raise ValueError(f"reference {reference!r} is none of {sorted(paths)}")
    protocol = protocol or Protocol()
    request = dataclasses.asdict(protocol) | {"shape": list(shape), "batches": list(batches), "reference": reference}
    request["paths"] = {name: os.fspath(path) for name, path in paths.items()}
    answer = _ask(request, timeout=STARTUP_SECONDS + 2 * protocol.limit)
    return {
        int(batch): {
            name: LatencyReading(batch=int(batch), runtime=answer["runtime"], **row) for name, row in rows.items()
        }
        for batch, rows in answer["batches"].items()
    }


def to_latency(reading: LatencyReading, facts: Facts, smaller: bool) -> Latency:
    """The reading as a Result holds it. ``smaller``: the model takes fewer packed bytes than the dense student."""
    slower = smaller and reading.ratio_low is not None and reading.ratio_low > 1
    row = reading.to_json() | {"simulated": facts.simulated, "slower_here": slower}
    return Latency(**row, cause=cause(facts, reading.median_ms / reading.batch) if slower else None)


def cause(facts: Facts, milliseconds: float) -> str | None:
    """Why a smaller model is not faster, one of CAUSES or None where no rule knows; ``milliseconds`` for one example.

    Bits that no kernel executes leave a float network; so do zeros. An integer network that is small, or fast already,
    loses to the fixed costs of its kernels; a larger one to its conversions between floats and integers.
    """
    if facts.bits is None:
        return DENSE_ZEROS if facts.nonzero < facts.parameters else None
    if facts.simulated:
        return NO_KERNEL
    if facts.parameters < SMALL_PARAMETERS or milliseconds < SMALL_MS or facts.conversions == 0:
        return TOO_SMALL
    return CONVERSIONS


def _ask(request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    # -I: neither the current folder nor PYTHON* variables may change what is measured
    command = [sys.executable, "-I", str(WORKER)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, timeout=timeout, env=environment,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TrialFailedError(f"latency: the measurement did not end within {timeout:.0f} seconds") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise TrialFailedError(f"latency: the measuring process ended ({done.returncode}): {lines[-1]}") from None
    if "error" in answer:
        raise TrialFailedError(f"latency: {answer['error']}")
    return answer
