"""kill -9 at random moments on a worker, on the runner and on the app: nothing is lost, nothing happens twice.

    python benchmarks/kill_test.py [--kills 20] [--trials 12] [--seed 0] [--real]

The default trials train nothing and last a fraction of a second; ``--real`` kills real ones (one epoch of the smallest
student), which takes minutes. The app is the real one, served on a free port.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import runner_tools as tools  # noqa: E402

from engine import api  # noqa: E402
from engine.home import Home  # noqa: E402

TARGETS = ("worker", "runner", "app")


def main() -> int:
    """Print what was killed and what came of it; 0 when nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    if not options.real:
        os.environ.update(STILLHOUSE_PIPELINE="stub_pipeline", STUB_SECONDS="0.4", PYTHONPATH=str(ROOT / "tests"))
    with tempfile.TemporaryDirectory() as folder:
        home = Home.locate(folder)
        try:
            recipes = [tools.recipe(seed) for seed in range(options.trials)]
            keys = [api.submit(home, r, companions=False)["key"] for r in recipes]
            killed = strike(home, options.kills, random.Random(options.seed), 20.0 if options.real else 1.0)
            finish(home, keys, recipes, options.kills)
            (tools.check_kept if options.real else tools.check_nothing_lost_or_twice)(home, keys)
            tries = [len(api.status(home, key)["attempts"]) for key in keys]
        finally:
            tools.end_runner(home)
    print(f"killed: {dict(killed)}; {len(keys)} trials, all done once; attempts of each: {tries}")
    return 0


def strike(home: Home, kills: int, chance: random.Random, pause: float) -> Counter[str]:
    """Kill ``kills`` times, each after a random pause of at most ``pause`` seconds; how often what was killed."""
    killed = Counter[str]()
    served = serve(home)
    try:
        for _ in range(kills):
            target = chance.choice(TARGETS)
            process = tools.runner_of(home)
            time.sleep(chance.uniform(0, pause))
            if target == "app":
                served.send_signal(signal.SIGKILL)
                served.wait()
                served = serve(home)
            else:
                tools.strike(process, target, chance)
            killed[target] += 1
    finally:
        served.kill()
        served.wait()
    return killed


def finish(home: Home, keys: list[str], recipes: list[dict[str, object]], rounds: int) -> None:
    """Wait for all; a trial that lost its worker twice has failed, as it must, and is asked for again."""
    for _ in range(rounds + 1):
        states = api.wait(home, keys)
        lost = [i for i, key in enumerate(keys) if states[key]["state"] == "failed"]
        for i in lost:
            api.submit(home, recipes[i], companions=False)
        if not lost:
            return


def serve(home: Home) -> subprocess.Popen[bytes]:
    """The real app on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port)]
    environment = os.environ | {"STILLHOUSE_HOME": str(home.root)}
    return subprocess.Popen(
        [*command, "--server.headless", "true"],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
