"""Do the lessons' experiments show what the lessons say? `make evidence` runs this and writes docs/evidence/lessons.md.

    python -m benchmarks.evidence_lessons [--home build/lessons] [--lessons NAME ...] [--seeds 10] [--report]

Each lesson's two runs are asked for as the page asks for them. With seed 0 each lesson has a home of its own that was
empty before, with a runner of two workers that is started for it: the seconds are those of somebody's first lesson on
this machine. Each further seed has one home, where all lessons run. What was measured stays in those homes: an
interrupted command goes on where it stopped, and a changed check is read anew from the same answers. About 25 minutes
on two idle cores.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine import api, api_lessons
from engine.errors import TrialFailedError
from engine.files import atomic_write
from engine.home import Home
from engine.lesson_check import LATENCY, Finding
from engine.lesson_words import UNDECIDED
from engine.lessons import Lesson
from engine.measure import machine
from pages.parts import lesson_recipes

OUT = Path(__file__).resolve().parents[1] / "docs" / "evidence" / "lessons.md"
SEEDS, LEAST, MOST_UNDECIDED, LIMIT = 10, 9, 2, 60
Json = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One lesson with one seed: what its check says, the results of both runs, and how long they took together."""

    seed: int
    finding: Finding
    first: Mapping[str, Any]
    second: Mapping[str, Any]
    seconds: float
    load: float


def recipes(lesson: Lesson, seed: int) -> list[Json]:
    """The recipes of both runs in JSON, the very same that the page runs."""
    return [run.recipe.to_json() for run in lesson_recipes.runs(lesson, seed)]


def home_of(lesson: Lesson, seed: int, root: Path) -> Path:
    """A lesson's own with seed 0, else the seed's."""
    return root / (f"seed-{seed}" if seed else f"{lesson.name}-0")


def measure(lessons: Sequence[Lesson], seed: int, folder: Path) -> None:
    """Run all recipes in the home ``folder`` and note the seconds; this process's end lets the runner go."""
    home = Home.locate(str(folder))
    started = time.monotonic()
    api.ensure_runner(home)
    keys = {lesson.name: [api.submit(home, recipe, companions=False, host=True)["key"]
                          for recipe in recipes(lesson, seed)] for lesson in lessons}  # fmt: skip
    for name, both in keys.items():
        for key, ended in api.wait(home, both).items():
            if ended["state"] != "done":
                raise TrialFailedError(f"{name}, seed {seed}: {key} {ended['state']}: {ended['error']}")
        row = {"keys": both, "seconds": time.monotonic() - started, "load": os.getloadavg()[0]}
        atomic_write(folder / f"{name}.json", json.dumps(row))


def ensure(lessons: Sequence[Lesson], seed: int, root: Path) -> None:
    """Measure what is missing of a seed, in processes of their own: a runner leaves with the one that asked for it."""
    missing = [lesson for lesson in lessons if run_of(lesson, seed, root) is None]
    for some in [missing] if seed and missing else [[lesson] for lesson in missing]:
        home_of(some[0], seed, root).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.evidence_lessons", "--home", str(root), "--one", str(seed)]
        subprocess.run([*command, "--lessons", *(lesson.name for lesson in some)], check=True)


def run_of(lesson: Lesson, seed: int, root: Path) -> Run | None:
    """What is there of a lesson and a seed; None where it was not measured, or with other settings."""
    folder = home_of(lesson, seed, root)
    note = folder / f"{lesson.name}.json"
    if not note.exists():
        return None
    home, row = Home.locate(str(folder)), json.loads(note.read_text(encoding="utf-8"))
    if row["keys"] != [api.check(recipe).key for recipe in recipes(lesson, seed)]:
        return None
    found = api_lessons.finding(home, lesson.check, *row["keys"])
    if found is None:
        return None
    first, second = (api.result(home, key) for key in row["keys"])
    return Run(seed, found, first, second, row["seconds"], row["load"])


def held(lesson: Lesson, runs: Sequence[Run], asked: int) -> bool:
    """Whether the claim came out nearly always and was seldom undecided; scaled where fewer than ten seeds ran."""
    came = Counter(run.finding.outcome for run in runs)
    share = len(runs) / SEEDS
    return (
        len(runs) == asked and came[lesson.check.claim] >= LEAST * share and came[UNDECIDED] <= MOST_UNDECIDED * share
    )


def report(found: Sequence[tuple[Lesson, Sequence[Run]]], seeds: int) -> str:
    """The page."""
    rows = [_row(lesson, runs, seeds) for lesson, runs in found]
    parts = [HEAD.format(about=_about(), seeds=seeds, least=LEAST, most=MOST_UNDECIDED, limit=LIMIT), *rows, ""]
    return "\n".join([*parts, *(_part(lesson, runs) for lesson, runs in found if runs)])


HEAD = """# Do the lessons' experiments show what the lessons say?

Written by `make evidence` ({about}). Each lesson of the page *Learn* lets two recipes run with the learner's seed and
judges the prediction by the 95 % interval of their paired difference on the same validation examples (of times and
sizes: by their ratio) against a margin that stands in the lesson's file. Here the same with {seeds} seeds. *Claim*: the
outcome that the lesson expects; it *holds* where it came with {least} of 10 seeds at least and was undecided with
{most} of 10 at most. Seconds: with seed 0, from asking for both runs to both results, in an empty home with a runner
of two workers that starts then, beside the load of the machine (two cores: other work ran beside it where the load is
above 2); on an idle machine {limit} at most are meant. Times of answers are taken anew with each seed.

| lesson | measure | margin | claim | more | same | less | undecided | holds | mean (range) | seconds | load |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


def _about() -> str:
    return f"{machine.facts()['machine']}, {datetime.datetime.now(tz=datetime.UTC).date().isoformat()}"


def _row(lesson: Lesson, runs: Sequence[Run], seeds: int) -> str:
    check, came = lesson.check, Counter(run.finding.outcome for run in runs)
    counts = [str(came[o]) for o in ("more", "same", "less", UNDECIDED)]
    values = [run.finding.value for run in runs]
    said = f"{fmean(values):.3g} ({min(values):.3g} to {max(values):.3g})" if runs else ""
    waits = [f"{runs[0].seconds:.0f}", f"{runs[0].load:.1f}"] if runs else ["", ""]
    name = f"[`{lesson.name}`](#{lesson.name})"
    of = f"{check.measure} of {check.of}" if check.of else check.measure
    verdict = "**yes**" if held(lesson, runs, seeds) else "no"
    cells = [name, of, f"{check.margin:g}", check.claim, *counts, verdict, said, *waits]
    return "| " + " | ".join(cells) + " |"


def _part(lesson: Lesson, runs: Sequence[Run]) -> str:
    words, measure = lesson.say("en"), lesson.check.measure
    unit = "milliseconds" if measure == LATENCY else measure
    head = ["seed", f"first, {unit}", f"second, {unit}", "first, accuracy", "second", "first, bytes", "second",
            "finding (95 %)", "outcome"]  # fmt: skip
    lines = [f"## {lesson.name}", "", words.predict, "", f"First: {words.first}. Second: {words.second}.", "",
             "| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]  # fmt: skip
    for run in runs:
        both = (run.first, run.second)
        cells = [str(run.seed), f"{run.finding.first:.3g}", f"{run.finding.second:.3g}"]
        cells += [f"{100 * side['quality']['value']:.1f} %" for side in both]
        cells += [f"{side['cost']['packed_bytes']:,}" for side in both]
        found = run.finding
        lines.append(
            "| "
            + " | ".join([*cells, f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})", found.outcome])
            + " |"
        )
    lines.append(_means(runs))
    return "\n".join([*lines, ""])


def _means(runs: Sequence[Run]) -> str:
    """The last row of a table: means over seeds."""
    pairs = [[(run.finding.first, run.finding.second) for run in runs],
             [(run.first["quality"]["value"], run.second["quality"]["value"]) for run in runs],
             [(run.first["cost"]["packed_bytes"], run.second["cost"]["packed_bytes"]) for run in runs]]  # fmt: skip
    seen, right, size = ([fmean(side) for side in zip(*pair, strict=True)] for pair in pairs)
    cells = [*(f"{v:.3g}" for v in seen), *(f"{100 * v:.1f} %" for v in right), *(f"{v:,.0f}" for v in size)]
    return "| " + " | ".join(["mean", *cells, f"{fmean(run.finding.value for run in runs):.3g}", ""]) + " |"


def chosen(names: Sequence[str]) -> list[Lesson]:
    """The lessons of these names, all where there are none."""
    return [api_lessons.find(name) for name in names] if names else list(api_lessons.known().values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, write the page; 1 while a lesson does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", default="build/lessons", help="the folder in which each run's home is")
    parser.add_argument("--lessons", nargs="+", default=[], metavar="NAME", help="some; the page is not written")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="from 0 on")
    parser.add_argument("--report", action="store_true", help="run nothing, write the page from what is there")
    parser.add_argument("--one", type=int, metavar="SEED", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    root = Path(options.home).resolve()
    lessons = chosen(options.lessons)
    if options.one is not None:
        measure(lessons, options.one, home_of(lessons[0], options.one, root))
        return 0
    for seed in () if options.report else range(options.seeds):
        ensure(lessons, seed, root)
        print(f"seed {seed} measured", file=sys.stderr, flush=True)
    found = [(lesson, _runs(lesson, options.seeds, root)) for lesson in lessons]
    text = report(found, options.seeds)
    print(text)
    if not options.lessons:
        atomic_write(OUT, text)
    return int(not all(held(lesson, runs, options.seeds) for lesson, runs in found))


def _runs(lesson: Lesson, seeds: int, root: Path) -> list[Run]:
    found = (run_of(lesson, seed, root) for seed in range(seeds))
    return [run for run in found if run is not None]


if __name__ == "__main__":
    raise SystemExit(main())
