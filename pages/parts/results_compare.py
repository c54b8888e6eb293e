"""Two to four trials beside each other without a page: the settings in which they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from engine import catalogue

Run: TypeAlias = Mapping[str, Any]
Place: TypeAlias = tuple[Any, ...]
KINDS = ("epochs", "teachers", "loss", "stages")
WHOLE = ("task", "data", "labels", "student", "seed")


def differences(recipes: Sequence[Run]) -> list[tuple[Place, tuple[Any, ...]]]:
    """Settings that are not the same in all recipes: (place, the value of each recipe or None where it has none).

    A place is (field,), (phase number from 0, field), or (phase, "loss" or "stages", part's name, its how-manieth from
    0, knob). A part that a recipe lacks altogether is one line: its place ends with "" and its values are its knobs.
    """
    flat = [flatten(recipe) for recipe in recipes]
    places = sorted(dict.fromkeys(place for settings in flat for place in settings), key=_rank)
    lacking = {place for place in places if place[-1:] == ("",) and any(place not in settings for settings in flat)}
    found: list[tuple[Place, tuple[Any, ...]]] = []
    for place in places:
        whole = (*place[:-1], "")
        values = tuple(settings.get(place) for settings in flat)
        knob = whole not in lacking and place != whole and any(v != values[0] for v in values)
        if place in lacking or knob:
            found.append((place, values))
    return found


def flatten(recipe: Run) -> dict[Place, Any]:
    """Every setting of a recipe by its place; a teacher that is itself a recipe is its student's name."""
    found: dict[Place, Any] = {(name,): recipe.get(name) for name in WHOLE}
    for number, phase in enumerate(recipe.get("phases", ())):
        found[(number, "epochs")] = phase.get("epochs", 0)
        teachers = [t if isinstance(t, str) else str(t.get("student")) for t in phase.get("teachers", ())]
        if teachers:
            found[(number, "teachers")] = ", ".join(teachers)
        for kind in ("loss", "stages"):
            found |= _parts(number, kind, phase.get(kind))
    return found


def differ_in_machine(rows: Sequence[Run]) -> bool:
    """Whether times were taken on several machines, so that they must not be compared."""
    return len({row.get("machine_id") or row.get("machine") for row in rows if row.get("latency_ms")}) > 1


def _rank(place: Place) -> tuple[int, int]:
    """The whole recipe's fields first, then phase by phase; what is equal keeps its order."""
    return (-1, 0) if len(place) == 1 else (place[0], KINDS.index(place[1]))


def _parts(phase: int, kind: str, parts: Any) -> dict[Place, Any]:
    listed = list(parts) if isinstance(parts, (list, tuple)) else [parts] if parts else []
    seen: Counter[str] = Counter()
    found: dict[Place, Any] = {}
    for part in listed:
        place = (phase, kind, part["name"], seen[part["name"]])
        seen[part["name"]] += 1
        whole = catalogue.current().whole("losses" if kind == "loss" else kind, part)
        knobs = {name: value for name, value in whole.items() if name != "name"}
        found[(*place, "")] = knobs
        found |= {(*place, name): value for name, value in knobs.items()}
    return found
