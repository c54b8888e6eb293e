"""The runner with a stub pipeline: order, sharing, faults with their reasons, cancel, second runner, its own end."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import stub_pipeline as stub
from runner_tools import (
    alive,
    end_runner,
    ran,
    recipe,
    runner_of,
    runner_or_none,
    stub_environment,
    stub_home,
    until,
    worker_pid,
    workers_of,
)

from engine import api, runner
from engine import store_read as read
from engine.api_home import store_of
from engine.errors import InputError, StoreError
from engine.execution import presence
from engine.execution.base import Ended, default_slots
from engine.home import Home
from engine.store import Store, Work

__all__ = ["stub_home"]


def test_a_run_with_its_companions_and_grid(stub_home: Home) -> None:
    seen: list[dict[str, Any]] = []
    asked = api.submit(stub_home, recipe())
    names = [asked["key"], asked["dense"], asked["baseline"], *api.grid_jobs(asked["dense"])]
    last = api.wait(stub_home, names, seen.append)
    assert [last[n]["state"] for n in names] == ["done"] * 5, last
    assert set(ran(stub_home).values()) == {1}
    fractions = [s["progress"]["fraction"] for s in seen if s["key"] == asked["key"] and "fraction" in s["progress"]]
    assert fractions == sorted(fractions)
    assert [p["epoch"] for p in last[asked["key"]]["curve"]] == [1, 2]
    points = len(stub.SPARSITIES) * len(stub.BITS)
    grid = api.grid_status(stub_home, asked["dense"])
    assert (grid["state"], grid["done"], grid["total"], grid["preview"]) == ("done", points, points, 0)
    starts = {n: last[n]["attempts"][0]["started"] for n in names}
    assert starts[asked["key"]] <= starts[asked["dense"]] <= starts[names[3]]


def test_equal_keys_run_once_and_a_done_key_is_answered_at_once(stub_home: Home) -> None:
    first = api.submit(stub_home, recipe(), who="me", companions=False)
    second = api.submit(stub_home, recipe(), who="you", companions=False)
    assert first["key"] == second["key"]
    assert not second["known"]
    api.wait(stub_home, [first["key"]])
    third = api.submit(stub_home, recipe(), companions=False)
    assert third["known"]
    assert api.status(stub_home, first["key"])["state"] == "done"
    assert ran(stub_home)[first["key"]] == 1


@pytest.mark.parametrize(
    ("seed", "state", "tries", "reason"),
    [
        (stub.DIES, "failed", 2, "the worker process was killed (SIGKILL); it was tried 2 times"),
        (stub.DIES_ONCE, "done", 2, None),
        (stub.REFUSES, "failed", 1, "training diverged: the loss is not a number"),
        (stub.BREAKS, "failed", 1, "ValueError: something unexpected (stub_pipeline.py, line"),
        (stub.HUNGRY, "failed", 1, "the memory was not enough"),
    ],
)
def test_faults_and_their_reasons(stub_home: Home, seed: int, state: str, tries: int, reason: str | None) -> None:
    key = api.submit(stub_home, recipe(seed), companions=False)["key"]
    last = api.wait(stub_home, [key])[key]
    assert (last["state"], len(last["attempts"])) == (state, tries)
    assert (last["error"] or "").startswith(reason or "")
    assert "\n" not in (last["error"] or "")
    found = api.result(stub_home, key)
    assert (found["state"], found["attempts"], found["error"]) == (state, tries, last["error"])


def test_cancel_stops_within_a_second_and_harms_no_other(stub_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_environment(monkeypatch, seconds=2.0)
    stopped, going = (api.submit(stub_home, recipe(s), companions=False)["key"] for s in (1, 2))
    api.ensure_runner(stub_home)
    pid, other = worker_pid(stub_home, stopped), worker_pid(stub_home, going)
    begun = time.monotonic()
    assert api.cancel(stub_home, stopped)
    until(lambda: not alive(pid), 5)
    assert time.monotonic() - begun < 1.0
    assert api.status(stub_home, stopped)["state"] == "cancelled"
    assert alive(other)
    last = api.wait(stub_home, [going])[going]
    assert (last["state"], len(last["attempts"])) == ("done", 1)
    again = api.submit(stub_home, recipe(1), companions=False)["key"]
    assert again == stopped
    assert api.wait(stub_home, [stopped])[stopped]["state"] == "done"


def test_a_cancelled_wish_leaves_the_others(stub_home: Home) -> None:
    key = api.submit(stub_home, recipe(), who="me", companions=False)["key"]
    api.submit(stub_home, recipe(), who="you", companions=False)
    assert api.cancel(stub_home, key, who="me")
    assert not api.cancel(stub_home, key, who="nobody")
    assert api.wait(stub_home, [key])[key]["state"] == "done"


def test_a_second_runner_ends_with_a_clear_line(stub_home: Home) -> None:
    runner_of(stub_home)
    command = [sys.executable, "-m", "engine.runner", "--home", str(stub_home.root)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert second.stderr.strip().endswith("one is enough, so this one ends")
    assert len(second.stderr.strip().splitlines()) == 1
    assert runner_or_none(stub_home) is not None


def test_the_runner_ends_when_idle_but_not_while_an_app_is_open(stub_home: Home) -> None:
    imports = "import sys; from engine.execution.presence import hold_open; from engine.home import Home"
    holder = f"{imports}; hold_open(Home.locate(sys.argv[1])); input()"
    app = subprocess.Popen([sys.executable, "-c", holder, str(stub_home.root)], stdin=subprocess.PIPE)
    until(lambda: presence.app_is_open(stub_home))
    presence.start_runner(stub_home, "--idle", "0.3")
    until(lambda: presence.runner_lives(stub_home))
    time.sleep(1.0)
    assert presence.runner_lives(stub_home)
    app.kill()
    app.wait()
    until(lambda: not presence.runner_lives(stub_home), 10)
    assert "no app is open" in (stub_home.root / "runner.log").read_text()


def test_the_runner_ends_with_its_home(stub_home: Home) -> None:
    process = runner_of(stub_home)
    until(lambda: workers_of(process))
    shutil.rmtree(stub_home.root)
    assert process.wait(10) in (0, None)
    assert not stub_home.root.exists(), "a vanished home must stay away"


def test_sigterm_gives_work_back(stub_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_environment(monkeypatch, seconds=3.0)
    key = api.submit(stub_home, recipe(), companions=False)["key"]
    process = runner_of(stub_home)
    pid = worker_pid(stub_home, key)
    process.send_signal(signal.SIGTERM)
    process.wait(5)
    assert not alive(pid)
    now = api.status(stub_home, key)
    assert (now["state"], now["attempt"], now["attempts"][0]["reason"]) == ("queued", 2, runner.STOPPED)


def test_an_idle_worker_that_dies_is_replaced(stub_home: Home) -> None:
    key = api.submit(stub_home, recipe(), companions=False)["key"]
    api.wait(stub_home, [key])
    for worker in workers_of(runner_of(stub_home)):
        worker.kill()
    keys = [api.submit(stub_home, recipe(s), companions=False)["key"] for s in (1, 2, 3)]
    last = api.wait(stub_home, keys)
    assert [s["state"] for s in last.values()] == ["done"] * 3


def test_shipped_artifacts_are_timed_again(stub_home: Home) -> None:
    name = api.retime(stub_home, "fashion_mnist")
    assert api.wait(stub_home, [name])[name]["state"] == "done"
    found = read.readings(store_of(stub_home), "fashion_mnist")
    assert found["shipped0"]["latency"]["median_ms"] == stub.LATENCY.median_ms


def test_a_test_reading_is_added_to_a_finished_trial(stub_home: Home) -> None:
    key = api.submit(stub_home, recipe(), companions=False)["key"]
    api.wait(stub_home, [key])
    before = api.result(stub_home, key)
    assert before["test"] is None
    assert not api.submit(stub_home, recipe(), companions=False, test=True)["known"]
    api.wait(stub_home, [key])
    after = api.result(stub_home, key)
    assert after["test"]["value"] == before["quality"]["value"]
    assert {**after, "test": None} == before


class Backend:
    """Ends everything at once, in this process."""

    slots = 1

    def __init__(self) -> None:
        self.done: list[Ended] = []
        self.started: list[Work] = []

    def start(self, wake: Any) -> None: ...
    def free(self) -> int:
        return 1 - len(self.done)

    def run(self, work: Work) -> None:
        self.started.append(work)
        self.done.append(Ended(work.id, work.attempt, "failed", "no"))

    def in_flight(self) -> dict[str, int]:
        return {}

    def cancel(self, name: str) -> None: ...
    def ended(self) -> list[Ended]:
        found, self.done = self.done, []
        return found

    def stop(self) -> None: ...


def test_what_could_not_be_written_is_written_later(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store, backend = Store(home.store), Backend()
    api.submit(home, recipe(), companions=False)
    real, problems = store.fail, [StoreError("the disk is full"), StoreError("the disk is full")]

    def fail(name: str, attempt: int, reason: str) -> bool:
        if problems:
            raise problems.pop()
        return real(name, attempt, reason)

    monkeypatch.setattr(store, "fail", fail)
    monkeypatch.setattr(runner, "RETRY_SECONDS", 0.05)
    assert "no work" in runner.Runner(home, store, backend, idle=0.2).serve()
    assert not problems
    assert [w.attempt for w in backend.started] == [1]
    found = read.work(store, backend.started[0].id)
    assert found is not None
    assert (found.state, found.error) == ("failed", "no")
    store.close()


def test_a_damaged_store_ends_the_runner_with_one_line(home: Home) -> None:
    home.store.write_bytes(b"rubbish" * 1000)
    command = [sys.executable, "-m", "engine.runner", "--home", str(home.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "move it away" in done.stderr


def test_the_runner_itself_imports_no_torch() -> None:
    heavy = "{'torch', 'onnxruntime', 'sklearn', 'torchvision'}"
    code = f"import sys, engine.runner; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STILLHOUSE_WORKERS", raising=False)
    assert 1 <= default_slots() <= 2
    monkeypatch.setenv("STILLHOUSE_WORKERS", "3")
    assert default_slots() == 3
    for wrong in ("0", "many", "-1", "1000"):
        monkeypatch.setenv("STILLHOUSE_WORKERS", wrong)
        with pytest.raises(InputError, match="STILLHOUSE_WORKERS"):
            default_slots()


def test_tools_leave_no_process_behind(stub_home: Home) -> None:
    process = runner_of(stub_home)
    end_runner(stub_home)
    assert not process.is_running() or process.status() == "zombie"
