"""A sweep's file read: a recipe in which any value may be several, and all the recipes that it means.

    {"sweep": {"name": "sizes", "trials": null, "grids": true},
     "task": "fashion_mnist", "student": ["plain_1k5", "plain_5k"],
     "phases": [{"epochs": 2, "loss": {"name": "kd", "temperature": {"low": 1, "high": 8, "count": 4, "scale": "log"}},
                 "teachers": ["teacher"]}]}

Several values are a plain list where a recipe wants one value, ``{"values": [...], "labels": [...]}`` anywhere (also
for whole phases, losses and lists of stages), ``{"low", "high", "count"}`` or ``{"low", "high", "step"}``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from engine import catalogue
from engine.errors import InputError, unknown_name
from engine.recipe import MAX_SEED, Recipe
from engine.search.space_tree import Found, Reader, Tree

MAX_TRIALS = 2000
MAX_LOOKS = 20_000  # combinations that are tried out, so that a sweep of impossible ones ends
MAX_NAME = 80
MAX_BUDGET = 30 * 24 * 3600.0
ORDERS = ("all", "random")
TWICE = "the same trial as another combination"


@dataclass(frozen=True)
class Axis:
    """One setting that varies. ``values`` are its values' names: plain ones are themselves, others have a label."""

    path: str
    label: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Options:
    """What is said of the sweep itself. ``trials`` (None: all) are taken in a seeded random order when there are more.

    ``budget_seconds`` is the time during which its trials may run before it pauses (None: any). ``grids`` also
    measures each dense student's grid of one-shot settings, ``baselines`` also trains each student on labels alone.
    """

    name: str = ""
    trials: int | None = None
    budget_seconds: float | None = None
    grids: bool = False
    baselines: bool = False
    order: str = ORDERS[0]
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """One trial of a sweep and what was chosen for it, by the axes' labels."""

    recipe: Recipe
    setting: Mapping[str, Any]


@dataclass(frozen=True)
class Skipped:
    """A combination that is left out, and why."""

    setting: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Space:
    """All combinations of a sweep. ``spec`` is the JSON it was read from, with every option filled in."""

    spec: Mapping[str, Any]
    task: str
    options: Options
    axes: tuple[Axis, ...]
    tree: Tree = field(repr=False)

    @property
    def combinations(self) -> int:
        """How many combinations there are, possible or not."""
        return self.tree.count

    def points(self, trials: int | None = None) -> list[Point]:
        """The possible combinations in their order, each trial once; the first ``trials`` (None: as the file says).

        More ``trials`` give the same ones first. Raises :class:`InputError` when none is possible.
        """
        return self.choose(trials)[0]

    def choose(self, trials: int | None = None) -> tuple[list[Point], list[Skipped]]:
        """:meth:`points`, and the combinations that were left out on the way."""
        most = self.options.trials if trials is None else _trials(trials, "trials")
        if most is None and self.combinations > MAX_TRIALS:
            raise InputError("sweep.trials", None, f"a number of at most {MAX_TRIALS}; there are "
                             f"{self.combinations} combinations, so take a random part or fewer values")  # fmt: skip
        points: list[Point] = []
        skipped: list[Skipped] = []
        seen: set[str] = set()
        for number in self._order():
            if len(points) == (most or MAX_TRIALS) or len(points) + len(skipped) >= MAX_LOOKS:
                break
            found = self._point(number)
            if isinstance(found, Point) and found.recipe.key in seen:
                skipped.append(Skipped(found.setting, TWICE))
            elif isinstance(found, Point):
                seen.add(found.recipe.key)
                points.append(found)
            else:
                skipped.append(found)
        if not points:
            why = f"at least one that is possible: {skipped[0].reason}"
            raise InputError("sweep", f"{len(skipped)} combinations", why)
        return points, skipped

    def _point(self, number: int) -> Point | Skipped:
        chosen: dict[str, Any] = {}
        body = self.tree.pick(number, chosen)
        setting = {axis.label: chosen[axis.path] for axis in self.axes if axis.path in chosen}
        try:
            return Point(Recipe.from_json(body), setting)
        except InputError as problem:
            return Skipped(setting, str(problem))

    def _order(self) -> Iterator[int]:
        if self.options.order == "random":
            return shuffled(self.combinations, self.options.seed)
        return iter(range(self.combinations))


def read(spec: Any) -> Space:
    """The sweep that the JSON means; raises :class:`InputError` naming the field, what is allowed, what was meant.

    Only the sweep's own fields are checked here; a recipe that cannot run is left out by :meth:`Space.choose`.
    """
    if not isinstance(spec, Mapping):
        raise InputError("sweep", spec, 'an object: a recipe with several values in places, and "sweep"')
    body = {name: value for name, value in spec.items() if name != "sweep"}
    for name in ("task", "student", "phases"):
        if name not in body:
            raise InputError(f"sweep file: {name}", None, "a value; it is missing")
    catalogue.current().row("tasks", body["task"], "sweep file: task")
    reader = Reader()
    tree = reader.recipe(body)
    axes = _axes(reader.found)
    options = _options(spec.get("sweep"), axes, body)
    if options.trials is not None and options.trials < tree.count:
        # the first ones of a list would leave whole values out; and a longer part must begin with the shorter one
        options = replace(options, order="random")
    return Space({"sweep": asdict(options), **body}, body["task"], options, axes, tree)


def shuffled(count: int, seed: int) -> Iterator[int]:
    """The numbers below ``count`` in a random order that the seed alone decides, each made when it is asked for."""
    chance, moved = random.Random(seed), dict[int, int]()
    for i in range(count):
        j = chance.randrange(i, count)
        yield moved.get(j, j)
        moved[j] = moved.pop(i, i)


def _axes(found: Mapping[str, Found]) -> tuple[Axis, ...]:
    labels: dict[str, str] = {}
    for path, place in found.items():
        others = [o for other, o in found.items() if other != path]
        taken = {name for o in others for name in ([o.given] if o.given else o.candidates)}
        own = [place.given] if place.given else [*place.candidates[:-1], path]
        labels[path] = next((name for name in own if name not in taken), path)
    return tuple(Axis(path, labels[path], tuple(place.names)) for path, place in found.items())


def _options(row: Any, axes: tuple[Axis, ...], body: Mapping[str, Any]) -> Options:
    row = {} if row is None else row
    if not isinstance(row, Mapping):
        raise InputError("sweep", row, "an object")
    for name in row:
        if name not in Options.__dataclass_fields__:
            raise unknown_name("sweep: field", name, Options.__dataclass_fields__)
    usual = " x ".join(axis.label for axis in axes) or str(body["student"])
    order = row.get("order", ORDERS[0])
    if order not in ORDERS:
        raise unknown_name("sweep.order", order, ORDERS)
    trials, seed, budget = row.get("trials"), row.get("seed", 0), row.get("budget_seconds")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise InputError("sweep.seed", seed, f"a whole number from 0 to {MAX_SEED}")
    return Options(
        name_of(row.get("name") or usual[:MAX_NAME]), None if trials is None else _trials(trials, "sweep.trials"),
        None if budget is None else budget_of(budget), _flag(row, "grids"), _flag(row, "baselines"), order, seed,
    )  # fmt: skip


def name_of(name: Any) -> str:
    """A sweep's name; raises :class:`InputError` unless it is 1 to 80 printable characters."""
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= MAX_NAME or not name.isprintable():
        raise InputError("sweep.name", name, f"a text of 1 to {MAX_NAME} characters on one line")
    return name.strip()


def budget_of(seconds: Any) -> float:
    """A sweep's budget in seconds; raises :class:`InputError` unless it is 1 second to 30 days."""
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not number or not 1 <= seconds <= MAX_BUDGET:
        raise InputError("sweep.budget_seconds", seconds, f"a number of seconds from 1 to {MAX_BUDGET:.0f}, or none")
    return float(seconds)


def _trials(trials: Any, where: str) -> int:
    if isinstance(trials, bool) or not isinstance(trials, int) or not 1 <= trials <= MAX_TRIALS:
        raise InputError(where, trials, f"a whole number from 1 to {MAX_TRIALS}, or none for all")
    return trials


def _flag(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f"sweep.{name}", value, "true or false")
    return value


__all__ = ["Axis", "Options", "Point", "Skipped", "Space", "budget_of", "name_of", "read", "shuffled"]
