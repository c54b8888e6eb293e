"""What a sweep would do, before it starts: its trials, the trainings that they share, and what is there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine import store_sweeps
from engine.home import Home
from engine.recipe import Recipe
from engine.search import space
from engine.search.space import Point, Skipped, Space
from engine.store import Store

GRID_PARTS = 2  # as engine.api, which lies above


@dataclass(frozen=True)
class Training:
    """One piece of training that several trials may share: the phase that ends the recipe's prefix ``key``."""

    key: str
    student: str
    data: str
    epochs: int


@dataclass(frozen=True)
class Plan:
    """A sweep's ``points`` and what goes with them.

    ``dense``: the dense students whose grids are wanted; ``baselines``: the students trained on labels alone.
    ``known``: keys among all of them with a result. ``trainings``: every training that they consist of, ``kept``: the
    keys of those that need not be done. ``grids_done``: dense keys whose grid is measured.
    """

    space: Space
    points: tuple[Point, ...]
    skipped: tuple[Skipped, ...]
    dense: Mapping[str, Recipe] = field(repr=False)
    baselines: Mapping[str, Recipe] = field(repr=False)
    known: frozenset[str] = field(repr=False)
    trainings: tuple[Training, ...] = field(repr=False)
    kept: frozenset[str] = field(repr=False)
    grids_done: frozenset[str] = field(repr=False)

    @property
    def trials(self) -> dict[str, Recipe]:
        """Every trial by key: the sweep's own in order, then dense students and baselines."""
        return {p.recipe.key: p.recipe for p in self.points} | dict(self.dense) | dict(self.baselines)

    @property
    def unknown(self) -> dict[str, Recipe]:
        """The trials that have no result yet."""
        return {key: recipe for key, recipe in self.trials.items() if key not in self.known}

    @property
    def needed(self) -> list[Training]:
        """The trainings that are still to be done."""
        return [t for t in self.trainings if t.key not in self.kept]


def plan(home: Home, spec: Mapping[str, Any], trials: int | None = None, store: Store | None = None) -> Plan:
    """The plan of a sweep's file; ``trials`` in place of what the file says. ``store``: an open one of this home.

    Raises :class:`InputError` for a file that means nothing or only what is impossible.
    """
    read = space.read(spec if trials is None else {**spec, "sweep": {**(spec.get("sweep") or {}), "trials": trials}})
    return of(home, read, *read.choose(), store)


def of(home: Home, read: Space, points: list[Point], skipped: list[Skipped], store: Store | None) -> Plan:
    """The plan of some points of a sweep."""
    recipes = [p.recipe for p in points]
    dense = _by_key(r.dense() for r in recipes) if read.options.grids else {}
    baselines = _by_key(r.baseline() for r in recipes) if read.options.baselines else {}
    made = Plan(read, tuple(points), tuple(skipped), dense, baselines, frozenset(), (), frozenset(), frozenset())
    every = made.trials
    found = {training.key: training for r in every.values() for training in trainings(r)}
    known, grids = _stored(home, store, list(every), list(dense))
    kept = {path.stem for path in home.cache("prefix").glob("*.prefix")}
    wanted = {t.key for key, r in every.items() if key not in known for t in missing(r, kept)}
    return replace(
        made, known=frozenset(known), grids_done=frozenset(grids), trainings=tuple(found.values()),
        kept=frozenset(found.keys() - wanted),
    )  # fmt: skip


def trainings(recipe: Recipe) -> list[Training]:
    """The trainings of a recipe and of its teachers that are recipes, in the order in which they are done."""
    found: list[Training] = []
    for number, phase in enumerate(recipe.phases, 1):
        found += [t for teacher in phase.teachers if isinstance(teacher, Recipe) for t in trainings(teacher)]
        if phase.trains:
            found.append(Training(recipe.prefix(number).key, recipe.student, recipe.data, phase.epochs))
    return found


def missing(recipe: Recipe, kept: set[str]) -> list[Training]:
    """The trainings after the longest kept prefix (``kept``: their keys), with those of the teachers that they need."""
    found: list[Training] = []
    for number in range(len(recipe.phases), 0, -1):
        phase = recipe.phases[number - 1]
        key = recipe.prefix(number).key
        if phase.trains and key in kept:
            break
        if phase.trains:
            found.append(Training(key, recipe.student, recipe.data, phase.epochs))
            found += [t for teacher in phase.teachers if isinstance(teacher, Recipe) for t in missing(teacher, kept)]
    return found


def _stored(home: Home, store: Store | None, keys: list[str], dense: list[str]) -> tuple[set[str], set[str]]:
    if store is None and not home.store.exists():
        return set(), set()
    opened = store or Store(home.store)
    try:
        jobs = {key: [f"grid:{key}", *(f"grid:{key}:{part}" for part in range(1, GRID_PARTS))] for key in dense}
        done = store_sweeps.done(opened, [job for names in jobs.values() for job in names])
        return store_sweeps.finished(opened, keys), {key for key, names in jobs.items() if done.issuperset(names)}
    finally:
        if store is None:
            opened.close()


def _by_key(recipes: Iterable[Recipe]) -> dict[str, Recipe]:
    return {recipe.key: recipe for recipe in recipes}
