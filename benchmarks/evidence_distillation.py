"""Does distillation help here? `make evidence` runs this and writes docs/evidence/distillation.md.

Two set-ups of the 10k student: few labels with an unlabelled transfer set, and all labels. Temperature and weight are
chosen on validation with seeds that are used for nothing else; then five other seeds train the distilled student and
the one on labels alone, and the paired differences on the test images are reported (seeds as replicates, same images:
`metrics.paired_over_seeds`). Trained prefixes are kept in the home, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

import numpy as np

from engine import metrics
from engine.home import Home
from engine.recipe import Recipe
from engine.student import train
from engine.teaching import forward
from engine.workbench import Bench

CHOOSE_SEEDS = (100, 101)
SEEDS = (0, 1, 2, 3, 4)
TEMPERATURES = (2.0, 4.0)
WEIGHTS = (0.5, 0.9)
SETUPS = {"200 labels, 19,800 unlabelled": 200, "all 20,000 labels": None}
OUT = Path(__file__).parents[1] / "docs" / "evidence" / "distillation.md"


def recipe(labels: int | None, seed: int, epochs: int, loss: dict[str, object]) -> Recipe:
    """A dense 10k student with one training phase."""
    teachers = [] if loss["name"] == "cross_entropy" else ["teacher"]
    phase = {"epochs": epochs, "loss": loss, "teachers": teachers}
    row = {"task": "fashion_mnist", "student": "plain_10k", "labels": labels, "seed": seed, "phases": [phase]}
    return Recipe.from_json(row)


def correct(bench: Bench, split: str) -> np.ndarray:
    """For every image of ``split``, whether the trained student is right."""
    part = bench.task.split("sample", split)
    return (forward(train(bench).model, part.inputs).argmax(1) == part.labels).numpy()


def choose(home: Home, labels: int | None, epochs: int) -> tuple[float, float, list[str]]:
    """Temperature and weight with the best mean validation accuracy over the choosing seeds."""
    rows, best = [], (-1.0, 0.0, 0.0)
    for temperature, weight in itertools.product(TEMPERATURES, WEIGHTS):
        loss = {"name": "kd", "temperature": temperature, "weight": weight}
        scores = [correct(Bench(recipe(labels, s, epochs, loss), home), "validation").mean() for s in CHOOSE_SEEDS]
        rows.append(f"| {temperature:g} | {weight:g} | {np.mean(scores):.4f} |")
        best = max(best, (float(np.mean(scores)), temperature, weight))
    return best[1], best[2], rows


def compare(home: Home, name: str, labels: int | None, epochs: int) -> list[str]:
    """The section of the report for one set-up."""
    temperature, weight, chosen = choose(home, labels, epochs)
    kd = {"name": "kd", "temperature": temperature, "weight": weight}
    pairs = []
    for seed in SEEDS:
        distilled = correct(Bench(recipe(labels, seed, epochs, kd), home), "test")
        alone = correct(Bench(recipe(labels, seed, epochs, {"name": "cross_entropy"}), home), "test")
        pairs.append((distilled, alone))
        print(f"{name}, seed {seed}: {distilled.mean():.4f} against {alone.mean():.4f}", file=sys.stderr)
    difference, low, high = metrics.paired_over_seeds(*(np.stack(side) for side in zip(*pairs, strict=True)))
    lines = [f"## {name}", "", "Chosen on validation, seeds 100 and 101:", ""]
    lines += ["| temperature | weight | mean accuracy |", "| --- | --- | --- |", *chosen, ""]
    lines += ["| seed | distilled | labels alone | difference |", "| --- | --- | --- | --- |"]
    rows = [(s, d.mean(), a.mean()) for s, (d, a) in zip(SEEDS, pairs, strict=True)]
    lines += [f"| {s} | {d:.4f} | {a:.4f} | {d - a:+.4f} |" for s, d, a in rows]
    verdict = "excludes zero" if low > 0 or high < 0 else "does not exclude zero"
    return [*lines, "", f"Temperature {temperature:g}, weight {weight:g}: paired difference **{difference:+.4f}**, "
            f"95 % interval {low:+.4f} to {high:+.4f}: it {verdict}.", ""]  # fmt: skip


def main() -> None:
    """Run both set-ups and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", default="build/evidence", help="where trained students are kept")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    home, started = Home.locate(arguments.home), time.monotonic()
    lines = ["# Does distillation help the 10k student?", "", "Written by `make evidence`. Fashion-MNIST sample, "
             f"{arguments.epochs} epochs of 20,000 images, accuracy on the 10,000 test images. The teacher saw all "
             "labels: with few labels most of the gain is label transfer.", ""]  # fmt: skip
    for name, labels in SETUPS.items():
        lines += compare(home, name, labels, arguments.epochs)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
