"""The two recipes of a lesson, from its settings in Explore's words: what runs, and the links that open it there.

No Streamlit here; the evidence runs the very same recipes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine import catalogue
from engine.errors import InputError, StillhouseError
from engine.lesson_check import LATENCY
from engine.lessons import Lesson
from engine.recipe import Recipe
from pages.parts import choices
from pages.parts.choices import Form

RUNS = ("first", "second")


class Run(NamedTuple):
    """One of the two runs: its form on Explore, its recipe, the parameters of the address that opens it there."""

    form: Form
    recipe: Recipe
    address: dict[str, str]


def runs(lesson: Lesson, seed: int) -> tuple[Run, Run]:
    """``first`` and ``second`` with a seed. Raises :class:`InputError` for settings that Explore refuses."""
    one, two = (_run(lesson, which, seed) for which in RUNS)
    return one, two


def _run(lesson: Lesson, which: str, seed: int) -> Run:
    asked = {**lesson.experiment.settings(which), "seed": str(seed)}
    form = choices.read(asked, parse=True)
    where = f"lessons/{lesson.name}.toml: experiment: {which}"
    unused = [name for name in asked if name not in form.values]
    if form.problems or unused:
        told = form.problems[0] if form.problems else f"{unused[0]} means nothing beside the other settings"
        raise InputError(where, told, "settings as the address of the page Explore has them")
    return Run(form, Recipe.from_json(choices.to_recipe(form)), choices.to_url(form))


def problems(lesson: Lesson) -> list[str]:
    """What keeps a lesson from being played, a line each: settings, the class of its check, its student."""
    try:
        first, second = runs(lesson, 0)
    except StillhouseError as problem:
        return [str(problem)]
    found = []
    where = f"lessons/{lesson.name}.toml"
    if first.recipe.key == second.recipe.key:
        found.append(f"{where}: both runs are the same recipe")
    classes = catalogue.current().row("tasks", first.recipe.task)["class_names"]
    if lesson.check.of and lesson.check.of not in classes:
        found.append(f"{where}: check: of: {lesson.check.of} is no class; allowed: {', '.join(classes)}")
    if lesson.check.measure == LATENCY and first.recipe.student != second.recipe.student:
        found.append(f"{where}: check: latency is compared beside one student, and the two runs have two")
    return found


def differing(first: Run, second: Run) -> list[str]:
    """The settings in which two runs differ, in the order of Explore's form."""
    names = [f.name for f in first.form.fields] + [f.name for f in second.form.fields]
    both: list[Mapping[str, Any]] = [first.form.values, second.form.values]
    return [n for n in dict.fromkeys(names) if both[0].get(n) != both[1].get(n)]
