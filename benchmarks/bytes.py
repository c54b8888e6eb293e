"""Packed bytes against entropy, for real students of every size: ``python benchmarks/bytes.py [--quick] [--home DIR]``.

Trains (or takes from the home) the task's students as they are shipped, packs them at 8 and 4 bits with and without
half zeros, checks that the decoder gives back every byte, and prints a table in Markdown. The bound is 1.10 times the
order-0 entropy of the integers: of all weights as one source, and layer by layer for students of 4,000 weights or more.
Below that a histogram weighs more than what it saves: 72 weights with 60 different values have an entropy of 6 bits
each only for one who is told the 60 values. Exit status 1 above the bound. NNCodec is compared where it is installed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from engine import artifact, catalogue
from engine.artifact import decoder
from engine.home import Home
from engine.measure import bytes as measured
from engine.student import train
from engine.workbench import Bench
from sample_data import ship

SETTINGS = ((0.0, 8), (0.5, 8), (0.0, 4), (0.5, 4))
QUICK = ("plain_1k5", "depthwise_5k")
LIMIT, LEAST = 1.10, 4_000
HEAD = ("student", "zeros", "bits", "weights", "packed", "of it weights", "numbers", "graph", "to entropy by layer",
        "to entropy, pooled", "to contexts")  # fmt: skip


def main() -> int:
    """Print the table; 1 when a student misses the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small students only")
    parser.add_argument("--students", metavar="A,B", help="only these")
    parser.add_argument("--home", default="build/ship", help="where trained students are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = catalogue.current().students(ship.TASK)
    students = options.students.split(",") if options.students else QUICK if options.quick else known
    missed, coder = 0, ""
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD))
    for student in students:
        for sparsity, bits, found in reports(student, Home.locate(options.home)):
            count, coder = sum(r["count"] for r in found["rows"] if r["part"] == "integers"), found["coder"]
            ratios = {
                n: found["totals"]["weights"] / found["totals"][n] for n in ("entropy", "entropy_pooled", "context")
            }
            missed += ratios["entropy_pooled"] > LIMIT or (count >= LEAST and ratios["entropy"] > LIMIT)
            print(line(student, sparsity, bits, count, found["totals"], ratios), flush=True)
    print(f"\nBound {LIMIT:.2f}; contexts: {coder}; load average {os.getloadavg()[0]:.1f}; missed: {missed}.")
    return int(missed > 0)


def reports(student: str, home: Home) -> Iterator[tuple[float, int, dict[str, Any]]]:
    """The report of each setting of one student, after its packed file has been decoded and compared."""
    for sparsity, bits in SETTINGS:
        bench = Bench(ship.dense(student).with_one_shot(sparsity, bits), home)
        built = artifact.build(train(bench).model, bench.example)
        if decoder.decode(built.packed()) != built.onnx:
            raise RuntimeError(f"{student}: the decoder gives another file")
        yield sparsity, bits, measured.report(built.onnx, built.packed())


def line(student: str, sparsity: float, bits: int, count: int, totals: dict[str, Any], ratios: dict[str, float]) -> str:
    """One row of the table; sizes in bytes."""
    sizes = (totals[n] for n in ("packed", "weights", "numbers", "skeleton"))
    cells = [student, f"{sparsity:.0%}", str(bits), f"{count:,}", *(f"{size:,}" for size in sizes)]
    return "| " + " | ".join([*cells, *(f"{ratio:.3f}" for ratio in ratios.values())]) + " |"


if __name__ == "__main__":
    sys.exit(main())
