"""Teachers that are themselves recipes: an assistant in between, the same network a generation earlier. No torch.

All functions take and give recipes as JSON; ``student`` is the recipe (or at least its task, data, labels, student and
seed) of the network that will be taught.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine import catalogue
from engine.recipe import MAX_SEED

Row = dict[str, Any]
SHARED = ("task", "data", "labels", "without")
ALONE, ASSISTANT, ITSELF, SEVERAL = "teacher", "assistant", "itself", "several"
WAYS = (ALONE, ASSISTANT, ITSELF, SEVERAL)


def assistant(student: Mapping[str, Any], name: str, epochs: int, teacher: str) -> Row:
    """A network between teacher and student, taught by soft targets first (Mirzadeh et al. 2020, arXiv:1902.03393)."""
    phase = {"epochs": epochs, "loss": {"name": "kd"}, "teachers": [teacher]}
    return {**_shared(student), "student": name, "seed": student.get("seed", 0), "phases": [phase]}


def itself(student: Mapping[str, Any], epochs: int) -> Row:
    """The student's own kind, trained on labels alone from other first weights (Furlanello 2018, arXiv:1805.04770)."""
    phase = {"epochs": epochs, "loss": {"name": "cross_entropy"}}
    seed = (int(student.get("seed", 0)) + 1) % (MAX_SEED + 1)
    return {**_shared(student), "student": student["student"], "seed": seed, "phases": [phase]}


def teachers(way: str, student: Mapping[str, Any], teacher: str, name: str, epochs: int) -> list[str | Row]:
    """The ``teachers`` of a phase, by one of WAYS; ``name`` and ``epochs`` are the assistant's."""
    if way == ITSELF:
        return [itself(student, epochs)]
    if way == ALONE:
        return [teacher]
    between = assistant(student, name, epochs, teacher)
    return [between] if way == ASSISTANT else [teacher, between]


def usual_assistant(task: str) -> str:
    """The next larger network of the family of the task's usual student; the largest where it is that itself."""
    rows, usual = catalogue.current(), catalogue.current().row("tasks", task)["default"]["student"]
    models = {name: rows.row("models", name) for name in rows.students(task)}
    mine = models[usual]
    kin = [n for n, m in models.items() if m.get("family") == mine.get("family") and n != usual]
    larger = [n for n in kin if models[n]["parameters"] > mine["parameters"]]
    return min(larger, key=lambda n: models[n]["parameters"]) if larger else max(kin or [usual])


def _shared(student: Mapping[str, Any]) -> Row:
    return {name: student[name] for name in SHARED if student.get(name) is not None}
