"""Latency is measured once for each distinct graph and shared, also between workers that ask at the same time."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.artifact import Built
from engine.home import Home
from engine.measure import timing
from engine.measure.latency import LatencyReading
from engine.measure.timing import Reference, readings

READING = LatencyReading(0.2, 0.19, 0.21, 0.3, 0.2, 12, 1, "onnxruntime 1 CPU", 1, 1.3, 1.2, 1.4)
DENSE = Built(b"dense", {}, "d" * 64, False, None, 0)
EIGHT_BITS = Built(b"eight bits", {}, "e" * 64, False, 8, 2)
REFERENCE = Reference(DENSE, 100)


class Clock:
    """In place of the measuring process: notes what it was given, and gives every measurement another number."""

    def __init__(self) -> None:
        self.asked: list[tuple[set[str], str | None]] = []

    def __call__(self, models: Mapping[str, bytes], shape: Any, reference: str | None) -> dict[int, Any]:
        self.asked.append((set(models), reference))
        mine = dataclasses.replace(READING, median_ms=float(len(self.asked)))
        return {batch: dict.fromkeys(models, dataclasses.replace(mine, batch=batch)) for batch in timing.BATCHES}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timing, "timed", made)
    return made


def test_a_graph_is_timed_once_beside_the_dense_student(clock: Clock, tmp_path: Path) -> None:
    home = Home.locate(tmp_path)
    first = readings(home, contextlib.nullcontext, EIGHT_BITS, REFERENCE, (1, 28, 28))
    again = readings(home, contextlib.nullcontext, EIGHT_BITS, REFERENCE, (1, 28, 28))
    assert clock.asked == [({timing.REFERENCE, timing.MINE}, timing.REFERENCE)]
    assert first == again
    assert first[1].ratio == READING.ratio
    assert first[32].batch == 32


def test_the_dense_graph_is_as_fast_as_itself(clock: Clock, tmp_path: Path) -> None:
    found = readings(Home.locate(tmp_path), contextlib.nullcontext, DENSE, REFERENCE, (1, 28, 28))
    assert clock.asked == [({timing.MINE}, None)]
    assert [(r.ratio, r.ratio_low, r.ratio_high) for r in found.values()] == [(1.0, 1.0, 1.0)] * len(timing.BATCHES)


def test_who_waited_for_quiet_takes_over_what_another_worker_has_timed_meanwhile(clock: Clock, tmp_path: Path) -> None:
    home = Home.locate(tmp_path)
    other: list[Any] = []

    @contextlib.contextmanager
    def quiet() -> Iterator[None]:
        other.append(readings(home, contextlib.nullcontext, EIGHT_BITS, REFERENCE, (1, 28, 28)))
        yield

    assert readings(home, quiet, EIGHT_BITS, REFERENCE, (1, 28, 28)) == other[0]
    assert len(clock.asked) == 1


def test_another_graph_is_timed_by_itself(clock: Clock, tmp_path: Path) -> None:
    home = Home.locate(tmp_path)
    found = [readings(home, contextlib.nullcontext, built, REFERENCE, (1, 28, 28)) for built in (EIGHT_BITS, DENSE)]
    assert found[0][1].median_ms != found[1][1].median_ms
    assert len(clock.asked) == 2
