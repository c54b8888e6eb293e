"""Several workers that want one training: one does it, the others wait for it and find it kept."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engine import prefix, student
from engine.errors import CancelledError
from engine.home import Home
from engine.recipe import Recipe
from engine.result import PhaseResult

KEY = "a" * 32
RECIPE = Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": [{"epochs": 1}, {"epochs": 1}]})


def test_one_holds_it_and_the_others_wait(home: Home) -> None:
    order: list[str] = []
    held, waited = threading.Event(), threading.Event()

    def second() -> None:
        held.wait(5)
        with prefix.alone(home, KEY, waited.set):
            order.append("second")

    other = threading.Thread(target=second)
    other.start()
    with prefix.alone(home, KEY, lambda: None):
        held.set()
        assert waited.wait(5)
        order.append("first")
    other.join(5)
    assert order == ["first", "second"]
    assert list(home.cache("prefix").iterdir()) == []  # the lock's file goes with it


def test_other_prefixes_are_not_waited_for(home: Home) -> None:
    with prefix.alone(home, KEY, lambda: None), prefix.alone(home, "b" * 32, lambda: pytest.fail("it waited")):
        pass


def test_whoever_waits_can_be_cancelled_and_an_error_lets_go(home: Home) -> None:
    def cancelled() -> None:
        raise CancelledError("no longer wanted")

    with prefix.alone(home, KEY, lambda: None), pytest.raises(CancelledError), prefix.alone(home, KEY, cancelled):
        pytest.fail("it was let in")
    with pytest.raises(ValueError), prefix.alone(home, KEY, cancelled):
        raise ValueError
    with prefix.alone(home, KEY, cancelled):
        pass


def test_a_killed_process_lets_go(home: Home) -> None:
    code = (
        "import sys, time, pathlib\nfrom engine.home import Home\nfrom engine.prefix import alone\n"
        f"with alone(Home(pathlib.Path(sys.argv[1])), {KEY!r}, lambda: None):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    waited: list[float] = []

    def wait() -> None:
        waited.append(time.monotonic())
        other.kill()

    with prefix.alone(home, KEY, wait):
        assert waited
    other.wait()


def test_two_that_want_one_recipe_train_each_phase_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []

    def advance(_bench: Any, before: prefix.Trained, number: int) -> prefix.Trained:
        trained.append(number)
        time.sleep(0.2)
        return prefix.Trained(before.model, (), (), (*before.phases, PhaseResult("phase", 0.5)))

    monkeypatch.setattr(student, "advance", advance)
    said: list[str] = []
    results: list[prefix.Trained] = []

    def work() -> None:
        bench = student.Bench(RECIPE, home, lambda event: said.append(event["doing"]))
        results.append(student.train(bench))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(trained) == [0, 1]
    assert "waiting for the same training" in said
    assert [len(r.phases) for r in results] == [2, 2, 2]
    assert len(list(Path(home.cache("prefix")).glob("*.prefix"))) == 2
