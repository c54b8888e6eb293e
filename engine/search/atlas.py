"""The shipped atlas: recipes run short and several times as long, which tell a fresh home how far to trust short runs.

``benchmarks/evidence_atlas.py`` makes it. It holds recipes, not keys: a knob that is added and not ``late`` changes
keys, not what was measured. Rows whose plug-ins have changed since are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import catalogue
from engine.errors import FileError, InputError
from engine.files import atomic_write
from engine.recipe import Recipe
from engine.search.longer import Run, longer

PATH = Path(__file__).resolve().parents[2] / "sample_data" / "atlas.json"
ORIGIN = "shipped"
FORMAT = 1
Json = Mapping[str, Any]
_kept: dict[Path, tuple[int, catalogue.Catalogue, Atlas]] = {}


@dataclass(frozen=True)
class Atlas:
    """What is shipped for all tasks: ``runs``, and where and when each task's were measured."""

    runs: tuple[Run, ...] = ()
    about: Mapping[str, Mapping[str, Any]] | None = None

    def of(self, task: str) -> list[Run]:
        """The runs of one task, short and long."""
        return [run for run in self.runs if run.recipe["task"] == task]


def read(path: Path | None = None) -> Atlas:
    """The atlas in ``path`` (None: the shipped one); empty where there is none. Raises :class:`FileError`."""
    place = PATH if path is None else path
    if not place.exists():
        return Atlas()
    stamp, rows = place.stat().st_mtime_ns, catalogue.current()
    known = _kept.get(place)
    if known is None or known[0] != stamp or known[1] is not rows:
        known = _kept[place] = (stamp, rows, _read(place))
    return known[2]


def write(path: Path, rows: Iterable[Json], about: Json) -> None:
    """Write ``rows`` (``recipe``, ``times``, ``short`` and ``long`` with ``quality``), each on a line of its own."""
    kept = list(rows)
    named = {"format": FORMAT, **about, "versions": versions(row["recipe"] for row in kept)}
    lines = ",\n".join(json.dumps(row, separators=(",", ":"), allow_nan=False) for row in kept)
    head = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in named.items())
    atomic_write(path, f'{{\n{head},\n"rows": [\n{lines}\n]\n}}\n')


def versions(recipes: Iterable[Json]) -> dict[str, dict[str, Any]]:
    """What the recipes are made of, by kind and name, with today's version; of a task and a model also its hash."""
    found: dict[str, dict[str, Any]] = {kind: {} for kind in ("tasks", "models", "losses", "stages")}
    rows = catalogue.current().rows
    for recipe in recipes:
        for kind, names in _names(recipe).items():
            for name in names:
                row = rows[kind].get(name, {})
                stamp = row.get("weights_sha256") or (row.get("hashes") or {}).get(recipe["data"], "")
                found[kind][name] = [row.get("version"), stamp]
    return {kind: dict(sorted(names.items())) for kind, names in found.items()}


def _names(recipe: Json) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {"tasks": {recipe["task"]}, "models": {recipe["student"]}}
    losses: set[str] = set()
    for phase in recipe["phases"]:
        loss = phase.get("loss") or []
        losses |= {part["name"] for part in (loss if isinstance(loss, list) else [loss])}
        found["models"] |= {t for t in phase.get("teachers", ()) if isinstance(t, str)}
    return found | {"losses": losses, "stages": {s["name"] for p in recipe["phases"] for s in p.get("stages", ())}}


def _read(path: Path) -> Atlas:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        if body["format"] != FORMAT:
            raise ValueError(f"format {body['format']}")
        runs = tuple(run for row in body["rows"] for run in _runs(row, body["versions"]))
        about = {str(body["task"]): {name: body[name] for name in ("machine", "date")}}
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise FileError(
            f"{path.name} cannot be read ({problem!r}); restore it with 'git checkout sample_data'"
        ) from None
    return Atlas(runs, about)


def _runs(row: Json, made_with: Json) -> tuple[Run, ...]:
    """The short and the long run of a row; none when a part of the recipe is not what it was."""
    try:
        short = Recipe.from_json(row["recipe"])
    except InputError:  # a part of it is gone
        return ()
    today = versions([short.to_json()])
    if any(made_with[kind].get(name) != version for kind in today for name, version in today[kind].items()):
        return ()
    long = longer(short, int(row["times"]))
    return (
        Run(short.key, short.to_json(), float(row["short"]["quality"]), ORIGIN),
        Run(long.key, long.to_json(), float(row["long"]["quality"]), ORIGIN),
    )
