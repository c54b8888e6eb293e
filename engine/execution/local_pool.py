"""Trials on this machine: one warm spawned process a slot, through Pebble.

Every slot is a Pebble pool of one process. A pool of several shares one pipe and its lock, so a worker killed at the
wrong moment could take the others with it; pools of one cannot, and each knows which work its process was doing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import pebble
from pebble.common.types import CONSTS

from engine.execution import worker
from engine.execution.base import Ended, default_slots
from engine.home import Home
from engine.store import Work

ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
STOP_SECONDS = 0.5  # from asking a worker to end to killing it
ANSWER_SECONDS = 120.0  # a warm worker takes work at once; one that never does is replaced
RENEW_SECONDS = 5.0  # an idle process that keeps dying is not started again at once


@dataclass
class Seat:
    """One slot: its pool, and the attempt that its process is busy with."""

    pool: pebble.ProcessPool
    work: Work | None = None
    future: Future[dict[str, Any]] | None = None
    since: float = 0.0
    cancelled: bool = False
    renewed: float = 0.0

    def renew(self) -> None:
        """Put a fresh process in the place of this one."""
        with contextlib.suppress(BrokenProcessPool, RuntimeError):  # a broken pool may have nothing left to stop
            self.pool.stop()  # type: ignore[no-untyped-call]
            self.pool.join()
        self.pool, self.renewed = _pool(), time.monotonic()


class LocalPool:
    """The backend of a single machine (see :class:`engine.execution.base.Backend`)."""

    def __init__(self, home: Home, slots: int | None = None) -> None:
        self._root = str(home.root)
        self.slots = slots or default_slots()
        self._seats: list[Seat] = []
        self._wake: Callable[[], None] = lambda: None

    def start(self, wake: Callable[[], None]) -> None:
        """Start the processes; they warm up while the runner goes on."""
        CONSTS.term_timeout = STOP_SECONDS
        os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # read by the libraries as the spawned processes load them
        self._wake = wake
        self._seats = [Seat(_pool()) for _ in range(self.slots)]

    def free(self) -> int:
        """Slots without work."""
        return sum(seat.work is None for seat in self._seats)

    def run(self, work: Work) -> None:
        """Give ``work`` to a free slot."""
        seat = next(s for s in self._seats if s.work is None)
        if not seat.pool.active:  # its idle process was killed
            seat.renew()
        seat.work, seat.since, seat.cancelled = work, time.monotonic(), False
        seat.future = seat.pool.schedule(worker.perform, args=(self._root, work))
        seat.future.add_done_callback(lambda _: self._wake())

    def in_flight(self) -> dict[str, int]:
        """Attempt by id of what the slots are busy with."""
        return {s.work.id: s.work.attempt for s in self._seats if s.work and not s.cancelled}

    def cancel(self, name: str) -> None:
        """End the process that does ``name``; its slot gets a new one."""
        for seat in self._seats:
            if seat.work and seat.future and seat.work.id == name and not seat.cancelled:
                seat.cancelled = True
                seat.future.cancel()

    def ended(self) -> list[Ended]:
        """What has ended since the last call; also replaces slots whose process is gone or does not answer."""
        found = []
        for seat in self._seats:
            if seat.work is None or seat.future is None:
                if not seat.pool.active and time.monotonic() - seat.renewed > RENEW_SECONDS:
                    seat.renew()
            elif seat.future.done():
                found.append(_ended(seat.work, seat.future))
                if seat.cancelled:
                    seat.renew()
                seat.work = seat.future = None
            elif not seat.future.running() and time.monotonic() - seat.since > ANSWER_SECONDS:
                found.append(Ended(seat.work.id, seat.work.attempt, "died", "the worker process did not answer"))
                seat.renew()
                seat.work = seat.future = None
        return found

    def stop(self) -> None:
        """End all processes, busy or not."""
        for seat in self._seats:
            seat.pool.stop()  # type: ignore[no-untyped-call]
        for seat in self._seats:
            seat.pool.join()
        self._seats = []


def _pool() -> pebble.ProcessPool:
    context = multiprocessing.get_context("spawn")
    pool = pebble.ProcessPool(max_workers=1, initializer=worker.prepare, context=context)
    _ = pool.active  # starts the process, so that it warms up before the first work comes
    return pool


def _ended(work: Work, future: Future[dict[str, Any]]) -> Ended:
    try:
        found = future.result(timeout=0)
    except CancelledError:
        return Ended(work.id, work.attempt, "stopped", "withdrawn")
    except pebble.ProcessExpired as problem:
        _end_group(problem.pid)
        return Ended(work.id, work.attempt, "died", f"the worker process {_death(problem.exitcode)}")
    except BrokenProcessPool:
        return Ended(work.id, work.attempt, "died", "the worker process was lost")
    except Exception as problem:  # noqa: BLE001  whatever a worker raised is the reason of its failure
        return Ended(work.id, work.attempt, "failed", f"{type(problem).__name__}: {problem}")
    return Ended(work.id, work.attempt, **found)


def _end_group(pid: int | None) -> None:
    # a worker leads a group of its own: a child that was timing something for it would go on and disturb others
    if pid:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was killed ({name})"
    return f"ended with status {code}"
