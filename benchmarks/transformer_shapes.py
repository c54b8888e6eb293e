"""What transformers lose and save by smaller shapes: ``python -m benchmarks.transformer_shapes [--task text_spam]``.

One student is trained densely, then changed by each method, at once and with one more epoch under the change; the dense
student with that epoch is the control of the latter. Prints Markdown: quality of the ONNX file on validation with its
interval, the paired difference to the control, bytes, multiply-adds, and the time of one example against the dense
student's (batch 1, one thread, rounds of fresh processes). Trained students are kept in ``--home``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from engine import artifact, pipeline, registry
from engine.home import Home
from engine.measure.cost import cost as cost_of
from engine.measure.latency import Protocol, measure
from engine.recipe import Recipe
from engine.result import Cost, Quality
from engine.scores import paired
from engine.student import train
from engine.workbench import Bench

STUDENTS = {"text_spam": "bert_2", "language_model": "gpt_2"}
BASE = 2  # epochs of the dense student
STAGES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "half of the heads": [{"name": "prune_heads"}],
    "half of the heads, by weights": [{"name": "prune_heads", "score": "magnitude"}],
    "one head of keys and values": [{"name": "group_key_values", "groups": 1}],
    "two heads of keys and values": [{"name": "group_key_values", "groups": 2}],
    "one block of two": [{"name": "drop_layers"}],
    "one block of two, by loss": [{"name": "drop_layers", "rule": "importance"}],
    "a quarter of the attention's rank": [{"name": "factor_low_rank", "layers": "*att*", "keep": 0.25}],
    "blocks share their weights": [{"name": "share_layers"}],
    "one table": [{"name": "tie_embeddings"}],
}
TRAINED_ONLY, TOKENS_ONLY = ("blocks share their weights", "one table"), ("one table",)


@dataclass(frozen=True)
class Row:
    """One variant: its measured quality and costs, its score of each example, its file."""

    name: str
    epochs: int
    quality: Quality
    scores: Any
    cost: Cost
    path: Path


def variant(home: Home, folder: Path, task: str, name: str, epochs: int, seed: int) -> Row:
    """Train, write and read one variant; ``epochs`` after the change."""
    default = registry.get("tasks", task).default
    taught = {k: v for k, v in default["phases"][0].items() if k in ("loss", "teachers")}
    stages = list(STAGES.get(name, ()))
    last = [{**(taught if epochs else {}), "epochs": epochs, "stages": stages}] if epochs or stages else []
    phases = [{"epochs": BASE, **taught}, *last]
    bench = Bench(Recipe.from_json({"task": task, "student": STUDENTS[task], "phases": phases, "seed": seed}), home)
    trained = train(bench)
    built = artifact.build(trained.model, bench.example)
    logits = pipeline.predict(built, bench.inputs("validation"))
    path = folder / f"{len(list(folder.iterdir()))}.onnx"
    path.write_bytes(built.onnx)
    cost = cost_of(trained.model, bench.example, built)
    return Row(name, epochs, pipeline.quality(bench, logits, "validation"), pipeline.scores(bench, logits), cost, path)


def line(row: Row, control: Row, dense: Row, ratio: str) -> str:
    """One row of the table."""
    quality, (found, low, high) = row.quality, paired(row.scores, control.scores)
    points, digits = (100.0, 2) if quality.metric == "accuracy" else (1.0, 3)
    value = _spread(points, digits, "", quality.value, quality.low, quality.high)
    beside = "" if row is control else _spread(points, digits, "+", found, low, high)
    size = f"{row.cost.packed_bytes / 1e3:.0f} kB | {row.cost.macs / dense.cost.macs:.2f}"
    return f"| {row.name} | {row.epochs} | {value} | {beside} | {size} | {ratio} |"


def _spread(unit: float, digits: int, sign: str, *values: float) -> str:
    value, low, high = (f"{unit * v:{sign}.{digits}f}" for v in values)
    return f"{value} ({low} to {high})"


def main() -> None:
    """Measure every variant and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="text_spam", choices=sorted(STUDENTS))
    parser.add_argument("--home", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=12, help="of timing; 0 leaves times out")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        home = Home.locate(given.home or str(folder / "home"))
        (folder / "files").mkdir()
        wanted = [("dense", 0), ("dense", 1)]
        for name in (n for n in STAGES if given.task == "language_model" or n not in TOKENS_ONLY):
            wanted += [(name, epochs) for epochs in ((1,) if name in TRAINED_ONLY else (0, 1))]
        rows = []
        for name, epochs in wanted:
            rows.append(variant(home, folder / "files", given.task, name, epochs, given.seed))
            print(name, epochs, rows[-1].quality.value, file=sys.stderr, flush=True)
        report(rows, given.task, given.rounds)


def report(rows: Sequence[Row], task: str, rounds: int) -> None:
    """Time all files together and print."""
    shape = tuple(registry.get("tasks", task).input_shape)
    paths = {str(i): row.path for i, row in enumerate(rows)}
    times = measure(paths, shape, 1, "0", Protocol(rounds=rounds)) if rounds else {}
    controls = {0: rows[0], 1: rows[1]}
    unit = "points" if rows[0].quality.metric == "accuracy" else rows[0].quality.metric
    print(f"| {STUDENTS[task]} | epochs after | {rows[0].quality.metric} | difference to dense ({unit}) | packed | "
          "multiply-adds | time |\n| --- | --- | --- | --- | --- | --- | --- |")  # fmt: skip
    for i, row in enumerate(rows):
        found = times.get(str(i))
        ratio = (
            f"{found.ratio:.2f} ({found.ratio_low:.2f} to {found.ratio_high:.2f})"
            if found and i
            else "1"
            if not i
            else ""
        )
        print(line(row, controls[row.epochs], rows[0], ratio))
    print(f"{np.size(rows[0].scores)} examples" + (f"; dense {times['0'].median_ms:.2f} ms" if times else ""))


if __name__ == "__main__":
    main()
