"""Homes with results in them, without a runner; shipped results made up for a test."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import stub_pipeline as stub
from runner_tools import recipe

from engine import api, api_rows
from engine.api_home import store_of
from engine.execution.base import point_of
from engine.home import Home
from engine.recipe import Recipe

TASK = "fashion_mnist"


def finish(home: Home, recipe_json: dict[str, Any], test: bool = False, **more: Any) -> str:
    """A finished trial without a runner."""
    made = Recipe.from_json(recipe_json)
    store = store_of(home)
    api.submit(home, recipe_json, companions=False, test=test)
    while (work := store.claim()) is not None:
        outcome = stub.outcome_of(made, test)
        result = dataclasses.replace(outcome.result, **more)
        assert store.finish(work.id, work.attempt, point_of(dataclasses.replace(outcome, result=result)))
    return made.key


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Two shipped results: the teacher's, and one trial's."""
    trial = stub.outcome_of(Recipe.from_json(recipe(77)), True).result.to_json()
    teacher = {**trial, "key": "f" * 32, "recipe": {**trial["recipe"], "student": "teacher", "phases": []}}
    entries = [{"result": r, "machine": "a laptop", "date": "2026-01-02"} for r in (teacher, trial)]
    path = tmp_path / "shipped_results.json"
    path.write_text(json.dumps(entries))
    monkeypatch.setattr(api_rows, "SHIPPED", path)
    return entries


@pytest.fixture
def none_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_rows, "SHIPPED", tmp_path / "none.json")
