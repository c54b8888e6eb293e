"""Does a busy neighbour turn the order of models around? ``python -m benchmarks.busy [--quick]``

Models whose times differ by more than 10 % are measured on a quiet machine, then again while other processes multiply
matrices on every core without a pause. No two of them may change places: their paired ratio must stay on its side of 1.
Prints Markdown; exit status 1 when a pair has changed places.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.aa import SHAPE, shipped
from engine.measure.latency import LatencyReading, measure
from engine.measure.machine import available_cores

STUDENTS = ("plain_1k5", "plain_10k", "depthwise_134k", "plain_150k")
ROUNDS, QUICK_ROUNDS, APART, BATCH = 5, 1, 1.10, 1
BUSY = "import numpy as np\na = np.ones((400, 400), np.float32)\nwhile True: a @ a"


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """``count`` processes that never rest."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    running = [subprocess.Popen([sys.executable, "-c", BUSY], env=environment) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def pair(paths: Mapping[str, Path], slow: str, fast: str) -> LatencyReading:
    """The reading of ``slow`` with its ratio to ``fast``."""
    return measure({slow: paths[slow], fast: paths[fast]}, SHAPE, BATCH, fast)[slow]


def pairs(paths: Mapping[str, Path]) -> dict[tuple[str, str], float]:
    """Ratios of all pairs that are more than 10 % apart, the slower one first."""
    found = {}
    for first, second in combinations(paths, 2):
        ratio = float(pair(paths, first, second).ratio or 1)
        if max(ratio, 1 / ratio) > APART:
            found[(first, second) if ratio > 1 else (second, first)] = max(ratio, 1 / ratio)
    return found


def main() -> int:
    """Print the table; 1 when a pair has changed places."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three students, one campaign a pair")
    quick = parser.parse_args().quick
    students, times, flipped = STUDENTS[:3] if quick else STUDENTS, QUICK_ROUNDS if quick else ROUNDS, 0
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            f"{s}, {'float' if d else '8 bits'}": shipped(s, Path(folder), d) for s in students for d in (True, False)
        }
        quiet = pairs(kinds)
        load = os.getloadavg()[0]
        print("| slower | faster | quiet | beside busy processes | changed places |\n| --- | --- | --- | --- | --- |")
        with neighbours(available_cores()):
            for (slow, fast), ratio in quiet.items():
                busy = [float(pair(kinds, slow, fast).ratio or 1) for _ in range(times)]
                flips = sum(r < 1 for r in busy)
                flipped += flips
                print(f"| {slow} | {fast} | {ratio:.2f} | {min(busy):.2f} to {max(busy):.2f} | {flips} of {times} |",
                      flush=True)  # fmt: skip
    print(f"\n{available_cores()} busy processes; load average before {load:.1f}, at the end {os.getloadavg()[0]:.1f}.")
    return min(flipped, 1)


if __name__ == "__main__":
    sys.exit(main())
