"""kill -9 at random moments during a sweep of 100 trials: all done once, none lost.

    python benchmarks/kill_sweep.py [--trials 100] [--kills 15] [--seed 0] [--real]

A worker, the runner and the app are killed in turn; each kill waits until a trial runs that no kill has hit before. The
default trials train nothing and last a fraction of a second; ``--real`` runs real ones (take fewer of them).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import kill_test  # noqa: E402
import psutil  # noqa: E402
import runner_tools as tools  # noqa: E402

from engine import api, api_sweeps, store_read  # noqa: E402
from engine.api_home import store_of  # noqa: E402
from engine.home import Home  # noqa: E402

TARGETS = ("worker", "runner", "app")
ROUNDS = 5  # of asking again for what lost its worker twice, as a person would


def main() -> int:
    """Print what was killed and what came of it; an error when anything was lost or done twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    if not options.real:
        os.environ.update(STILLHOUSE_PIPELINE="stub_pipeline", STUB_SECONDS="0.4", PYTHONPATH=str(ROOT / "tests"))
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Home.locate(folder)
        try:
            spec = {**tools.recipe(), "seed": {"values": list(range(options.trials))}}
            name = api_sweeps.start(home, spec)["id"]
            killed, hit = strike(home, options.kills, chance)
            end = finish(home, name)
            keys = api_sweeps.keys(home, name)
            (tools.check_kept if options.real else tools.check_nothing_lost_or_twice)(home, keys)
            tries = Counter(len(api.status(home, key)["attempts"]) for key in keys)
        finally:
            tools.end_runner(home)
    print(f"killed: {dict(killed)}, each while another trial ran ({len(hit)} in all)")
    print(f"{end['done']} of {options.trials} trials done once, none lost; by attempts: {dict(sorted(tries.items()))}")
    return int(end["done"] != options.trials or end["state"] != "done")


def strike(home: Home, kills: int, chance: random.Random) -> tuple[Counter[str], set[str]]:
    """Kill in turn; how often what was killed, and the trials that ran then."""
    killed, hit = Counter[str](), set[str]()
    served = kill_test.serve(home)
    try:
        for number in range(kills):
            target = TARGETS[number % len(TARGETS)]
            runner = tools.runner_of(home)
            running = fresh(home, hit)
            if not running:
                break  # nothing is left that was not hit
            time.sleep(chance.uniform(0, 0.3))
            if target == "app":
                served.send_signal(signal.SIGKILL)
                served.wait()
                served = kill_test.serve(home)
            elif target == "worker":
                kill_worker(home, running)
            else:
                tools.strike(runner, target, chance)
            hit.add(running)
            killed[target] += 1
    finally:
        served.kill()
        served.wait()
    return killed, hit


def fresh(home: Home, hit: set[str]) -> str:
    """A trial that runs now and was not hit before; empty when the sweep has come to its end."""
    store = store_of(home)
    while store_read.busy(store):
        api.ensure_runner(home)
        for key in store_read.running(store):
            if key not in hit:
                return key
        time.sleep(0.01)
    return ""


def kill_worker(home: Home, key: str) -> None:
    """kill -9 on the process that runs a trial, if it still does."""
    pid = api.status(home, key)["progress"].get("pid")
    if pid:
        try:
            psutil.Process(pid).kill()
        except psutil.NoSuchProcess:
            return


def finish(home: Home, name: str) -> dict[str, Any]:
    """Wait for all; a trial that lost its worker twice has failed, as it must, and is asked for again."""
    for _ in range(ROUNDS):
        while (now := api_sweeps.status(home, name))["state"] == "running":
            api.ensure_runner(home)
            time.sleep(0.05)
        if not now["failed"]:
            break
        api_sweeps.resume(home, name)
    return now


if __name__ == "__main__":
    sys.exit(main())
