"""Who is ahead of whom: ``python -m benchmarks.ladder [--task NAME] [--students NAME ...] [--seeds 0 1 2]``.

The task's teacher and dense students that it has taught as in the default run, on validation. Differences between one
rung and the next are paired: the same examples (blocks of running text), seeds as replicates (engine/statistics.py).
Trained students are kept in the home, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine import catalogue, pipeline, statistics
from engine.home import Home
from engine.recipe import Recipe
from engine.student import train
from engine.teaching import forward
from engine.workbench import Bench

Scores = npt.NDArray[Any]


def recipe(task: str, student: str, seed: int, epochs: int | None) -> Recipe:
    """The default run's training of another student, nothing compressed."""
    default = catalogue.current().row("tasks", task)["default"]
    phase = {name: default["phases"][0][name] for name in ("epochs", "loss", "teachers")}
    phase |= {} if epochs is None else {"epochs": epochs}
    return Recipe.from_json({"task": task, "student": student, "seed": seed, "phases": [phase]})


def of_student(home: Home, task: str, student: str, seeds: Sequence[int], epochs: int | None) -> Scores:
    """[S, N] scores of every seed."""
    rows = []
    for seed in seeds:
        bench = Bench(recipe(task, student, seed, epochs), home)
        inputs = bench.task.split("sample", "validation").inputs
        rows.append(pipeline.scores(bench, forward(train(bench).model, inputs).numpy()))
    return np.stack(rows)


def of_teacher(home: Home, task: str, student: str, seeds: Sequence[int]) -> Scores:
    """[S, N] of the teacher, the same for every seed."""
    bench = Bench(recipe(task, student, seeds[0], None), home)
    own = pipeline.scores(bench, pipeline.taught_by(bench).numpy())
    return np.repeat(own[None], len(seeds), axis=0)


def line(first: str, second: str, found: statistics.Difference, scale: float) -> str:
    """One difference in the metric's own units."""
    ends = f"{scale * found.low:+.3f} to {scale * found.high:+.3f}"
    return f"| {first} - {second} | {scale * found.difference:+.3f} | {ends} | {found.verdict} |"


def main() -> None:
    """Train, compare neighbours on the ladder, print both tables."""
    rows = catalogue.current()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ladder", description=__doc__)
    parser.add_argument("--task", choices=rows.names("tasks"), default="text_spam")
    parser.add_argument("--students", nargs="+", help="all of the task where none are named")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--home", default="build/ladder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    home, students = Home.locate(options.home), options.students or rows.students(options.task)
    way = str(rows.row("tasks", options.task)["direction"])
    found = {s: of_student(home, options.task, s, options.seeds, options.epochs) for s in students}
    found[rows.teachers(options.task)[0]] = of_teacher(home, options.task, students[0], options.seeds)
    scale = 100.0 if next(iter(found.values())).dtype == bool else 1.0
    order = sorted(found, key=lambda name: float(found[name].mean()), reverse=way == "maximize")
    print("| model | mean over seeds | each |\n| --- | --- | --- |")
    for name in order:
        each = ", ".join(f"{scale * x.mean():.3f}" for x in found[name])
        print(f"| `{name}` | {scale * found[name].mean():.3f} | {each} |")
    print("\n| difference | value | 95 % interval | verdict |\n| --- | --- | --- | --- |")
    for first, second in [*itertools.pairwise(order), (order[1], order[-1])]:
        print(line(first, second, statistics.difference(found[first], found[second], way), scale))


if __name__ == "__main__":
    main()
