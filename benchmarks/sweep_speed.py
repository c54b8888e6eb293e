"""How long a sweep of sizes takes: four students of at most 30,000 parameters, four temperatures, two epochs, grids.

    python -m benchmarks.sweep_speed [--file examples/sizes.json] [--home DIR]

A fresh home with a warm runner (two workers on two cores). Meant for an idle machine: the load is printed below.
Trainings are counted from the curves that attempts have written: a student that resumed a kept one writes none.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from engine import api, api_sweeps
from engine.api_home import store_of
from engine.execution import presence
from engine.home import Home

ROOT = Path(__file__).resolve().parents[1]
WARM_SECONDS = 8.0
LIMIT_SECONDS = 240.0
FAILED = "a trial of the sweep failed"


def follow(home: Home, name: str) -> tuple[float, float, dict[str, Any]]:
    """Seconds until the last trial and until everything was done, and the last status."""
    started, trials = time.monotonic(), 0.0
    while True:
        now = api_sweeps.status(home, name)
        if not trials and now["done"] + now["failed"] == now["trials"]:
            trials = time.monotonic() - started
        if now["state"] != "running":
            return trials, time.monotonic() - started, now
        time.sleep(0.1)


def trainings(home: Home) -> tuple[int, int]:
    """How often a phase was trained in this home, and how many different phases are kept."""
    done = store_of(home).row(
        "SELECT count(*) AS n FROM (SELECT DISTINCT id, attempt, json_extract(body, '$.phase') FROM events)"
    )
    return (int(done["n"]) if done else 0), len(list(home.cache("prefix").glob("*.prefix")))


def by_kind(home: Home) -> dict[str, tuple[int, float]]:
    """How many attempts of each kind of work were done and the seconds of all of them."""
    rows = store_of(home).rows(
        "SELECT w.kind AS kind, count(*) AS n, sum(a.ended - a.started) AS seconds FROM work w "
        "JOIN attempts a ON a.id = w.id WHERE a.reason = 'done' GROUP BY w.kind"
    )
    return {row["kind"]: (row["n"], row["seconds"]) for row in rows}


def main() -> int:
    """Print the times; 1 when the limit is missed, a training was done twice or a trial failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, default=ROOT / "examples" / "sizes.json")
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stillhouse-bench-") as folder:
        home = Home.locate(options.home or folder)
        presence.hold_open(home)
        api.ensure_runner(home)
        time.sleep(WARM_SECONDS)
        spec = json.loads(options.file.read_text(encoding="utf-8"))
        plan = api_sweeps.plan(home, spec)
        started = api_sweeps.start(home, spec)
        trials, whole, now = follow(home, started["id"])
        done, kept = trainings(home)
        parts = by_kind(home)
    print(f"{now['done']} trials in {trials:.0f} s, with {now['grid_points']} grid points {whole:.0f} s "
          f"(limit {LIMIT_SECONDS:.0f}; {plan['seconds']:.0f} s were expected)")  # fmt: skip
    print(f"{done} trainings for {kept} different ones ({plan['trainings']} planned)")
    for kind, (count, seconds) in parts.items():
        print(f"{kind}: {count} attempts, {seconds:.0f} s of workers, {seconds / count:.1f} s each")
    print(f"load average {os.getloadavg()[0]:.1f}")
    if now["failed"]:
        print(f"{FAILED}: {now['errors'][0]}")
    return int(whole > LIMIT_SECONDS or done != kept or bool(now["failed"]))


if __name__ == "__main__":
    raise SystemExit(main())
