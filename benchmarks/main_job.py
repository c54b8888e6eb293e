"""How long the main job takes: from the click on Run to its point, then to the grid's preview and the whole grid.

    python -m benchmarks.main_job [--rounds 3]

Each round is a fresh home with a warm runner. The default run is submitted as the page submits it, with its companions;
the times are read from the store. Meant for an idle machine: the load is printed below the numbers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from engine import api
from engine.execution import presence
from engine.home import Home

TASK = "fashion_mnist"
WARM_SECONDS = 8.0
LIMITS = {"run": 15.0, "grid preview after the dense student": 6.0, "whole grid after the dense student": 20.0}


def ended(home: Home, key: str) -> bool:
    """Whether a trial has ended; raises when it failed."""
    state = api.status(home, key)["state"]
    if state in ("failed", "cancelled"):
        raise SystemExit(f"trial {key} {state}: {api.status(home, key)['error']}")
    return state == "done"


def one_round(home: Home) -> dict[str, float]:
    """Seconds of each part."""
    presence.hold_open(home)
    api.ensure_runner(home)
    time.sleep(WARM_SECONDS)
    started = time.monotonic()
    keys = api.submit(home, api.default_recipe(TASK))
    points: dict[str, float] = {}
    while len(points) < 5:
        now, grid = time.monotonic() - started, api.grid_status(home, keys["dense"])
        for name in ("key", "dense", "baseline"):
            if name not in points and ended(home, keys[name]):
                points[name] = now
        seen = grid["done"] + grid["preview"]
        if "preview" not in points and grid["total"] and seen >= grid["total"]:
            points["preview"] = now
        if "grid" not in points and grid["total"] and grid["done"] >= grid["total"]:
            points["grid"] = now
        time.sleep(0.02)
    return {
        "run": points["key"],
        "dense student": points["dense"],
        "baseline": points["baseline"],
        "grid preview after the dense student": points["preview"] - points["dense"],
        "whole grid after the dense student": points["grid"] - points["dense"],
    }


def main() -> int:
    """Print a table of medians; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = []
    for _ in range(parser.parse_args().rounds):
        with tempfile.TemporaryDirectory(prefix="stillhouse-bench-") as folder:
            rounds.append(one_round(Home(Path(folder))))
    print("| part | median s | rounds | limit |\n| --- | --- | --- | --- |")
    missed = 0
    for name in rounds[0]:
        values, limit = [r[name] for r in rounds], LIMITS.get(name)
        missed += limit is not None and statistics.median(values) > limit
        shown = ", ".join(f"{v:.1f}" for v in values)
        print(f"| {name} | {statistics.median(values):.1f} | {shown} | {limit or ''} |")
    print(f"\nload average {os.getloadavg()[0]:.1f}")
    return min(missed, 1)


if __name__ == "__main__":
    raise SystemExit(main())
