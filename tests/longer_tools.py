"""Recipes run short and long in a home without a runner; no shipped results, no atlas unless a test writes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from api_tools import finish, none_shipped
from runner_tools import recipe

from engine.home import Home
from engine.recipe import Recipe
from engine.result import Quality
from engine.search import atlas
from engine.search.longer import longer

__all__ = ["none_shipped"]
STUDENTS = ("plain_1k5", "plain_5k", "plain_10k", "depthwise_1k4", "depthwise_5k")


@pytest.fixture
def no_atlas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No atlas; a test may write one there."""
    path = tmp_path / "atlas.json"
    monkeypatch.setattr(atlas, "PATH", path)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.locate(tmp_path / "home")


def measured(home: Home, body: dict[str, Any], quality: float) -> str:
    return finish(home, body, quality=Quality("accuracy", quality, quality - 0.01, quality + 0.01))


def both(home: Home, body: dict[str, Any], short: float, late: float, times: int = 4) -> tuple[str, str]:
    """A recipe run short and long."""
    long = longer(Recipe.from_json(body), times).to_json()
    return measured(home, body, short), measured(home, long, late)


def ten(home: Home, turned: bool = False) -> list[tuple[str, str]]:
    """Two seeds of five students, ranked alike by short and long runs (or the other way round)."""
    made = []
    for i, student in enumerate(STUDENTS):
        for seed in (1, 2):
            value = 0.6 + 0.05 * i + 0.01 * seed
            made.append(both(home, recipe(seed, student=student), value, 1.5 - value if turned else value + 0.05))
    return made
