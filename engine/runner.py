"""The runner: one process a home that takes work from the store, gives it to workers and writes down what they found.

    python -m engine.runner --home DIR [--idle SECONDS] [--patience SECONDS]

It holds nothing that the store does not: kill it at any time and the next one goes on, no retry is used up. It ends
after its last work when no app is open, and when its home vanishes.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from engine import store_read, store_sweeps
from engine.errors import StillhouseError, StoreError
from engine.execution import presence
from engine.execution.base import Backend, Ended
from engine.execution.local_pool import LocalPool
from engine.files import sweep
from engine.home import Home
from engine.store import Store

IDLE_SECONDS = 60.0
LOCK_SECONDS = 1.0  # a look at the lock by an app must not keep a new runner out
BUSY_POLL, IDLE_POLL = 0.03, 0.2
HOME_CHECK_SECONDS = 0.5
RETRY_SECONDS = 1.0
COUNT_SECONDS = 1.0  # how often a sweep's seconds are counted
STOPPED = "the runner was stopped"


class Runner:
    """The loop between a store and a backend. :meth:`serve` returns when there is nothing more to do."""

    def __init__(
        self, home: Home, store: Store, backend: Backend, idle: float = IDLE_SECONDS, patience: float = 0.0
    ) -> None:
        self._home, self._store, self._backend, self._idle = home, store, backend, idle
        self._patience = patience
        self._wake, self._leave = threading.Event(), threading.Event()
        self._unwritten: list[Ended] = []
        self._quiet_until = 0.0
        self._seen, self._busy = -1, True  # the store's version that was acted on, and whether there was work
        self._counted = time.monotonic()
        self._file = home.store.stat().st_ino

    def ask_to_leave(self) -> None:
        """Make :meth:`serve` return soon; callable from a signal handler or another thread."""
        self._leave.set()
        self._wake.set()

    def serve(self) -> str:
        """Work until asked to leave, idle for long enough, or homeless; the reason in words."""
        self._wait_for_work()
        self._backend.start(self._wake.set)
        last_work = time.monotonic()
        try:
            while not self._leave.is_set():
                if not self._home_stands():
                    return "its home has vanished"
                if self._turn():
                    last_work = time.monotonic()
                elif time.monotonic() - last_work > self._idle:
                    if not presence.app_is_open(self._home):
                        return f"no work for {self._idle:.0f} s and no app is open"
                    last_work = time.monotonic()
                self._count_sweeps()
                self._rest()
            return STOPPED
        finally:
            self._backend.stop()
            if self._home_stands():
                self._give_back()

    def _wait_for_work(self) -> None:
        """Warming the workers takes every core for seconds; patience leaves them to a page that is just opening."""
        until = time.monotonic() + self._patience
        while time.monotonic() < until and not self._leave.is_set() and not store_read.busy(self._store):
            self._leave.wait(IDLE_POLL)

    def _turn(self) -> bool:
        """One look at everything; whether there is work. A store that cannot be written only delays."""
        self._unwritten += self._backend.ended()
        version = self._store.data_version()
        if version == self._seen and not self._unwritten:
            return self._busy
        if time.monotonic() < self._quiet_until:
            return True
        try:
            while self._unwritten:
                self._write(self._unwritten[0])
                self._unwritten.pop(0)
            self._stop_unwanted()
            while self._backend.free() and (work := self._store.claim()):
                self._backend.run(work)
            self._seen, self._busy = version, store_read.busy(self._store)
            return self._busy
        except StoreError as problem:
            say(f"{problem}; trying again")
            self._quiet_until, self._seen = time.monotonic() + RETRY_SECONDS, -1
            return True

    def _count_sweeps(self) -> None:
        """Count the seconds that sweeps have had; one whose budget is spent pauses."""
        passed = time.monotonic() - self._counted
        if passed < COUNT_SECONDS:
            return
        self._counted += passed
        if not self._busy:
            return
        try:
            for name in store_sweeps.tick(self._store, passed):
                self._seen = -1  # this connection does not see its own change, and there is less to do now
                say(f"the sweep {name} pauses: its budget is spent")
        except StoreError as problem:
            say(str(problem))

    def _write(self, ended: Ended) -> None:
        store = self._store
        if ended.how == "done":
            if ended.readings:
                store.add_readings(ended.id, ended.attempt, ended.id.partition(":")[2], ended.readings)
            store.finish(ended.id, ended.attempt, ended.point)
        elif ended.how == "died":
            store.died(ended.id, ended.attempt, ended.reason)
        else:  # failed, or stopped: whoever withdrew it has closed the attempt already, and then this changes nothing
            store.fail(ended.id, ended.attempt, ended.reason)
        if ended.how != "done":
            say(f"{ended.id[:40]} attempt {ended.attempt} {ended.how}: {ended.reason}")

    def _stop_unwanted(self) -> None:
        wanted = store_read.running(self._store)
        for name, attempt in self._backend.in_flight().items():
            if wanted.get(name) != attempt:
                self._backend.cancel(name)

    def _rest(self) -> None:
        busy = bool(self._backend.in_flight())
        self._wake.wait(BUSY_POLL if busy else IDLE_POLL)
        self._wake.clear()

    def _give_back(self) -> None:
        try:
            for ended in self._unwritten:
                self._write(ended)
            self._store.recover(STOPPED)
        except StoreError as problem:  # the next runner recovers instead
            say(str(problem))

    def _home_stands(self) -> bool:
        try:
            return self._home.store.stat().st_ino == self._file
        except OSError:
            return False


def say(text: str) -> None:
    """One line with the time, into the log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}", file=sys.stderr, flush=True)


def serve(home: Home, idle: float = IDLE_SECONDS, patience: float = 0.0) -> int:
    """Run until there is nothing more to do; 0, or 1 when another runner holds the home."""
    lock = FileLock(home.lock("runner"))
    while True:
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            say(f"another runner works for {home.root}; one is enough, so this one ends")
            return 1
        try:
            store = Store(home.store)
            store.check()
            presence.introduce(home)
            taken = store.recover("the runner was killed")
            sweep(home.root / "artifacts", time.time() - 3600)
            say(f"runner started for {home.root}" + (f"; {taken} interrupted go on" if taken else ""))
            reason = _serve(home, store, idle, patience)
            say(f"runner ends: {reason}")
        finally:
            lock.release()
        # work that came between the last look and the release of the lock has nobody else to do it
        if reason == STOPPED or not home.store.exists() or not store_read.busy(store):
            return 0


def _serve(home: Home, store: Store, idle: float, patience: float) -> str:
    runner = Runner(home, store, LocalPool(home), idle, patience)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.ask_to_leave())
    return runner.serve()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser("engine.runner", description="Runs what the store of a home asks for.")
    parser.add_argument("--home", help="the folder of the store (default: STILLHOUSE_HOME or the user's data folder)")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds without work before it ends")
    parser.add_argument("--patience", type=float, default=0.0, help="seconds before workers warm up without work")
    options = parser.parse_args(arguments)
    try:
        return serve(Home.locate(Path(options.home) if options.home else None), options.idle, options.patience)
    except StillhouseError as problem:
        say(str(problem))
        return problem.exit_code


if __name__ == "__main__":
    sys.exit(main())
