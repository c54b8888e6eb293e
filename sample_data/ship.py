"""Measure the shipped results: what the charts show before anybody has run anything.

    python -m sample_data.ship [--home DIR]

Runs about 60 trials for real (ten to twenty minutes on one core; trained students are kept in the home, so it can be
interrupted) and writes shipped_results.json and the packed artifacts in shipped/ that a click times again.
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
TASK = "fashion_mnist"
LONG = {"resnet18": 1}  # epochs where three would take too long
ONE_SHOT = ((0.0, 8), (0.0, 4), (0.5, 8), (0.5, 4))
RETIMED = ("plain_1k5", "plain_10k", "plain_150k", "depthwise_134k")


def dense(student: str) -> Recipe:
    """``student`` distilled as in the default run, uncompressed."""
    row = json.loads(json.dumps(catalogue.current().row("tasks", TASK)["default"])) | {"student": student}
    row["phases"] = [row["phases"][0] | {"stages": [], "epochs": LONG.get(student, 3)}]
    return Recipe.from_json(row)


def recipes() -> Iterator[Recipe]:
    """Everything that is shipped besides the teacher and the default student's grid."""
    default = Recipe.from_json(catalogue.current().row("tasks", TASK)["default"])
    yield from (default, default.baseline())
    for student in catalogue.current().students(TASK):
        yield dense(student)
        yield from (dense(student).with_one_shot(s, b) for s, b in (ONE_SHOT if student not in LONG else ONE_SHOT[:1]))
    for student, sparsity in itertools.product(("plain_29k", "plain_150k"), (0.3, 0.5)):
        row = dense(student).to_json()
        row["phases"][0]["stages"] = [{"name": "prune_channels", "sparsity": sparsity}]
        row["phases"].append({"stages": [{"name": "quantize_linear", "bits": 8}, {"name": "recalibrate"}]})
        yield Recipe.from_json(row)


def teacher(home: Home, slot: Slot) -> Result:
    """The shipped teacher as a point: its own artifact, with its reading on the test images."""
    recipe = Recipe(TASK, "teacher", (Phase(),), data="full")
    bench = Bench(recipe, home)
    # calibration, which makes the example, would read the full training images, which may not be installed
    bench.__dict__["calibration"] = Bench(dense("plain_10k"), home).calibration
    trained = Trained(load_teacher("teacher"), (), (), (PhaseResult("shipped weights", None),))
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
    wanted = [(s, d) for s in RETIMED for d in (dense(s), dense(s).with_one_shot(0.0, 8))]
    costs = {r.key: r.cost for r in results}
    for student, recipe in wanted:
        built = artifact.build(train(Bench(recipe, home)).model, Bench(recipe, home).example)
        (folder / f"{recipe.key}.packed").write_bytes(built.packed())
        cost = costs[recipe.key]
        facts = {"simulated": built.simulated, "bits": built.bits, "conversions": built.conversions}
        facts |= {"parameters": cost.parameters, "nonzero": cost.nonzero}
        rows.append({"task": TASK, "key": recipe.key, "student": student, "dense": built.bits is None,
                     "packed_bytes": cost.packed_bytes, "facts": facts})  # fmt: skip
    (folder / "index.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def entry(result: Result) -> dict[str, Any]:
    """One shipped result with the machine and the day of its measurement."""
    is_teacher = result.recipe["student"] == "teacher"
    dense_key = "" if is_teacher else Recipe.from_json(result.recipe).dense().key
    row = json.loads(json.dumps(asdict(result)))
    row["phases"] = [{"name": p["name"], "quality": p["quality"], "cost": None} for p in row["phases"]]
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    machine = str(result.environment["machine"])
    return {"result": row | {"artifact": {}}, "machine": machine, "date": today, "dense_key": dense_key}


def main() -> None:
    """Measure everything and write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="build/ship", help="where trained students are kept")
    home = Home.locate(parser.parse_args().home)
    torch.set_num_threads(1)
    slot = Slot(home)
    results = [teacher(home, slot)]
    for recipe in recipes():
        results.append(run(recipe, home, lambda _event: None, slot).result)
        print(recipe.student, results[-1].quality.value, f"{results[-1].seconds:.0f} s", file=sys.stderr)
    points: dict[str, Result] = {}

    def keep(outcomes: list[Outcome]) -> None:
        points.update({o.result.key: o.result for o in outcomes})

    grid.run(dense("plain_10k"), home, lambda _event: None, slot, keep)
    known = {r.key for r in results}
    results += [p for key, p in points.items() if key not in known]
    text = ",\n".join(json.dumps(entry(r), separators=(",", ":"), allow_nan=False) for r in results)
    (HERE / "shipped_results.json").write_text(f"[\n{text}\n]\n", encoding="utf-8")
    ship_artifacts(home, results)


if __name__ == "__main__":
    main()
