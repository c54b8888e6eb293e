"""A home with a stub runner: trials that last fractions of a second and can be killed at any moment."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import api
from engine import store_read as read
from engine.api_home import store_of
from engine.execution import presence
from engine.home import Home

TESTS = Path(__file__).resolve().parent
RECIPE = {
    "task": "fashion_mnist", "student": "plain_1k5",
    "phases": [
        {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"],
         "stages": [{"name": "prune_magnitude", "sparsity": 0.5, "schedule": "gradual"}]},
        {"epochs": 0, "stages": [{"name": "quantize_linear", "bits": 8}]},
    ],
}  # fmt: skip


def recipe(seed: int = 0, **more: Any) -> dict[str, Any]:
    """A valid recipe; the stub reads faults from its seed."""
    return {**RECIPE, "seed": seed, **more}


def stub_environment(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.2, workers: int = 2) -> None:
    """Every runner started from here on runs the stub."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    values = {"STILLHOUSE_PIPELINE": "stub_pipeline", "STUB_SECONDS": str(seconds), "PYTHONPATH": path}
    for name, value in (values | {"STILLHOUSE_WORKERS": str(workers)}).items():
        monkeypatch.setenv(name, value)


def until(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until ``true()`` gives something; that. Fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return found


def runner_of(home: Home) -> psutil.Process:
    """The process that runs this home, started when there is none."""
    api.ensure_runner(home)
    return until(lambda: runner_or_none(home) if presence.runner_lives(home) else None)


def runner_or_none(home: Home) -> psutil.Process | None:
    """The runner's process, or None."""
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "engine.runner" in words and str(home.root) in words and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The processes that a runner has for trials."""
    return [c for c in process.children() if "--multiprocessing-fork" in _words(c)]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # gone, or a zombie that nobody has waited for yet
        return []


def worker_pid(home: Home, key: str) -> int:
    """The process that runs ``key`` now; never one that a killed runner left in the store."""

    def look() -> int | None:
        now = api.status(home, key)
        pid = now["progress"].get("pid") if now["state"] == "running" else None
        return pid if pid and alive(pid) else None

    return int(until(look))


def alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_runner(home: Home) -> None:
    """Leave no process behind."""
    process = runner_or_none(home)
    if process is not None:
        workers = workers_of(process)
        process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs([process, *workers], timeout=5)
        for left in alive:
            left.kill()


def ran(home: Home) -> Counter[str]:
    """How often each piece of work was really started, by its id."""
    path = home.root / "ran.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return Counter(line.removeprefix("run ").replace(" ", ":") for line in lines)


def strike(process: psutil.Process, whom: str, chance: random.Random) -> None:
    """kill -9."""
    try:
        victims = workers_of(process) if whom == "worker" else [process]
        if victims:
            chance.choice(victims).kill()
    except psutil.NoSuchProcess:
        return
    if whom == "runner":
        process.wait(5)


def check_nothing_lost_or_twice(home: Home, keys: list[str]) -> None:
    """What check_kept says, and that nothing ran outside of an attempt (the stub notes every start)."""
    check_kept(home, keys)
    started = ran(home)
    for key in keys:
        assert started[key] <= len(api.status(home, key)["attempts"]), "something ran outside of an attempt"
        assert (home.artifact(key) / "model.onnx").read_bytes() == b"onnx " + key.encode()


def check_kept(home: Home, keys: list[str]) -> None:
    """Every key is done with one full result, every attempt has an end and a reason, nothing is left over."""
    store = store_of(home)
    for key in keys:
        now = api.status(home, key)
        assert now["state"] == "done", (key, now)
        tries = now["attempts"]
        assert all(t["ended"] and t["reason"] for t in tries), tries
        assert [t["reason"] for t in tries].count("done") == 1
        kept = read.result(store, key)
        assert kept is not None
        assert not kept.preview
        assert kept.body["attempts"] == len(tries)
        assert api.predictions(home, key).shape == (5000, 10)
        assert (home.artifact(key) / "model.onnx").is_file()
    total = store.row("SELECT count(*) AS n, count(DISTINCT key) AS k FROM results")
    assert total is not None
    assert total["n"] == total["k"] == len(keys)
    assert not read.unfinished(store)


@pytest.fixture
def stub_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home whose runner trains nothing; its processes end with the test."""
    stub_environment(monkeypatch)
    yield home
    end_runner(home)
