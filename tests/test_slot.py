"""The slot: nobody works beside a measurement, measuring does not starve, and a dead process holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from engine.execution import slot as slots
from engine.execution.slot import Slot
from engine.home import Home


@pytest.fixture
def pair(home: Home) -> Iterator[tuple[Slot, Slot]]:
    both = Slot(home), Slot(home)
    yield both
    for one in both:
        one.close()


class Watch:
    """Counts who is inside; fails when a measurement has company."""

    def __init__(self) -> None:
        self.working = self.quiet = self.measured = self.most = 0
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def enter(self, kind: str, step: int) -> None:
        with self._lock:
            setattr(self, kind, getattr(self, kind) + step)
            self.most = max(self.most, self.working)
            if self.quiet > 1 or (self.quiet and self.working):
                self.wrong.append(f"{self.quiet} measuring beside {self.working} working")


def work(slot: Slot, watch: Watch, until: float) -> None:
    with slot.working():
        watch.enter("working", 1)
        while time.monotonic() < until:
            time.sleep(0.002)
            watch.enter("working", -1)
            slot.breathe()
            watch.enter("working", 1)
        watch.enter("working", -1)


def measure(slot: Slot, watch: Watch, times: int) -> None:
    for _ in range(times):
        with slot.quiet():
            watch.enter("quiet", 1)
            time.sleep(0.01)
            watch.measured += 1
            watch.enter("quiet", -1)


def run_all(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(t.is_alive() for t in threads), "somebody waits for ever"


def test_a_measurement_is_alone_and_does_not_starve(home: Home) -> None:
    watch, until = Watch(), time.monotonic() + 1.0
    everyone = [Slot(home) for _ in range(5)]
    begun = time.monotonic()
    measurer = threading.Thread(target=measure, args=(everyone[3], watch, 4))
    other = threading.Thread(target=measure, args=(everyone[4], watch, 4))
    workers = [threading.Thread(target=work, args=(s, watch, until)) for s in everyone[:3]]
    for thread in (*workers, measurer, other):
        thread.start()
    measurer.join(20), other.join(20)
    assert watch.measured == 8
    assert time.monotonic() - begun < 1.0, "measurements waited until the work was over"
    for thread in workers:
        thread.join(20)
    assert not watch.wrong
    assert watch.most > 1, "workers share"
    for slot in everyone:
        slot.close()


def test_quiet_from_inside_working_does_not_wait_for_itself(pair: tuple[Slot, Slot]) -> None:
    watch = Watch()

    def nested(slot: Slot) -> None:
        with slot.working():
            watch.enter("working", 1)
            for _ in range(5):
                watch.enter("working", -1)  # before anything that may let another one in
                slot.breathe()
                with slot.quiet(), slot.quiet(), slot.working():
                    watch.enter("quiet", 1)
                    slot.breathe()
                    time.sleep(0.005)
                    watch.enter("quiet", -1)
                watch.enter("working", 1)
            watch.enter("working", -1)

    run_all(*(threading.Thread(target=nested, args=(s,)) for s in pair))
    assert not watch.wrong


def test_breathing_looks_at_the_turnstile_fifty_times_a_second_at_most(
    pair: tuple[Slot, Slot], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    flock = slots.fcntl.flock
    monkeypatch.setattr(slots.fcntl, "flock", lambda *a: looks.append(1) or flock(*a))
    with pair[0].working():
        begun, before = time.monotonic(), len(looks)
        for _ in range(50_000):
            pair[0].breathe()
        allowed = 2 * ((time.monotonic() - begun) / slots.LOOK_SECONDS + 1)
        assert len(looks) - before <= allowed


def test_breathing_outside_of_work_takes_no_lock(pair: tuple[Slot, Slot]) -> None:
    with pair[1].quiet():
        pair[0].breathe()  # would wait for ever if it took part


HOLD = """
import sys, time
from engine.execution.slot import Slot
from engine.home import Home
slot = Slot(Home.locate(sys.argv[1]))
with getattr(slot, sys.argv[2])():
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["working", "quiet"])
def test_a_killed_process_holds_nothing(home: Home, pair: tuple[Slot, Slot], kind: str) -> None:
    child: Any = subprocess.Popen([sys.executable, "-c", HOLD, str(home.root), kind], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"in\n"
    entered = threading.Event()

    def wait() -> None:
        with pair[0].quiet():
            entered.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not entered.wait(0.2)
    os.kill(child.pid, signal.SIGKILL)
    assert entered.wait(5)
    thread.join(5)
    child.wait()
    child.stdout.close()


def test_a_waiting_measurement_is_seen_within_its_time(
    pair: tuple[Slot, Slot], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert slots.LOOK_SECONDS <= 0.05
    watch = Watch()
    with pair[0].working():
        thread = threading.Thread(target=measure, args=(pair[1], watch, 1))
        thread.start()
        begun = time.monotonic()
        while watch.measured == 0 and time.monotonic() - begun < 5:
            time.sleep(0.001)
            pair[0].breathe()
        waited = time.monotonic() - begun
    thread.join(5)
    assert waited < 1.0
