"""How far can short runs be trusted? `make evidence` runs this; it writes the atlas that is shipped with the project.

    python -m benchmarks.evidence_atlas [--home build/atlas] [--quick] [--report]

About 60 recipes of small students, each run for a short time and for eight times as long: 2 and 16 epochs. Students,
losses, temperatures, weights, labels, seeds, sparsities, bits and the moment of pruning vary one at a time from a
common middle, so that each can be judged while all else is equal. The one-shot variants share their dense student's
training, as they would in the app. Qualities are those of the written artifact on validation.

Every run is noted as soon as it is measured, and trained students are kept: an interrupted command goes on where it
stopped. About 35 minutes on an idle core. With `--report` nothing is trained, only what is there is evaluated. Writes
sample_data/atlas.json, docs/evidence/atlas.md and docs/evidence/atlas.svg once every recipe is there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.atlas_report import drawing, report
from engine import artifact
from engine.errors import InputError
from engine.home import Home
from engine.measure import machine
from engine.pipeline import predict, quality
from engine.recipe import Recipe
from engine.search import atlas
from engine.search.longer import longer
from engine.student import train
from engine.workbench import Bench

ROOT = Path(__file__).resolve().parents[1]
TASK = "fashion_mnist"
SHORT, TIMES = 2, 8
QUICK_SHORT, QUICK_TIMES = 1, 2
PANEL = ("plain_1k5", "plain_5k", "plain_10k", "depthwise_1k4", "depthwise_5k")
LARGER = ("plain_29k", "depthwise_10k", "depthwise_28k")
SOFT = {"name": "kd", "temperature": 4.0, "weight": 0.9}
ONE_SHOT = ((0.0, 8), (0.0, 3), (0.5, 8), (0.7, 8))
HIGH_SPARSITY, FEW_LABELS = 0.8, 500
FEWEST = 55
Row = dict[str, Any]


def recipe(student: str, loss: Row = SOFT, stages: Sequence[Row] = (), after: Sequence[Row] = (),
           **more: Any) -> Recipe:  # fmt: skip
    """One short recipe: a phase that trains under ``stages``, then a phase that only applies ``after``."""
    teachers = [] if loss["name"] == "cross_entropy" else ["teacher"]
    phases: list[Row] = [{"epochs": SHORT, "loss": loss, "teachers": teachers, "stages": list(stages)}]
    phases += [{"epochs": 0, "stages": list(after)}] if after else []
    return Recipe.from_json({"task": TASK, "student": student, "phases": phases, **more})


def recipes() -> Iterator[Recipe]:
    """The short recipes of the atlas: a middle for every student, then one setting after the other varied."""
    for student in (*PANEL, *LARGER):
        yield recipe(student)
    rounded = [{"name": "quantize_linear", "bits": 8}, {"name": "recalibrate"}]
    for student in PANEL:
        yield recipe(student, {"name": "cross_entropy"})
        yield from (recipe(student).with_one_shot(*setting) for setting in ONE_SHOT)
    for student in PANEL:
        for schedule in ("gradual", "one_shot"):
            pruned = {"name": "prune_magnitude", "sparsity": HIGH_SPARSITY, "schedule": schedule}
            yield recipe(student, stages=[pruned], after=rounded)
    for student in PANEL:
        yield recipe(student, {**SOFT, "temperature": 1.0})
        yield recipe(student, {**SOFT, "weight": 0.3})
        yield recipe(student, labels=FEW_LABELS)
        yield recipe(student, seed=1)
    for student in ("plain_5k", "depthwise_5k"):
        yield recipe(student, {**SOFT, "temperature": 10.0})
    for student in ("plain_1k5", "plain_5k"):
        yield recipe(student, {"name": "logit_mse"})


def quick() -> list[tuple[Recipe, Recipe]]:
    """A handful of the smallest student, one epoch and two."""
    small = [recipe("plain_1k5"), recipe("plain_1k5").with_one_shot(0.5, 8), recipe("plain_1k5", seed=1)]
    rows = [json.loads(json.dumps(r.to_json())) for r in small]
    for row in rows:
        row["phases"][0]["epochs"] = QUICK_SHORT
    return [(r, longer(r, QUICK_TIMES)) for r in (Recipe.from_json(row) for row in rows)]


class Journal:
    """What has been measured by the recipe's key, one JSON line a run.

    A line that was cut short is left out, and so is a run whose plug-ins have changed since.
    """

    def __init__(self, home: Home) -> None:
        self._path = home.root / "atlas.jsonl"
        self.rows: dict[str, Row] = {}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            try:
                row = json.loads(line)
                known = Recipe.from_json(row["recipe"])
                if row["versions"] == atlas.versions([known.to_json()]):
                    self.rows[known.key] = row["facts"]
            except (ValueError, KeyError, InputError):
                continue

    def add(self, measured: Recipe, facts: Row) -> None:
        """Keep a run, on the disk before anything else happens."""
        self.rows[measured.key] = facts
        body = measured.to_json()
        row = {"recipe": body, "versions": atlas.versions([body]), "facts": facts}
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def measure(wanted: Recipe, home: Home) -> Row:
    """Train (or resume) one recipe, write its artifact, read its quality on validation."""
    started = time.perf_counter()
    bench = Bench(wanted, home)
    built = artifact.build(train(bench).model, bench.example)
    found = quality(bench, predict(built, bench.inputs("validation")), "validation")
    facts = {"quality": found.value, "low": round(found.low, 6), "high": round(found.high, 6)}
    return facts | {"seconds": round(time.perf_counter() - started, 1)}


def run(pairs: Sequence[tuple[Recipe, Recipe]], home: Home, journal: Journal) -> None:
    """Measure every run that the journal does not have."""
    left = [r for pair in pairs for r in pair if r.key not in journal.rows]
    epochs = sum(p.epochs for r in left for p in r.phases)
    done, started = 0, time.monotonic()
    for number, wanted in enumerate(left, 1):
        row = measure(wanted, home)
        journal.add(wanted, row)
        done += sum(p.epochs for p in wanted.phases)
        minutes = (time.monotonic() - started) * (epochs - done) / max(done, 1) / 60
        print(f"{number}/{len(left)} {wanted.student}, {wanted.phases[0].epochs} epochs: {row['quality']:.4f} in "
              f"{row['seconds']:.0f} s; at most {minutes:.0f} min left", file=sys.stderr, flush=True)  # fmt: skip


def rows_of(pairs: Sequence[tuple[Recipe, Recipe]], journal: Journal, times: int) -> list[Row]:
    """The atlas's rows: every pair of which both runs are measured."""
    found = []
    for short, long in pairs:
        sides = [journal.rows.get(r.key) for r in (short, long)]
        if None not in sides:
            found.append({"recipe": short.to_json(), "times": times, "short": sides[0], "long": sides[1]})
    return found


def main() -> int:
    """Run what is missing, evaluate, write; 1 when too few recipes are there for an atlas."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="build/atlas", help="where trained students and the journal are kept")
    parser.add_argument("--quick", action="store_true", help="three recipes for a minute; writes nothing")
    parser.add_argument("--report", action="store_true", help="train nothing, evaluate what is there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    home = Home.locate(options.home)
    journal = Journal(home)
    pairs = quick() if options.quick else [(r, longer(r, TIMES)) for r in recipes()]
    if not options.report:
        run(pairs, home, journal)
    rows = rows_of(pairs, journal, QUICK_TIMES if options.quick else TIMES)
    about = {"task": TASK, "machine": machine.facts()["machine"],
             "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat()}  # fmt: skip
    place = home.root / "atlas.json"
    atlas.write(place, rows, about)
    found = atlas.read(place)
    text = report(found, rows, about)
    print(text)
    print(f"{len(rows)} of {len(pairs)} recipes; load average {os.getloadavg()[0]:.1f}", file=sys.stderr)
    if options.quick:
        return 0
    if len(rows) == len(pairs):
        atlas.write(atlas.PATH, rows, about)
        folder = ROOT / "docs" / "evidence"
        (folder / "atlas.md").write_text(text, encoding="utf-8")
        (folder / "atlas.svg").write_text(drawing(found), encoding="utf-8")
    return int(len(rows) < max(FEWEST, len(pairs)))


if __name__ == "__main__":
    raise SystemExit(main())
