"""How long a trial is expected to take, teachers that have to be trained first included. Plain data, no torch."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from engine import api_home
from engine import catalogue as catalogues
from engine.api_rows import Row
from engine.home import Home
from engine.recipe import Recipe
from engine.search import plan as plans

OVERHEAD_SECONDS = 4.0  # export and measurement, beside the epochs
FULL_DATA_FACTOR = 2.75  # 55,000 training images instead of 20,000


def estimate(home: Home, recipe_json: Mapping[str, Any]) -> dict[str, Any]:
    """Expected seconds of the trial itself: ``{"seconds", "low", "high", "basis"}``; basis says what it rests on."""
    recipe = Recipe.from_json(recipe_json)
    each, spread, basis = _paced(home, recipe)
    seconds = OVERHEAD_SECONDS + each * sum(p.epochs for p in recipe.phases) + _teachers_first(home, recipe)
    return {"seconds": seconds, "low": seconds * (1 - spread), "high": seconds * (1 + spread), "basis": basis}


def pace(home: Home, recipe: Recipe) -> float:
    """Expected seconds of one epoch of the recipe's student, its teachers not counted."""
    return _paced(home, recipe)[0]


def _paced(home: Home, recipe: Recipe) -> tuple[float, float, str]:
    rows = [r for r in api_home.rows_of(home, recipe.task, ("trial",)) if r["student"] == recipe.student]
    rows = [r for r in rows if r["epochs"] and r["data"] == recipe.data]
    if rows:
        here = f"{len(rows)} finished trial{'s' * (len(rows) > 1)} of {recipe.student} in this home"
        return _pace(rows), 0.25, here
    model = catalogues.current().row("models", recipe.student)
    each = float(model["seconds_per_epoch"]) * (FULL_DATA_FACTOR if recipe.data == "full" else 1.0)
    return each, 0.6, f"the time that {recipe.student} took on the machine where it was written down"


def _teachers_first(home: Home, recipe: Recipe) -> float:
    """Seconds for the teachers that are recipes and not trained yet, from the paces that their students declare."""
    taught = [t for phase in recipe.phases for t in phase.teachers if isinstance(t, Recipe)]
    kept = {path.stem for path in home.cache("prefix").glob("*.prefix")} if taught else set()
    needed = {t.key: t for teacher in taught for t in plans.missing(teacher, kept)}
    models = catalogues.current().rows["models"]
    pace = {t.key: float(models[t.student]["seconds_per_epoch"]) for t in needed.values()}
    return sum((t.epochs * pace[t.key] * (FULL_DATA_FACTOR if t.data == "full" else 1.0) for t in needed.values()), 0.0)


def _pace(rows: Iterable[Row]) -> float:
    """Seconds an epoch. Of the trials on one dense student only the slowest counts: others resumed its training."""
    slowest: dict[str, float] = {}
    for row in rows:
        pace = max(row["seconds"] - OVERHEAD_SECONDS, 0.1) / row["epochs"]
        slowest[row["dense_key"]] = max(pace, slowest.pop(row["dense_key"], 0.0))
    return statistics.median(list(slowest.values())[-20:])
