"""Settings layer by layer against equal ones of as many bytes: ``python benchmarks/sensitivity.py [--quick]``.

Trains (or takes from the home) dense students, measures them layer by layer, and for several budgets compares what is
recommended with the best of all equal settings that fit (every sparsity with every width). That best one is picked by
its quality on the very images that it is judged on, which favours it. Prints a table in Markdown; differences have
paired 95 % intervals. Exit status 1 when a recommendation does not fit into its budget.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from engine import api_sensitivity, artifact, metrics, sensitivity, sensitivity_files
from engine.execution.slot import Slot
from engine.home import Home
from engine.pipeline import BATCH
from engine.recipe import Recipe
from engine.sensitivity import Student
from engine.student import advance, copy_of
from engine.workbench import Bench

STUDENTS, QUICK = ("plain_10k", "depthwise_10k"), ("plain_1k5",)
SPARSITIES, BITS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9), (8, 7, 6, 5, 4, 3, 2)
SHARES = (0.6, 0.7, 0.8, 1.0, 1.3)  # of the bytes that 4 bits everywhere take
HEAD = ("student", "budget", "predicted", "measured", "bytes", "best equal setting", "its accuracy", "its bytes",
        "difference (points)")  # fmt: skip


def main() -> int:
    """Print the table; 1 when a recommendation does not fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small student only")
    parser.add_argument("--home", default="build/sensitivity", help="where trained students are kept")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    missed = 0
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD))
    for name in QUICK if options.quick else STUDENTS:
        for row, held in lines(name, options.epochs, Home.locate(options.home)):
            missed += not held
            print("| " + " | ".join(row) + " |", flush=True)
    print(f"\nLoad average {os.getloadavg()[0]:.1f}; missed: {missed}.")
    return int(missed > 0)


def lines(name: str, epochs: int, home: Home) -> Iterator[tuple[list[str], bool]]:
    """A row for each budget, and whether the recommendation fits."""
    phase = {"epochs": epochs, "loss": {"name": "kd"}, "teachers": ["teacher"]}
    dense = Recipe.from_json({"task": "fashion_mnist", "student": name, "phases": [phase]})
    if sensitivity_files.load(home, dense.key) is None:
        sensitivity.sense({"dense": dense.to_json()}, home, lambda _: None, Slot(home))
    data, student = sensitivity_files.load(home, dense.key) or {}, Student.of(Bench(dense, home))
    equal = [(s, b, *measured(student, dense.with_one_shot(s, b))) for s in SPARSITIES for b in BITS]
    for share in SHARES:
        budget = round(share * api_sensitivity.usual_budget(data))
        fitting = [e for e in equal if e[2] <= budget]
        if budget < api_sensitivity.limits(data)[0] or not fitting:
            continue
        found = api_sensitivity.choose(data, budget)
        size, right = measured(student, api_sensitivity.recipe_for(dense, found["layers"]))
        sparsity, bits, other_size, other = max(fitting, key=lambda e: float(e[3].mean()))
        gap, low, high = metrics.paired_difference(right, other)
        row = [name, f"{budget:,}", f"{100 * found['quality']:.1f} %", f"{100 * right.mean():.1f} %", f"{size:,}",
               f"{100 * sparsity:.0f} % zeros, {bits} bits", f"{100 * other.mean():.1f} %", f"{other_size:,}",
               f"{100 * gap:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"]  # fmt: skip
        yield row, size <= budget


def measured(student: Student, recipe: Recipe) -> tuple[int, Any]:
    """Packed bytes and which validation images are answered right, of the recipe's artifact."""
    bench = replace(student.bench, recipe=recipe)
    changed = advance(bench, copy_of(student.trained), len(recipe.phases) - 1)
    built = artifact.build(changed.model, bench.example, student.template)
    logits = artifact.predict(artifact.session(built.onnx), bench.inputs("validation"), BATCH)
    return len(built.packed()), metrics.correct(logits, student.labels)


if __name__ == "__main__":
    sys.exit(main())
