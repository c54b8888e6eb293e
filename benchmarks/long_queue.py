"""A long queue: what the runner holds, what a claim costs, how soon a free worker gets its next trial; an idle app.

    python benchmarks/long_queue.py [--trials 1000] [--people 40] [--seconds 15] [--json]

The trials train nothing (tests/stub_pipeline.py), so that the queue is all that is measured; the runner, the store and
the app are the real ones. Prints one figure a line with its limit; exit status 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psutil  # noqa: E402
import runner_tools as tools  # noqa: E402

from benchmarks.app_server import Server, Session, app_command, free_port  # noqa: E402
from engine import api, api_people, store_queue  # noqa: E402
from engine.home import Home  # noqa: E402
from engine.store import Ask, Store  # noqa: E402

STUB_SECONDS = 0.05
LIMITS = {"long_claim_ms": 50.0, "runner_mb": 300.0, "idle_app_percent": 10.0, "idle_runner_percent": 10.0}


def main() -> int:
    """Measure everything and print it; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.update(
        STILLHOUSE_PIPELINE="stub_pipeline", STUB_SECONDS=str(STUB_SECONDS), PYTHONPATH=str(ROOT / "tests")
    )
    figures: dict[str, float] = {}
    for name, count in (("short", 10), ("long", options.trials)):
        figures |= {f"{name}_{k}": v for k, v in claims(count, options.people).items()}
    figures |= runner(options.trials, options.people, options.seconds)
    figures |= idle_app(options.seconds)
    missed = [name for name, limit in LIMITS.items() if figures[name] > limit]
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "missed": missed}, indent=1) + "\n")
    else:
        sys.stdout.writelines(
            f"{name:24} {value:9.2f}  {_limit(name, name in missed)}\n" for name, value in figures.items()
        )
    return int(bool(missed))


def _limit(name: str, missed: bool) -> str:
    said = f"at most {LIMITS[name]:.0f}" if name in LIMITS else ""
    return said + (" MISSED" if missed else "")


def fill(store: Store, trials: int, people: int) -> None:
    """``trials`` queued trials of ``people``; every tenth is shared by two, every fifth has a grid behind it."""
    for number in range(trials):
        recipe = api.check(tools.recipe(number))
        dense, who = recipe.dense().key, f"user{number % people}"
        asks = [Ask(recipe.key, "trial", recipe.task, recipe.to_json(), dense, prefix=f"prefix{number}")]
        if number % 5 == 0:
            asks.append(Ask(f"grid:{recipe.key}", "grid", recipe.task, {}, dense, 2, after=recipe.key))
        store.submit(asks, who, recipe.key)
        if number % 10 == 0:
            store.submit(asks[:1], f"user{(number + 1) % people}", recipe.key)


def claims(trials: int, people: int) -> dict[str, float]:
    """Milliseconds of a claim, of the queue's order and of what a page asks once a second, in so long a queue."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home.locate(folder)
        store = Store(home.store)
        fill(store, trials, people)
        name = store_queue.order(store)[-1]
        who = api_people.wanted_by(home, name)[0]
        found = {
            "order_ms": timed(lambda: store_queue.order(store)),
            "page_ms": timed(lambda: (api.active(home, who, 4), api_people.waiting(home, name, who))),
            "claim_ms": timed(store.claim),
        }
        store.close()
    return found


def timed(work: Callable[[], Any], rounds: int = 9) -> float:
    """The median of some calls, in milliseconds."""
    seconds = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds) * 1000


def runner(trials: int, people: int, seconds: float) -> dict[str, float]:
    """The runner while it works on the queue: megabytes of its own process, and how long a free worker waits."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home.locate(folder)
        store = Store(home.store)
        fill(store, trials, people)
        try:
            process = tools.runner_of(home)
            most, until = 0.0, time.monotonic() + seconds
            while time.monotonic() < until:
                most = max(most, process.memory_info().rss / 2**20)
                time.sleep(0.2)
            rows = store.rows("SELECT started, ended FROM attempts WHERE ended IS NOT NULL ORDER BY started")
            done = [(r["started"], r["ended"]) for r in rows]
        finally:
            tools.end_runner(home)
            store.close()
    return {"runner_mb": most, "trials_done": float(len(done)), "next_trial_ms": gaps(done)}


def gaps(done: list[tuple[float, float]]) -> float:
    """The median milliseconds from an attempt's end to the start of the next one anywhere after it."""
    starts = sorted(s for s, _ in done)
    found = [min((s - end for s in starts if s >= end), default=None) for _, end in done]
    known = [f for f in found if f is not None]
    return statistics.median(known) * 1000 if known else float("nan")


def idle_app(seconds: float) -> dict[str, float]:
    """Per cent of a core that an app with an open page takes while nothing runs, and its runner with its workers."""
    with tempfile.TemporaryDirectory() as folder:
        home, port = Home.locate(folder), free_port()
        with Server(app_command(home.root, port), port, home.root) as server, Session(port) as page:
            page.run()
            process = tools.runner_of(home)
            time.sleep(5.0)  # its workers warm up
            family = [process, *process.children(recursive=True)]
            before, begun = (used([server.ui()]), used(family)), time.monotonic()
            time.sleep(seconds)
            passed = time.monotonic() - begun
            after = (used([server.ui()]), used(family))
        tools.end_runner(home)
    app, rest = (100 * (a - b) / passed for a, b in zip(after, before, strict=True))
    return {"idle_app_percent": app, "idle_runner_percent": rest}


def used(processes: list[psutil.Process]) -> float:
    """Seconds of processor time so far."""
    return sum(t.user + t.system for t in (p.cpu_times() for p in processes if p.is_running()))


if __name__ == "__main__":
    sys.exit(main())
