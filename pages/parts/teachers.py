"""Who teaches: the shipped teacher, an assistant in between, the student's own kind, or several; as plain values.

No Streamlit here. The fields that belong to the choice, the teachers that it means, and the choice that a recipe means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine import catalogue, teacher_recipes
from engine.knobs import Knob
from engine.recipe import MAX_EPOCHS
from engine.teacher_recipes import ALONE, ASSISTANT, ITSELF, SEVERAL, WAYS
from pages.parts.words import find

NAMES = ("taught", "assistant", "teacher_epochs")


def knobs(values: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[Knob]:
    """The fields for the loss in ``values``, one after the other: later ones look at earlier ones there."""
    loss = catalogue.current().row("losses", values["loss"])
    if not loss.get("needs_teacher") or "teacher" not in values:
        return
    ways = (SEVERAL,) if loss.get("least_teachers", 1) > 1 else WAYS
    yield Knob("taught", "str", ways[0], _help("taught"), choices=ways)
    task = values["task"]
    if values["taught"] in (ASSISTANT, SEVERAL):
        between, students = teacher_recipes.usual_assistant(task), catalogue.current().students(task)
        yield Knob("assistant", "str", between, _help("assistant"), choices=tuple(students))
    if values["taught"] != ALONE:
        yield Knob("teacher_epochs", "int", usual["epochs"], _help("teacher_epochs"), 1, MAX_EPOCHS)


def of(values: Mapping[str, Any]) -> list[Any]:
    """The teachers of the training phase, as a recipe has them."""
    if "taught" not in values:
        return []
    own = (values.get("assistant", ""), values.get("teacher_epochs", 1))
    return teacher_recipes.teachers(values["taught"], values, values["teacher"], *own)


def values_of(teachers: list[Any], student: str) -> dict[str, Any]:
    """The choice whose teachers these are, as far as there is one."""
    names = [t for t in teachers if isinstance(t, str)]
    own = next((t for t in teachers if isinstance(t, Mapping)), None)
    if own is None:
        return {"teacher": names[0]} if names else {}
    phase = own["phases"][0]
    above = [t for t in phase.get("teachers", ()) if isinstance(t, str)]
    values: dict[str, Any] = {"taught": SEVERAL if names else ASSISTANT, "teacher_epochs": phase["epochs"]}
    if not above and own["student"] == student:
        return values | {"taught": ITSELF}
    return values | {"assistant": own["student"], **({"teacher": [*names, *above][0]} if names or above else {})}


def _help(name: str) -> str:
    return find(f"help.{name}") or ""
