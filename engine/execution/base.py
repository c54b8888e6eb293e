"""What the runner asks of a backend, what a pipeline gives back, and how predictions and progress travel. No torch."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import zstandard

from engine.errors import CancelledError, FileError, InputError, StoreError
from engine.metrics import halved
from engine.result import Result
from engine.store import Point, Work

Predictions: TypeAlias = npt.NDArray[np.float16]
REPORTS_A_SECOND = 5.0
MAX_WORKERS = 64


@dataclass(frozen=True)
class Outcome:
    """What ``engine.pipeline.run`` returns and ``engine.search.grid.run`` hands to its ``on_points``.

    ``predictions``: logits [N, classes] on validation (its first examples for a preview), kept as float16.
    """

    result: Result
    predictions: npt.NDArray[Any] = field(repr=False)


@dataclass(frozen=True)
class Ended:
    """One attempt that a backend has brought to an end.

    ``how``: done, failed (for good), died (its process; worth another try) or stopped (by request). ``point`` and
    ``readings`` are what it found, ``reason`` is what a person reads.
    """

    id: str
    attempt: int
    how: str
    reason: str = ""
    point: Point | None = None
    readings: Mapping[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """One way of running work; a file each. ``wake`` is called from any thread as soon as something ended."""

    slots: int

    def start(self, wake: Callable[[], None]) -> None:
        """Get ready (warm workers)."""

    def free(self) -> int:
        """How many more attempts may be started now."""

    def run(self, work: Work) -> None:
        """Start one attempt."""

    def in_flight(self) -> dict[str, int]:
        """Attempt by id of everything started and not yet ended."""

    def cancel(self, name: str) -> None:
        """Stop one attempt at once; the others go on unharmed."""

    def ended(self) -> list[Ended]:
        """What has ended since the last call."""

    def stop(self) -> None:
        """Stop everything and return when no process is left."""


def default_slots() -> int:
    """``STILLHOUSE_WORKERS``, else the number of cores, two at most."""
    given = os.environ.get("STILLHOUSE_WORKERS", "")
    if not given:
        return min(2, os.cpu_count() or 1)
    if not given.isdigit() or not 1 <= int(given) <= MAX_WORKERS:
        raise InputError("STILLHOUSE_WORKERS", given, f"a whole number from 1 to {MAX_WORKERS}")
    return int(given)


def pack_predictions(predictions: npt.NDArray[Any]) -> tuple[tuple[int, ...], bytes]:
    """Shape of logits [N, C] and their zstandard-compressed little-endian float16 values; every answer is kept."""
    halves = halved(np.asarray(predictions, np.float32)).astype("<f2")
    return halves.shape, zstandard.ZstdCompressor(level=9).compress(np.ascontiguousarray(halves).tobytes())


def unpack_predictions(shape: tuple[int, ...], data: bytes) -> Predictions:
    """The inverse of :func:`pack_predictions`; raises :class:`FileError` for altered data."""
    expected = 2 * math.prod(shape)
    try:
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=expected + 1)
    except zstandard.ZstdError as problem:
        raise FileError(f"stored predictions cannot be read ({problem}); run the trial again in a new home") from None
    if len(raw) != expected:
        raise FileError(f"stored predictions hold {len(raw)} bytes, not {expected}; run the trial again in a new home")
    return np.frombuffer(raw, "<f2").reshape(shape)


def point_of(outcome: Outcome) -> Point:
    """An outcome in the form that the store keeps."""
    shape, data = pack_predictions(outcome.predictions)
    return Point(outcome.result.to_json(), shape, data)


class Reporter:
    """Sends progress at most five times a second; curve points always go, in order, and are never sent twice.

    ``send(progress, events)`` returns False when the attempt is no longer wanted; the reporter then raises
    :class:`CancelledError`, which ends the work. A full disk only delays: what was not written is sent with the next.
    """

    def __init__(self, send: Callable[[Mapping[str, Any], list[tuple[int, Any]]], bool],
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._send, self._clock = send, clock
        self._progress: dict[str, Any] = {}
        self._waiting: list[tuple[int, Any]] = []
        self._count, self._last = 0, -math.inf

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one report: phase, phases, epoch, epochs, step, steps, loss, quality, fraction, doing.

        A finished epoch carries ``{"curve": {...}}``.
        """
        self._progress.update({k: _finite(v) for k, v in event.items() if k != "curve"})
        if "curve" in event:
            self._waiting.append((self._count, {k: _finite(v) for k, v in event["curve"].items()}))
            self._count += 1
        now = self._clock()
        if "curve" in event or now - self._last >= 1 / REPORTS_A_SECOND:
            self._last = now
            self.flush()

    def flush(self) -> None:
        """Send what there is now."""
        try:
            wanted = self._send(self._progress, self._waiting)
        except StoreError:
            return
        self._waiting = []
        if not wanted:
            raise CancelledError("this attempt is no longer wanted")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
