"""The same recipe for longer: a recipe at k times its epochs, and pairs of a short and a long run among many results.

Two recipes are a pair when they are equal but for the epochs and every phase that trains got the same multiple. What a
recipe's teachers were trained with stays: they belong to the recipe. Plain data, no torch.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import catalogue
from engine.errors import InputError
from engine.recipe import MAX_EPOCHS, Recipe
from engine.search.ranking import Agreement, agreement

MAX_TIMES = 64
LEAST_TIMES = 2.0  # a pair is only what was trained at least so many times as long
GRID = "grid"
PLAIN = ("student", "labels", "without", "data", "seed")
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """One measured recipe: ``quality`` of ``recipe`` (canonical JSON); ``origin`` is trial, grid or shipped."""

    key: str
    recipe: Json
    quality: float
    origin: str = "trial"

    @property
    def epochs(self) -> int:
        """Of all its phases."""
        return sum(p["epochs"] for p in self.recipe["phases"])


@dataclass(frozen=True)
class Pair:
    """One recipe run short and long. ``training`` names the short run's first training, which others may share."""

    short: Run
    long: Run
    training: str

    @property
    def step(self) -> tuple[int, int]:
        """Epochs of the short and of the long run."""
        return self.short.epochs, self.long.epochs


@dataclass(frozen=True)
class KnobAgreement:
    """How well short runs ranked the values of one knob where all else was equal."""

    knob: str
    values: tuple[str, ...]
    agreement: Agreement


def longer(recipe: Recipe, times: int) -> Recipe:
    """``recipe`` with ``times`` as many epochs in every phase that trains.

    Raises :class:`InputError` when nothing in it trains or a phase would get more than 200 epochs.
    """
    if isinstance(times, bool) or not isinstance(times, int) or not 2 <= times <= MAX_TIMES:
        raise InputError("times", times, f"a whole number from 2 to {MAX_TIMES}")
    most = max(p.epochs for p in recipe.phases)
    if not most:
        raise InputError("times", times, "a recipe with a phase that trains; nothing in this one does")
    if most * times > MAX_EPOCHS:
        raise InputError("times", times, f"at most {MAX_EPOCHS // most} here: a phase has {most} epochs, and "
                         f"{MAX_EPOCHS} is the most")  # fmt: skip
    return dataclasses.replace(
        recipe, phases=tuple(dataclasses.replace(p, epochs=p.epochs * times) for p in recipe.phases)
    )


def identity(recipe: Json) -> tuple[str, int]:
    """(what the recipe is but for its length, its length): equal texts with other lengths are short and long runs.

    The length is the greatest common divisor of the phases' epochs; 0 when nothing trains.
    """
    length = math.gcd(*(p["epochs"] for p in recipe["phases"]))
    shares = [{**p, "epochs": p["epochs"] // (length or 1)} for p in recipe["phases"]]
    return _text({**recipe, "phases": shares}), length


def pairs(runs: Iterable[Run]) -> list[Pair]:
    """Every pair among ``runs``. A long run that a grid measured counts for none: each training brings dozens of them.

    Of several runs of one recipe a trial counts before a shipped one and that before a grid point.
    """
    order = {"trial": 0, "shipped": 1}
    families: dict[str, dict[int, Run]] = {}
    for run in sorted(runs, key=lambda r: order.get(r.origin, 2)):
        text, length = identity(run.recipe)
        if length:
            families.setdefault(text, {}).setdefault(length, run)
    found: list[Pair] = []
    for family in families.values():
        lengths = sorted(family)
        found += [
            Pair(family[a], family[b], _training(family[a].recipe))
            for i, a in enumerate(lengths) for b in lengths[i + 1 :]
            if b >= LEAST_TIMES * a and family[b].origin != GRID
        ]  # fmt: skip
    return found


def steps(found: Iterable[Pair]) -> dict[tuple[int, int], list[Pair]]:
    """Pairs by their (short, long) epochs, most pairs first: only runs of equal length can be ranked."""
    by: dict[tuple[int, int], list[Pair]] = {}
    for pair in found:
        by.setdefault(pair.step, []).append(pair)
    return dict(sorted(by.items(), key=lambda item: (-len(item[1]), item[0])))


def whole(found: Sequence[Pair], direction: str, within: str = "") -> Agreement:
    """How well the short runs ranked the long ones; ``within`` a plain knob (``student``): only where it is equal."""
    groups = [str(p.short.recipe.get(within)) for p in found] if within else None
    return agreement(*_qualities(found), direction, groups, [p.training for p in found])


def knobs(found: Sequence[Pair], direction: str) -> list[KnobAgreement]:
    """:class:`KnobAgreement` of every knob that varies while all else is equal, most pairs first."""
    places = [coordinates(p.short.recipe) for p in found]
    names = dict.fromkeys(name for place in places for name in place if name)
    made = [_knob(found, places, name, direction) for name in names]
    return sorted((k for k in made if k is not None), key=lambda k: (-k.agreement.pairs, k.knob))


def coordinates(recipe: Json) -> dict[str, str]:
    """A recipe as knobs with their values in words; the knob ``""`` is what no single knob says (stages, shares).

    A knob that occurs several times (two prunings) has all its values, in order.
    """
    found: dict[str, list[str]] = {name: [_word(recipe.get(name))] for name in PLAIN}
    shape = []
    for phase in recipe["phases"]:
        losses, stages = _parts(phase.get("loss")), list(phase.get("stages", ()))
        shape.append([phase["epochs"] > 0, [s["name"] for s in stages]])
        found.setdefault("loss", []).append(_text([[p["name"] for p in losses], phase.get("teachers", [])]))
        rows = catalogue.current()
        whole = [*(rows.whole("losses", p) for p in losses), *(rows.whole("stages", s) for s in stages)]
        for part in whole:
            for knob, value in part.items():
                if knob != "name":
                    found.setdefault(knob, []).append(_word(value))
    lengths, length = [p["epochs"] for p in recipe["phases"]], identity(recipe)[1]
    rest = {"": _text([recipe["task"], shape, [epochs // (length or 1) for epochs in lengths]])}
    return {name: " ".join(values) for name, values in found.items()} | rest


def _knob(found: Sequence[Pair], places: Sequence[Mapping[str, str]], name: str, direction: str
          ) -> KnobAgreement | None:  # fmt: skip
    groups: dict[str, dict[str, int]] = {}
    for i, place in enumerate(places):
        if name in place:
            hidden = {name, *_loss_knobs(found[i].short.recipe)} if name == "loss" else {name}
            group = groups.setdefault(_text({k: v for k, v in place.items() if k not in hidden}), {})
            held = group.get(place[name])
            # of one loss with several settings the usual one stands for it
            if held is None or _unusual(found[i].short.recipe) < _unusual(found[held].short.recipe):
                group[place[name]] = i
    kept = [list(group.values()) for group in groups.values() if len(group) > 1]
    if not kept:
        return None
    index = [i for group in kept for i in group]
    chosen = [found[i] for i in index]
    labels = [g for g, group in enumerate(kept) for _ in group]
    units = _together(labels, [p.training for p in chosen])
    said = {_said(name, found[i].short.recipe, places[i][name]) for i in index}
    values = tuple(sorted(said, key=_size if name == "student" else _order))
    return KnobAgreement(name, values, agreement(*_qualities(chosen), direction, labels, units))


def _together(groups: Sequence[int], trainings: Sequence[str]) -> list[int]:
    """One number for all groups that share a training, directly or through others."""
    parent = list(range(max(groups) + 1))

    def root(group: int) -> int:
        while parent[group] != group:
            group = parent[group]
        return group

    first: dict[str, int] = {}
    for group, training in zip(groups, trainings, strict=True):
        parent[root(group)] = root(first.setdefault(training, group))
    return [root(group) for group in groups]


def _qualities(found: Sequence[Pair]) -> tuple[list[float], list[float]]:
    return [p.short.quality for p in found], [p.long.quality for p in found]


def _training(recipe: Json) -> str:
    """The recipe up to its first phase that trains: what others with the same beginning share."""
    phases = list(recipe["phases"])
    last = next((i for i, p in enumerate(phases, 1) if p["epochs"]), 0)
    return _text({**recipe, "phases": phases[:last]})


def _loss_knobs(recipe: Json) -> Iterator[str]:
    for phase in recipe["phases"]:
        for part in (catalogue.current().whole("losses", p) for p in _parts(phase.get("loss"))):
            yield from (knob for knob in part if knob != "name")


def _unusual(recipe: Json) -> int:
    """How many knobs of its losses are not at their defaults."""
    rows, count = catalogue.current().rows["losses"], 0
    for phase in recipe["phases"]:
        for part in _parts(phase.get("loss")):
            usual = {k["name"]: k["default"] for k in rows.get(part["name"], {}).get("knobs", ())}
            count += sum(usual.get(knob) != value for knob, value in part.items() if knob != "name")
    return count


def _said(name: str, recipe: Json, value: str) -> str:
    """A knob's value for people: of losses only their names."""
    if name != "loss":
        return value
    return " ".join("+".join(p["name"] for p in _parts(phase.get("loss"))) for phase in recipe["phases"]).strip()


def _size(student: str) -> tuple[int, float, str]:
    row = catalogue.current().rows["models"].get(student, {})
    return 0, float(row.get("parameters", 0)), student


def _order(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _parts(loss: Any) -> list[Json]:
    return list(loss) if isinstance(loss, (list, tuple)) else [loss] if loss else []


def _word(value: Any) -> str:
    return "all" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
