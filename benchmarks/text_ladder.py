"""What students of text reach: ``python -m benchmarks.text_ladder [--task text_topics] [--seeds 0 1 2]``.

Every student on labels alone and with the task's teacher, then one with few labels and all other texts unlabelled, and
a linear model on the same words beside them (TF-IDF and logistic regression, scikit-learn). Accuracy on validation.
Trained prefixes are kept in the home, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from engine import registry
from engine.home import Home
from engine.recipe import Recipe
from engine.student import train
from engine.tasks._text import TextTask
from engine.tasks._text_files import END
from engine.workbench import Bench

STUDENTS = ("bag", "lstm", "bert_1", "bert_2", "bert_4")
FEW = (100, 300)
KD = {"name": "kd", "temperature": 2.0, "weight": 0.9}
LABELS = {"name": "cross_entropy"}


def counts(task: TextTask, split: str) -> tuple[csr_matrix, np.ndarray]:
    """How often each word is in each text [N, V], and the labels [N]."""
    part = task.split("sample", split)
    rows, columns = (part.inputs > END).nonzero().T.numpy()
    words = part.inputs.numpy()[rows, columns]
    shape = len(part), len(task.stock.vocabulary().words)
    return csr_matrix((np.ones(len(words)), (rows, words)), shape=shape), part.labels.numpy()


def linear(task: TextTask, labels: int | None, strength: float) -> dict[str, float]:
    """Accuracy of a linear model on validation and test; ``strength`` is scikit-learn's C."""
    words, answers = counts(task, "train")
    weighing = TfidfTransformer(sublinear_tf=True).fit(words)
    chosen = task.labelled(task.split("sample", "train").labels, labels, 0).numpy()
    model = LogisticRegression(C=strength, max_iter=500).fit(weighing.transform(words[chosen]), answers[chosen])
    others = {split: counts(task, split) for split in ("validation", "test")}
    return {split: float(model.score(weighing.transform(x), y)) for split, (x, y) in others.items()}


def recipe(task: str, student: str, labels: int | None, seed: int, epochs: int, taught: bool) -> Recipe:
    """A dense student with one training phase."""
    teacher = registry.get("tasks", task).default["phases"][0]["teachers"][0]
    loss, teachers = (KD, [teacher]) if taught else (LABELS, [])
    phase: dict[str, Any] = {"epochs": epochs, "loss": loss, "teachers": teachers}
    row = {"task": task, "student": student, "labels": labels, "seed": seed, "phases": [phase]}
    return Recipe.from_json(row)


def reached(home: Home, wanted: Recipe) -> float:
    """Validation accuracy of the trained student."""
    bench = Bench(wanted, home)
    return bench.quality(train(bench).model)


def row(home: Home, task: str, student: str, labels: int | None, seeds: list[int], epochs: int) -> str:
    """One line of the table: labels alone, with the teacher, the difference, over seeds."""
    began = time.process_time()
    ways = [[recipe(task, student, labels, seed, epochs, taught) for seed in seeds] for taught in (False, True)]
    alone, taught = (np.array([reached(home, wanted) for wanted in way]) for way in ways)
    gap = taught - alone
    spread = gap.std(ddof=1) / len(gap) ** 0.5 if len(gap) > 1 else float("nan")
    seconds = (time.process_time() - began) / (2 * len(seeds))
    few = "all" if labels is None else str(labels)
    return (f"| {student} | {few} | {100 * alone.mean():.1f} | {100 * taught.mean():.1f} | {100 * gap.mean():+.1f} "
            f"({100 * spread:.1f}) | {seconds:.0f} |")  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.text_ladder", description=__doc__)
    parser.add_argument("--task", choices=("text_spam", "text_topics"), default="text_spam")
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=STUDENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--few-epochs", type=int, default=4, help="epochs over all texts where few have labels")
    parser.add_argument("--home", default="build/text_ladder", help="where trained students are kept")
    options = parser.parse_args()
    home, task = Home.locate(options.home), registry.get("tasks", options.task)
    prefix = "topics_" if options.task == "text_topics" else ""
    for labels in (None, *FEW):
        best = max((linear(task, labels, c) for c in (1.0, 10.0, 100.0)), key=lambda found: found["validation"])
        figures = ", ".join(f"{100 * value:.1f} % on {split}" for split, value in best.items())
        print(f"linear model, {labels or 'all'} labels: {figures}")
    print("| student | labels | labels alone | with the teacher | difference (standard error) | CPU seconds |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for student in options.students:
        print(row(home, options.task, prefix + student, None, options.seeds, options.epochs), flush=True)
    for labels in FEW:
        print(row(home, options.task, f"{prefix}bert_1", labels, options.seeds, options.few_epochs), flush=True)


if __name__ == "__main__":
    main()
