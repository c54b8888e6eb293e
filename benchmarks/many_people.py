"""Many people at once: how quickly the pages answer while trials train, and whether one link stays one trial.

    python -m benchmarks.many_people [--people 40] [--seconds 60] [--results 2000] [--quick] [--json FILE]

The real server with a join code, and one websocket for each person, half of them on Explore and half on Front, each of
whom moves a slider every five seconds while two real trials train. Then all of them open one link to settings that
nobody has measured and press Run within ten seconds. Clients, server and trials share this machine's cores, so the
times hold what the clients cost too. Prints Markdown; exit status 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
import urllib.parse
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from benchmarks.app_server import Server, app_command, free_port, memory
from benchmarks.app_speed import fill, p95
from benchmarks.visitors import Visitor, joined
from engine import api, store_read
from engine.home import Home
from engine.recipe import Recipe
from engine.store import ENDED, Store
from pages.parts.words import say

CODE, TASK = "tasting", "fashion_mnist"
PAGES = ("", "front")
ARRIVE_SECONDS = 0.25
THINK_SECONDS, PRESS_SECONDS, SEEN_SECONDS = 5.0, 10.0, 15.0
RERUN_SECONDS, MEMORY_MB = 0.5, 500.0
LONG = {"student": "plain_29k", "epochs": 60}  # trains for longer than the measurement
LINK = "student=plain_1k5&epochs=1&seed=4242"
TRAINING_PATIENCE, TRIAL_PATIENCE = 120.0, 600.0
POINT = say("story.measured")


@dataclass
class Found:
    """What was measured; times in seconds, memory in MB, ``busy`` in cores."""

    opened: dict[str, list[float]] = field(default_factory=dict)
    reruns: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    polls: int = 0
    resident: float = 0.0
    busy: float = 0.0
    training: int = 0
    presses: list[float] = field(default_factory=list)
    runs: int = 0
    trials: int = 0
    unseen: int = 0
    seen: list[float] = field(default_factory=list)

    def verdict(self) -> list[str]:
        """The limits that are missed."""
        every = [s for values in self.reruns.values() for s in values]
        late = [s for s in self.seen if s > SEEN_SECONDS]
        checks = {
            f"95 of 100 reruns within {RERUN_SECONDS} s": bool(every) and p95(every) <= RERUN_SECONDS,
            "no error": not self.errors,
            f"less than {MEMORY_MB:.0f} MB in the page process": self.resident < MEMORY_MB,
            "one trial, one run": self.runs == self.trials == 1,
            f"everybody sees the point within {SEEN_SECONDS:.0f} s": not late and not self.unseen and bool(self.seen),
        }
        return [name for name, kept in checks.items() if not kept]


def note(what: str) -> None:
    """Progress for the person who waits."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")


def train(home: Home, how_many: int) -> None:
    """Ask for trials that nobody watches and that take longer than this benchmark."""
    plain = api.default_recipe(TASK)
    for seed in range(how_many):
        phases = [{**plain["phases"][0], "epochs": LONG["epochs"]}]
        recipe = Recipe.from_json({**plain, "student": LONG["student"], "seed": 900 + seed, "phases": phases})
        api.submit(home, recipe.to_json(), "somebody", companions=False)
    api.ensure_runner(home)
    ends = time.monotonic() + TRAINING_PATIENCE
    store = Store(home.store)
    while len(store_read.running(store)) < how_many:
        if time.monotonic() > ends:
            raise RuntimeError("the trials do not train")
        time.sleep(0.2)
    store.close()


async def arrive(visitors: list[Visitor], found: Found) -> None:
    """Everybody opens a page, one every quarter of a second, and waits for it."""

    async def one(visitor: Visitor, number: int) -> None:
        await asyncio.sleep(ARRIVE_SECONDS * number)
        found.opened.setdefault(visitor.page or "explore", []).append(await visitor.open())

    await asyncio.gather(*(one(v, i) for i, v in enumerate(visitors)))


async def slide(visitor: Visitor, found: Found, begins: float, ends: float, seed: int) -> None:
    """One person moves a slider every five seconds by their own clock, however long the page takes."""
    choice = random.Random(seed)
    turn = begins + choice.random() * THINK_SECONDS
    try:
        while turn < ends:
            await asyncio.sleep(turn - time.monotonic())
            movable = sorted(n for n, s in visitor.sliders.items() if not s.disabled)
            found.reruns.setdefault(visitor.page or "explore", []).append(
                await visitor.move(choice.choice(movable), choice)
            )
            turn += THINK_SECONDS * (1 + max(0.0, time.monotonic() - turn) // THINK_SECONDS)
    except TimeoutError:
        found.errors.append(f"{visitor.page or 'explore'}: no answer for a minute")
    found.errors += visitor.errors
    found.polls += visitor.polls


async def press_together(visitors: list[Visitor], home: Home, found: Found) -> str:
    """Everybody opens the link, presses Run within ten seconds and waits for the point; the trial's key."""
    await asyncio.gather(*(v.open() for v in visitors))
    for visitor in visitors:
        visitor.watch("point", POINT)

    async def one(visitor: Visitor, number: int) -> None:
        await asyncio.sleep(PRESS_SECONDS * number / len(visitors))
        found.presses.append(await visitor.press("run"))

    await asyncio.gather(*(one(v, i) for i, v in enumerate(visitors)))
    note("everybody has pressed")
    key = key_of(home, visitors)
    ended = await _end_of(home, key)
    note("the trial has ended")
    last = time.monotonic() + 2 * SEEN_SECONDS
    while any("point" not in v.seen for v in visitors) and time.monotonic() < last:
        await asyncio.sleep(0.2)
    for visitor in visitors:
        found.errors += visitor.errors
        await visitor.close()
    found.seen = [max(0.0, v.seen["point"] - ended) for v in visitors if "point" in v.seen]
    found.unseen = len(visitors) - len(found.seen)
    return key


async def _end_of(home: Home, key: str) -> float:
    """Wall clock at which the trial's attempt ended."""
    store, ends = Store(home.store), time.monotonic() + TRIAL_PATIENCE
    try:
        while time.monotonic() < ends:
            work = store_read.work(store, key)
            if work and work.state in ENDED:
                return float(store_read.attempts(store, key)[-1]["ended"])
            await asyncio.sleep(0.2)
    finally:
        store.close()
    raise RuntimeError("the trial did not end")


def key_of(home: Home, visitors: list[Visitor]) -> str:
    """The trial that everybody's address names after Run was pressed."""
    named = {dict(urllib.parse.parse_qsl(v.query)).get("point", "") for v in visitors}
    if len(named) != 1:
        raise RuntimeError(f"Run started different trials: {sorted(named)}")
    store = Store(home.store)
    found = [w.id for w in store_read.unfinished(store) if w.id.startswith(*named)]
    store.close()
    return found[0] if found else api.resolve(home, *named)


def measure(people: int, seconds: float, results: int, trainings: int) -> Found:
    """Both parts, in a new home."""
    found = Found()
    with tempfile.TemporaryDirectory(prefix="stillhouse-bench-", ignore_cleanup_errors=True) as name:
        home, port = Home(Path(name)), free_port()
        fill(home, results)
        command = [*app_command(home.root, port), "--join-code", CODE]
        with Server(command, port, home.root) as server:
            cookies = [joined(port, CODE) for _ in range(people)]
            note("people have joined")
            if trainings:
                train(home, trainings)
            note("trials train; people move sliders")
            asyncio.run(_sliders(cookies, found, server, port, seconds))
            store = Store(home.store)
            found.training = len(store_read.running(store))
            for work in store_read.unfinished(store):
                api.cancel(home, work.id, "somebody")
            note("everybody presses Run")
            key = asyncio.run(press_together([Visitor(port, c, query=LINK) for c in cookies], home, found))
            found.runs = len(store_read.attempts(store, key))
            found.trials = store.rows("SELECT count(*) AS n FROM work WHERE id = ?", key)[0]["n"]
            found.resident = max(found.resident, memory(server.ui())["rss"])
            store.close()
    return found


async def _sliders(cookies: list[str], found: Found, server: Server, port: int, seconds: float) -> None:
    visitors = [Visitor(port, cookie, PAGES[i % len(PAGES)]) for i, cookie in enumerate(cookies)]
    await arrive(visitors, found)
    ui, begins = server.ui(), time.monotonic()
    before = sum(ui.cpu_times()[:2])
    await asyncio.gather(*(slide(v, found, begins, begins + seconds, i) for i, v in enumerate(visitors)))
    found.resident = memory(ui)["rss"]
    found.busy = (sum(ui.cpu_times()[:2]) - before) / (time.monotonic() - begins)
    for visitor in visitors:
        await visitor.close()


def lines(found: Found, people: int) -> list[str]:
    """The table."""
    rows = ["| what | median | p95 | most | n |", "| --- | --- | --- | --- | --- |"]
    groups = {f"first page, {n}": v for n, v in found.opened.items()} | {
        f"rerun, {n}": v for n, v in found.reruns.items()
    }
    groups |= {"Run pressed until drawn": found.presses, "point seen after the trial's end": found.seen}
    for name, values in groups.items():
        if values:
            shown = (sorted(values)[len(values) // 2], p95(values), max(values))
            rows.append(f"| {name} | " + " | ".join(f"{1000 * v:.0f} ms" for v in shown) + f" | {len(values)} |")
    rows.append(f"\n{people} people, {found.training} trials still training at the end, {found.polls} polls answered.")
    rows.append(f"Page process: {found.resident:.0f} MB, {100 * found.busy:.0f} % of a core. Trials of the link: "
                f"{found.trials}, run {found.runs} time(s); {found.unseen} did not see its point.")  # fmt: skip
    return rows


def main() -> int:
    """Measure and print; 1 when a limit is missed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--people", type=int, default=40)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--results", type=int, default=2000)
    options.add_argument("--trainings", type=int, default=2)
    options.add_argument("--quick", action="store_true", help="10 people, 15 seconds, 300 results")
    options.add_argument("--json", type=Path, help="also write everything measured into a file")
    given = options.parse_args()
    if given.quick:
        given.people, given.seconds, given.results = 10, 15.0, 300
    found = measure(given.people, given.seconds, given.results, given.trainings)
    print("\n".join(lines(found, given.people)))
    print(f"Load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {psutil.virtual_memory().percent:.0f} % memory.")
    for message, count in {m: found.errors.count(m) for m in found.errors}.items():
        print(f"Error, {count} times: {message}")
    if given.json:
        given.json.write_text(json.dumps(asdict(found)))
    missed = found.verdict()
    print("Missed: " + "; ".join(missed) if missed else "All limits are kept.")
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
