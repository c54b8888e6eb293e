"""What losses do to how a language model writes: ``python benchmarks/language_distillation.py [--seeds 3] [--quick]``.

The student gpt_2 learns from the shipped teacher at temperature 1 under each loss, with equal data, steps and seeds;
its own continuations of validation texts are then judged (engine/measure/free_running.py). Differences are paired by
seed: Student's t interval over seeds of the means over texts. Prints a table, or JSON with --json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from engine import metrics
from engine.home import Home
from engine.measure.free_running import free_running
from engine.recipe import Recipe
from engine.student import train
from engine.teaching import load_teacher
from engine.workbench import Bench

TASK, TEACHER, PROMPT, TEXTS = "language_model", "gpt_teacher", 32, 64
LOSSES: Mapping[str, Mapping[str, Any]] = {
    "labels": {"name": "cross_entropy"},
    "forward KL": {"name": "kd", "temperature": 1.0, "weight": 1.0},
    "reverse KL": {"name": "reverse_kl", "temperature": 1.0, "weight": 1.0},
    "JSD": {"name": "jsd", "temperature": 1.0, "weight": 1.0},
    "on-policy, forward KL": {"name": "on_policy", "divergence": "forward_kl", "weight": 1.0},
    "on-policy, reverse KL": {"name": "on_policy", "divergence": "reverse_kl", "weight": 1.0},
}
COLUMNS = ("bits_per_character", "entropy", "given", "own", "gap")
PAIRS = (("reverse KL", "forward KL", "entropy"), ("on-policy, forward KL", "forward KL", "gap"),
         ("on-policy, reverse KL", "reverse KL", "gap"))  # fmt: skip


def measured(loss: Mapping[str, Any], student: str, epochs: int, seed: int, home: Home) -> dict[str, float]:
    """One student, trained and let write."""
    phase = {"epochs": epochs, "loss": dict(loss), "teachers": [] if loss["name"] == "cross_entropy" else [TEACHER]}
    bench = Bench(Recipe.from_json({"task": TASK, "student": student, "seed": seed, "phases": [phase]}), home)
    trained = train(bench)
    ids = bench.task.split("sample", "validation").inputs[:TEXTS]
    found = free_running(trained.model, load_teacher(TEACHER), ids, PROMPT, seed)
    row = {name: float(getattr(found, name).mean()) for name in COLUMNS[1:]}
    return {"bits_per_character": bench.quality(trained.model)} | row


def main() -> int:
    """Train every loss with every seed, print the table and the paired differences."""
    options = _options()
    torch.set_num_threads(1)
    rows: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, loss in LOSSES.items():
            found = [
                measured(loss, options.student, options.epochs, s, Home.locate(folder)) for s in range(options.seeds)
            ]
            rows[name] = found
            print(name, *(f"{_mean(found, c):.3f}" for c in COLUMNS), file=sys.stderr, flush=True)
    told = {"rows": rows, "differences": differences(rows)}
    print(json.dumps(told) if options.json else words(told))
    return 0


def differences(rows: Mapping[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    """The claims: first minus second in one column, with its interval over seeds."""
    found = []
    for first, second, column in PAIRS:
        gaps = [a[column] - b[column] for a, b in zip(rows[first], rows[second], strict=True)]
        value, low, high = metrics.over_seeds(gaps) if len(gaps) > 1 else (gaps[0],) * 3
        found.append({"first": first, "second": second, "column": column, "value": value, "low": low, "high": high})
    return found


def words(told: Mapping[str, Any]) -> str:
    """Both tables in Markdown."""
    lines = ["| loss | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    lines += [f"| {n} | " + " | ".join(f"{_mean(r, c):.3f}" for c in COLUMNS) + " |" for n, r in told["rows"].items()]
    lines += ["", "| difference | in | value | 95 % interval |", "|---|---|---|---|"]
    return "\n".join(lines + [_line(d) for d in told["differences"]])


def _line(row: Mapping[str, Any]) -> str:
    interval = f"{row['low']:+.3f} to {row['high']:+.3f}"
    return f"| {row['first']} - {row['second']} | {row['column']} | {row['value']:+.3f} | {interval} |"


def _mean(rows: list[dict[str, float]], column: str) -> float:
    return sum(row[column] for row in rows) / len(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--student", default="gpt_2")
    parser.add_argument("--quick", action="store_true", help="one seed, one epoch: a smoke test")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.epochs = 1, 1
    return options


if __name__ == "__main__":
    sys.exit(main())
