"""The catalogue as something to read: every method by group, its picture, and recipes that try it. No torch.

Pictures come from ``sample_data/pictures.npz``, which ``make pictures`` computes with the methods' own code.
"""

from __future__ import annotations

import functools
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import catalogue, modalities
from engine.catalogue import Catalogue
from engine.errors import FileError, unknown_name
from engine.knobs import Knob
from engine.recipe import Recipe

PATH = Path(__file__).resolve().parents[1] / "sample_data" / "pictures.npz"
GROUPS = ("losses", "pruning", "quantization", "other", "models", "tasks")
EPOCHS = 2  # of a recipe that tries a method
MASKS = {"name": "prune_magnitude", "sparsity": 0.5}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """One method, model or task: the group it is read under, its kind in the catalogue, its row."""

    group: str
    kind: str
    row: Row

    @property
    def name(self) -> str:
        """Its name in recipes and addresses."""
        return str(self.row["name"])


@dataclass(frozen=True)
class Pictures:
    """``index`` says what was computed and how; ``arrays`` by ``kind/name/what`` (see sample_data.pictures)."""

    index: Row
    arrays: Mapping[str, NDArray[Any]]

    def facts(self, entry: Entry) -> Row | None:
        """What is told of one entry's picture; None where there is none, or only of another version."""
        found: Row | None = self.index.get(entry.kind, {}).get(entry.name)
        return found if found and found["version"] == entry.row["version"] else None

    def of(self, entry: Entry) -> dict[str, NDArray[Any]]:
        """The arrays of one entry by their own names."""
        start = f"{entry.kind}/{entry.name}/"
        return {name.removeprefix(start): a for name, a in self.arrays.items() if name.startswith(start)}


def entries() -> list[Entry]:
    """Everything in the catalogue, group by group; in each, what is simple comes first, then the names' order."""
    rows = catalogue.current()
    found = [Entry(group_of(kind, row), kind, row) for kind in rows.rows for row in rows.rows[kind].values()]
    return sorted(found, key=lambda e: (GROUPS.index(e.group), _rank(e), e.name))


def find(name: str) -> Entry:
    """One entry; raises :class:`InputError` with the nearest name."""
    known = {e.name: e for e in reversed(entries())}
    if name not in known:
        raise unknown_name("method", name, known)
    return known[name]


def group_of(kind: str, row: Row) -> str:
    """Where a row of the catalogue is read."""
    if kind != "stages":
        return kind
    if row["name"].startswith("prune") or (row["order"] == "mask" and not row["name"].startswith("share")):
        return "pruning"
    return "quantization" if row["name"].startswith("quantize") else "other"


@functools.cache
def pictures(path: Path = PATH) -> Pictures:
    """All pictures; raises :class:`FileError` when the file is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        return Pictures(json.loads(arrays.pop("index").tobytes()), arrays)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise FileError(f"{path.name} cannot be read ({problem}); make it again with `make pictures`") from None


def recipe(entry: Entry) -> dict[str, Any] | None:
    """A short run that uses the entry, as JSON; None for a teacher, and for a method that suits no task here."""
    rows = catalogue.current()
    if entry.kind == "tasks":
        return dict(Recipe.from_json(entry.row["default"]).to_json())
    if entry.kind == "models" and entry.row["role"] == "teacher":
        return None
    task = task_of(entry)
    if task is None:
        return None
    usual = rows.row("tasks", task)["default"]
    plain = {k: v for k, v in usual.items() if k != "phases"}
    phases = _phases(entry, rows, task)
    student = {"student": entry.name} if entry.kind == "models" else _other_student(entry, rows, task)
    return dict(Recipe.from_json(plain | student | {"phases": phases}).to_json())


def task_of(entry: Entry) -> str | None:
    """The first task that an entry can be used on; None where there is none of its kind."""
    if entry.kind == "tasks":
        return entry.name
    if entry.kind == "models":
        return str(entry.row["tasks"][0])
    rows = catalogue.current()
    tasks = [t for t in rows.names("tasks") if modalities.suits(entry.row, modalities.of(rows.row("tasks", t)))]
    return tasks[0] if tasks else None


def sweep(entry: Entry) -> dict[str, Any] | None:
    """The recipe of :func:`recipe` with several values at the entry's first setting, as a sweep's JSON."""
    found = recipe(entry)
    if found is None:
        return None
    for phase in found["phases"]:
        for part in (*_losses(phase), *phase["stages"]):
            if part["name"] == entry.name and (knob := _first(entry)) is not None:
                part[knob.name] = several(knob)
    return {"sweep": {"name": str(entry.row["title"])}, **found}


def several(knob: Knob) -> list[Any]:
    """Three values of a number, all of a choice, its default among them."""
    if knob.type == "bool":
        return [True, False]
    if knob.choices:
        return list(knob.choices)
    low, high, usual = float(knob.low or 0), float(knob.high or 1), float(knob.default)
    if knob.log and low > 0:
        low, high = max(low, usual / 4), min(high, usual * 4)
    else:
        low, high = (low + usual) / 2, (high + usual) / 2
    return sorted({knob.check(_rounded(v, knob), knob.name) for v in (low, usual, high)})


def _rounded(value: float, knob: Knob) -> float:
    step = knob.step or (1.0 if knob.type == "int" else 0.0)
    inside = round(value / step) * step if step else float(f"{value:.2g}")
    return min(max(inside, knob.low if knob.low is not None else -math.inf), knob.high or math.inf)


def _first(entry: Entry) -> Knob | None:
    """The first setting that a sweep can walk through."""
    knobs = [Knob.from_json(k) for k in entry.row["knobs"]]
    bounded = [k for k in knobs if k.choices or k.type == "bool" or (k.low is not None and k.high is not None)]
    return next((k for k in bounded if not k.advanced and k.default is not None), None)


def _phases(entry: Entry, rows: Catalogue, task: str) -> list[dict[str, Any]]:
    usual = "kd" if entry.kind != "losses" else entry.name
    loss = rows.row("losses", usual)
    several = loss.get("least_teachers", 1) > 1
    teachers = [*rows.teachers(task)[:1], *([_assistant(rows, task)] if several else [])]
    taught = {"loss": {"name": usual}, "teachers": teachers if loss.get("needs_teacher") else []}
    train: dict[str, Any] = {"epochs": EPOCHS, **taught, "stages": []}
    if entry.kind != "stages":
        return [train]
    stage = {"name": entry.name}
    recalibrate = entry.row["order"] == "recalibration"
    repair = [] if recalibrate else [{"name": "recalibrate"}]
    if entry.group == "pruning" and entry.row["order"] == "mask" and not _masks_itself(entry):
        return [train, {"epochs": 0, "stages": [MASKS]}, {**train, "stages": [stage]}]
    if _trains(entry) or entry.row["order"] == "shape":
        return [train, {**train, "epochs": 1, "stages": [stage]}, {"epochs": 0, "stages": [{"name": "recalibrate"}]}]
    before = [MASKS] if recalibrate else []
    return [train, {"epochs": 0, "stages": [*before, stage, *repair]}]


def _other_student(entry: Entry, rows: Catalogue, task: str) -> dict[str, Any]:
    """Where a method refuses the usual student, the one that its refusal names, or that its picture shows."""
    facts = pictures().facts(entry) or {}
    told = f"{facts.get('refused', '')} {facts.get('student', '')}"
    named = [name for name in rows.students(task) if name in told]
    return {"student": named[0]} if named else {}


def _assistant(rows: Catalogue, task: str) -> dict[str, Any]:
    """A second teacher: a student larger than the usual one, itself distilled."""
    students, usual = rows.students(task), rows.row("tasks", task)["default"]["student"]
    larger = students[min(students.index(usual) + 2, len(students) - 1)]
    phase = {"epochs": EPOCHS, "loss": {"name": "kd"}, "teachers": rows.teachers(task)[:1]}
    return {"task": task, "student": larger, "phases": [phase]}


def _masks_itself(entry: Entry) -> bool:
    """Whether a stage over masks makes zeros: those that do say how many."""
    return any(k["name"] in ("sparsity", "pattern", "strength") for k in entry.row["knobs"])


def _trains(entry: Entry) -> bool:
    """Whether the default settings act while training."""
    defaults = {k["name"]: k["default"] for k in entry.row["knobs"]}
    return any(defaults.get(name) in words for name, words in entry.row["needs_epochs"].items())


def _losses(phase: Row) -> list[dict[str, Any]]:
    loss = phase.get("loss") or []
    return [loss] if isinstance(loss, dict) else list(loss)


def _rank(entry: Entry) -> float:
    """The usual ones first; models by size."""
    first = ("cross_entropy", "kd", "prune_magnitude", "quantize_linear")
    if entry.kind == "models":
        return float(entry.row["parameters"])
    return float(first.index(entry.name)) if entry.name in first else float(len(first))
