"""Building blocks for tests of recipes over the small catalogue of conftest.py."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from engine.recipe import Recipe

ROWS = pytest.mark.usefixtures("small_catalogue")
PRUNE = {"name": "prune_magnitude", "sparsity": 0.5}
QUANTIZE = {"name": "quantize_linear", "bits": 4}
CHANNELS = {"name": "prune_channels"}
RECALIBRATE = {"name": "recalibrate"}


def recipe(phases: list[Any], **more: Any) -> Recipe:
    return Recipe.from_json({"task": "shapes", "student": "small", "phases": phases, **more})


def changed(row: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of ``row`` with the field at ``a.0.b`` set to ``value``."""
    row = copy.deepcopy(row)
    here: Any = row
    *steps, last = path.split(".")
    for step in steps:
        here = here[int(step) if isinstance(here, list) else step]
    here[int(last) if isinstance(here, list) else last] = value
    return row
