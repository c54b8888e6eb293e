"""Is a model as fast as itself? ``python -m benchmarks.aa [--quick]``

The same file under two names, measured as a trial is, again and again. The 95 % interval of the paired ratio must hold
1 in at least 90 of 100 campaigns. A model of 1 ms or more must be known to 5 % (half the interval's width) within 12
rounds: that is asked of the median campaign. Prints Markdown; exit status 1 when a limit is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from engine import retiming
from engine.measure.latency import LatencyReading, Protocol, measure

CAMPAIGNS, QUICK_CAMPAIGNS, HOLDING, HALF_WIDTH, LARGE_MS = 100, 12, 0.90, 0.05, 1.0
MODELS = (("plain_10k", 1), ("plain_150k", 8))  # (student, batch): a small one, and one of 1 ms or more
SHAPE = (1, 28, 28)


def shipped(student: str, folder: Path, dense: bool = True) -> Path:
    """The ONNX file of a shipped student, written to ``folder``."""
    entry = next(e for e in retiming.index("fashion_mnist") if e["student"] == student and e["dense"] == dense)
    path = folder / f"{entry['key']}.onnx"
    path.write_bytes(retiming.load(entry["key"]))
    return path


def campaigns(path: Path, batch: int, count: int) -> list[LatencyReading]:
    """The second name's reading of each campaign, of 12 rounds and no more."""
    found = []
    for seed in range(count):
        protocol = Protocol(seconds=0.0, rounds=12, seed=seed)
        found.append(measure({"a": path, "b": path}, SHAPE, batch, "a", protocol)["b"])
    return found


def holding(found: Sequence[LatencyReading]) -> float:
    """The share of campaigns whose interval holds 1."""
    return sum(float(r.ratio_low or 0) <= 1 <= float(r.ratio_high or 0) for r in found) / len(found)


def half_width(found: Sequence[LatencyReading]) -> float:
    """Half the width of the ratio's interval, in the median campaign."""
    return median((float(r.ratio_high or 0) - float(r.ratio_low or 0)) / 2 for r in found)


def main() -> int:
    """Print the table; 1 when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_CAMPAIGNS} campaigns a model")
    count, missed = QUICK_CAMPAIGNS if parser.parse_args().quick else CAMPAIGNS, 0
    print("| student | batch | median | campaigns | interval holds 1 | half-width, median campaign | rounds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for student, batch in MODELS:
            found = campaigns(shipped(student, Path(folder)), batch, count)
            milliseconds, held, half = median(r.median_ms for r in found), holding(found), half_width(found)
            missed += held < HOLDING or (milliseconds >= LARGE_MS and half > HALF_WIDTH)
            print(f"| {student} | {batch} | {milliseconds:.3f} ms | {count} | {held:.0%} | {half:.1%} "
                  f"| {max(r.rounds for r in found)} |", flush=True)  # fmt: skip
    print(f"\nLimits: {HOLDING:.0%}; {HALF_WIDTH:.0%} from {LARGE_MS:g} ms. Load average {os.getloadavg()[0]:.1f}.")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
