"""Measure the shipped results: what the charts show before anybody has run anything.

    python -m sample_data.ship [--home DIR] [--task NAME]

Runs about 60 trials of images and 12 of each kind of text for real (ten to twenty minutes on one core; trained students
are kept in the home, so it can be interrupted). Writes shipped_results.json, where those of other tasks stay, and for
images the packed artifacts in shipped/ that a click times again. The teacher of mails needs MiniLM's weights.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from engine import artifact, catalogue
from engine.execution.base import Outcome
from engine.execution.slot import Slot
from engine.home import Home
from engine.pipeline import assemble, predict, quality, run, timed_cost
from engine.prefix import Trained
from engine.recipe import Phase, Recipe
from engine.result import PhaseResult, Result
from engine.search import grid
from engine.student import train
from engine.teaching import load_teacher
from engine.workbench import Bench

HERE = Path(__file__).parent
SHIPPED = HERE / "shipped_results.json"
IMAGES = "fashion_mnist"
TASKS = (IMAGES, "text_spam", "language_model")
LONG = {"resnet18": 1}  # epochs where three would take too long
ONE_SHOT = {IMAGES: ((0.0, 8), (0.0, 4), (0.5, 8), (0.5, 4))}
ONE_SHOT_TEXT = ((0.0, 8), (0.0, 4))
RETIMED = ("plain_1k5", "plain_10k", "plain_150k", "depthwise_134k")


def dense(task: str, student: str) -> Recipe:
    """``student`` distilled as in the default run, uncompressed."""
    row = json.loads(json.dumps(catalogue.current().row("tasks", task)["default"])) | {"student": student}
    usual = row["phases"][0]
    row["phases"] = [usual | {"stages": [], "epochs": LONG.get(student, usual["epochs"])}]
    return Recipe.from_json(row)


def recipes(task: str) -> Iterator[Recipe]:
    """Everything that is shipped besides the teacher and the grid of images' default student."""
    default = Recipe.from_json(catalogue.current().row("tasks", task)["default"])
    yield from (default, default.dense(), default.baseline())
    settings = ONE_SHOT.get(task, ONE_SHOT_TEXT)
    for student in catalogue.current().students(task):
        yield dense(task, student)
        for sparsity, bits in settings if student not in LONG else settings[:1]:
            yield dense(task, student).with_one_shot(sparsity, bits)
    if task == IMAGES:
        yield from narrowed()


def narrowed() -> Iterator[Recipe]:
    """Students of images with channels removed before training."""
    for student, sparsity in itertools.product(("plain_29k", "plain_150k"), (0.3, 0.5)):
        row = dense(IMAGES, student).to_json()
        row["phases"][0]["stages"] = [{"name": "prune_channels", "sparsity": sparsity}]
        row["phases"].append({"stages": [{"name": "quantize_linear", "bits": 8}, {"name": "recalibrate"}]})
        yield Recipe.from_json(row)


def teacher(task: str, home: Home, slot: Slot) -> Result:
    """The shipped teacher as a point: its own artifact, with its reading on the test examples."""
    name, rows = catalogue.current().teachers(task)[0], catalogue.current().row("tasks", task)
    recipe = Recipe(task, name, (Phase(),), data="full" if "full" in rows["hashes"] else "sample")
    bench = Bench(recipe, home)
    # calibration, which makes the example, would read the full training examples, which may not be installed
    bench.__dict__["calibration"] = Bench(Recipe.from_json(rows["default"]), home).calibration
    trained = Trained(load_teacher(name), (), (), (PhaseResult("shipped weights", None),))
    built = artifact.build(trained.model, bench.example)
    cost = timed_cost(bench, trained, built, slot)
    result = assemble(bench, trained, predict(built, bench.inputs("validation")), cost)
    return replace(result, test=quality(bench, predict(built, bench.inputs("test")), "test"))


def ship_artifacts(home: Home, results: list[Result]) -> None:
    """Packed files of a few dense and 8-bit students, with what a latency's cause is decided from."""
    folder, rows = HERE / "shipped", []
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.packed"):
        old.unlink()
    wanted = [(s, d) for s in RETIMED for d in (dense(IMAGES, s), dense(IMAGES, s).with_one_shot(0.0, 8))]
    costs = {r.key: r.cost for r in results}
    for student, recipe in wanted:
        built = artifact.build(train(Bench(recipe, home)).model, Bench(recipe, home).example)
        (folder / f"{recipe.key}.packed").write_bytes(built.packed())
        cost = costs[recipe.key]
        facts = {"simulated": built.simulated, "bits": built.bits, "conversions": built.conversions}
        facts |= {"parameters": cost.parameters, "nonzero": cost.nonzero}
        rows.append({"task": IMAGES, "key": recipe.key, "student": student, "dense": built.bits is None,
                     "packed_bytes": cost.packed_bytes, "facts": facts})  # fmt: skip
    (folder / "index.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def entry(result: Result) -> dict[str, Any]:
    """One shipped result with the machine and the day of its measurement."""
    is_teacher = catalogue.current().row("models", result.recipe["student"])["role"] == "teacher"
    dense_key = "" if is_teacher else Recipe.from_json(result.recipe).dense().key
    row = json.loads(json.dumps(asdict(result)))
    row["phases"] = [{"name": p["name"], "quality": p["quality"], "cost": None} for p in row["phases"]]
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    machine = str(result.environment["machine"])
    return {"result": row | {"artifact": {}}, "machine": machine, "date": today, "dense_key": dense_key}


def measured(task: str, home: Home, slot: Slot) -> list[Result]:
    """Every shipped result of one task."""
    results = {(first := teacher(task, home, slot)).key: first}
    for recipe in recipes(task):
        if recipe.key not in results:
            results[recipe.key] = (made := run(recipe, home, lambda _event: None, slot).result)
            print(recipe.student, made.quality.value, f"{made.seconds:.0f} s", file=sys.stderr)

    def keep(outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            points[outcome.result.key] = outcome.result

    points: dict[str, Result] = {}
    if task == IMAGES:
        grid.run(dense(IMAGES, "plain_10k"), home, lambda _event: None, slot, keep)
    return list({**points, **results}.values())


def write(task: str, results: list[Result]) -> None:
    """Put the results of one task into shipped_results.json; those of the others stay as they are."""
    kept = [e for e in json.loads(SHIPPED.read_text(encoding="utf-8")) if e["result"]["recipe"]["task"] != task]
    entries = sorted([*kept, *map(entry, results)], key=lambda e: TASKS.index(e["result"]["recipe"]["task"]))
    text = ",\n".join(json.dumps(e, separators=(",", ":"), allow_nan=False) for e in entries)
    SHIPPED.write_text(f"[\n{text}\n]\n", encoding="utf-8")


def main() -> None:
    """Measure everything, or one task, and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="build/ship", help="where trained students are kept")
    parser.add_argument("--task", choices=TASKS, help="only this one")
    options = parser.parse_args()
    home = Home.locate(options.home)
    torch.set_num_threads(1)
    for task in [options.task] if options.task else TASKS:
        results = measured(task, home, Slot(home))
        write(task, results)
        if task == IMAGES:
            ship_artifacts(home, results)


if __name__ == "__main__":
    main()
