"""How many more trials two workers finish than one in the same time.

    python -m benchmarks.two_workers [--trials 8] [--epochs 2] [--student plain_5k]

The same trials (one recipe, other seeds) in two fresh homes, with one worker and with two. A first trial warms the
workers and times the only graph there is, so no latency is measured while the clock runs: nobody may train then, and
two workers cannot be faster. Meant for an idle machine with two cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from engine import api, api_sweeps
from engine.execution import presence
from engine.home import Home

TASK = "fashion_mnist"
LIMIT = 1.7
WARM_SEED = 4_000_000
WARM_SECONDS = 8.0
STOP_SECONDS = 30.0


def seconds(home: Home, workers: int, trials: int, epochs: int, student: str) -> float:
    """From the start of the sweep to its last result."""
    os.environ["STILLHOUSE_WORKERS"] = str(workers)
    phases = [{"epochs": epochs, "loss": {"name": "kd"}, "teachers": ["teacher"]}]
    base = {"task": TASK, "student": student, "phases": phases}
    api.ensure_runner(home)
    time.sleep(WARM_SECONDS)
    api.wait(home, [api.submit(home, {**base, "seed": WARM_SEED}, companions=False)["key"]])
    started = time.monotonic()
    name = api_sweeps.start(home, {**base, "seed": {"low": 0, "high": trials - 1, "step": 1}})["id"]
    while api_sweeps.status(home, name)["state"] == "running":
        time.sleep(0.05)
    passed = time.monotonic() - started
    if api_sweeps.status(home, name)["done"] != trials:
        raise SystemExit(f"not every trial was done: {api_sweeps.status(home, name)['errors']}")
    return passed


def main() -> int:
    """Print both times and their ratio; 1 when two workers are not 1.7 times as fast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--student", default="plain_5k")
    options = parser.parse_args()
    took = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory(prefix="stillhouse-bench-") as folder:
            home = Home(Path(folder))
            took[workers] = seconds(home, workers, options.trials, options.epochs, options.student)
        # its home is gone, so the runner ends; the next one must not share the cores with it
        ends = time.monotonic() + STOP_SECONDS
        while home.root.exists() and presence.runner_lives(home) and time.monotonic() < ends:
            time.sleep(0.1)
        time.sleep(2.0)
    ratio = took[1] / took[2]
    for workers, passed in took.items():
        print(f"{workers} worker{'s' * (workers > 1)}: {options.trials} trials in {passed:.1f} s")
    print(f"two workers finish {ratio:.2f} times the trials of one (limit {LIMIT})")
    print(f"load average {os.getloadavg()[0]:.1f}")
    return int(ratio < LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
