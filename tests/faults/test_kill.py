"""kill -9 on workers and on the runner at random moments: nothing is lost, nothing happens twice.

``benchmarks/kill_test.py`` does the same with more kills, with the app and, on request, with real trials.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from runner_tools import (
    check_nothing_lost_or_twice,
    end_runner,
    recipe,
    runner_of,
    runner_or_none,
    strike,
    stub_environment,
    stub_home,
    until,
    worker_pid,
)  # fmt: skip

from engine import api
from engine import store_read as read
from engine.api_home import store_of
from engine.home import Home

__all__ = ["stub_home"]


def ordeal(home: Home, seed: int, kills: int, trials: int, whom: tuple[str, ...] = ("worker", "runner")) -> list[str]:
    """Submit ``trials``, kill ``kills`` times at random moments, wait until all are done; the keys.

    A trial that lost its worker twice fails, as it must, and is asked for again.
    """
    chance = random.Random(seed)
    keys = [api.submit(home, recipe(i), companions=False)["key"] for i in range(trials)]
    for _ in range(kills):
        process = runner_of(home)
        time.sleep(chance.uniform(0, 0.5))
        strike(process, chance.choice(whom), chance)
    for _ in range(kills + 1):
        states = api.wait(home, keys)
        lost = [i for i, key in enumerate(keys) if states[key]["state"] == "failed"]
        assert all("worker process" in states[keys[i]]["error"] for i in lost), states
        for i in lost:
            api.submit(home, recipe(i), companions=False)
        if not lost:
            break
    return keys


@pytest.mark.parametrize("seed", [1, 2])
def test_random_kills_lose_nothing_and_repeat_nothing(stub_home: Home, seed: int) -> None:
    keys = ordeal(stub_home, seed, kills=4, trials=5)
    check_nothing_lost_or_twice(stub_home, keys)


def test_a_killed_runner_uses_up_no_retry(stub_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_environment(monkeypatch, seconds=1.0)
    key = api.submit(stub_home, recipe(), companions=False)["key"]
    for attempt in (1, 2, 3):
        process = runner_of(stub_home)
        pid = worker_pid(stub_home, key)
        process.kill()
        process.wait(5)
        until(lambda pid=pid: not psutil.pid_exists(pid), 5)  # workers follow their runner
        assert api.status(stub_home, key)["attempt"] == attempt
    api.wait(stub_home, [key])
    check_nothing_lost_or_twice(stub_home, [key])
    reasons = [t["reason"] for t in api.status(stub_home, key)["attempts"]]
    assert reasons == ["the runner was killed"] * 3 + ["done"]


def test_a_killed_worker_harms_no_other(stub_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_environment(monkeypatch, seconds=1.5)
    first, second = (api.submit(stub_home, recipe(i), companions=False)["key"] for i in (1, 2))
    api.ensure_runner(stub_home)
    pid = worker_pid(stub_home, first)
    worker_pid(stub_home, second)
    psutil.Process(pid).kill()
    states = api.wait(stub_home, [first, second])
    assert [len(states[k]["attempts"]) for k in (first, second)] == [2, 1]
    assert states[first]["attempts"][0]["reason"] == "the worker process was killed (SIGKILL)"
    check_nothing_lost_or_twice(stub_home, [first, second])


def test_a_killed_grid_goes_on_and_keeps_its_points(stub_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_environment(monkeypatch, seconds=0.2)
    asked = api.submit(stub_home, recipe())
    names = api.grid_jobs(asked["dense"])
    api.ensure_runner(stub_home)
    until(lambda: sum(read.grid_counts(store_of(stub_home), asked["dense"])) >= 2)
    pid = worker_or_none(stub_home, names[0])
    if pid:
        psutil.Process(pid).kill()
    else:
        found = runner_or_none(stub_home)
        assert found is not None
    api.wait(stub_home, names)
    status = api.grid_status(stub_home, asked["dense"])
    assert (status["state"], status["preview"], status["done"]) == ("done", 0, status["total"])
    assert len(api.rows(stub_home, "fashion_mnist", ("grid",))) == status["total"]


def worker_or_none(home: Home, name: str) -> int | None:
    now = api.status(home, name)
    return now["progress"].get("pid") if now["state"] == "running" else None


def test_the_ordeal_itself_notices_a_loss(stub_home: Home) -> None:
    keys = ordeal(stub_home, 3, kills=0, trials=1)
    with store_of(stub_home).change() as db:
        db.execute("DELETE FROM attempts")
    with pytest.raises(AssertionError):
        check_nothing_lost_or_twice(stub_home, keys)
    end_runner(stub_home)
