"""Knobs that a plug-in was given after results existed: those results keep their keys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_recipes import ROWS, recipe

from engine import catalogue
from engine.api_rows import SHIPPED
from engine.knobs import Knob, knob, knobs_of
from engine.recipe import Recipe
from engine.search.longer import coordinates
from pages.parts.results_compare import differences

WORDS = ("size", "effect")
SCORE = {"name": "score", "type": "str", "default": "size", "help": "Which.", "choices": [*WORDS], "late": True}


def of(**more: Any) -> Recipe:
    return recipe([{"epochs": 0, "stages": [{"name": "prune_channels", **more}]}])


@pytest.fixture
def given_later(small_catalogue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The small catalogue whose channels get a late knob; the key that their recipe had before."""
    before = of().key
    lists = json.loads(catalogue.PATH.read_text())
    next(s for s in lists["stages"] if s["name"] == "prune_channels")["knobs"].append(SCORE)
    path = tmp_path / "later.json"
    path.write_text(json.dumps(lists))
    monkeypatch.setattr(catalogue, "PATH", path)
    return before


def test_it_is_declared_like_every_property_of_a_knob() -> None:
    @dataclass(frozen=True)
    class Example:
        score: str = knob("size", choices=WORDS, help="Which.", late=True)

    (made,) = knobs_of(Example)
    assert made.late
    assert made.to_json() == SCORE
    assert Knob.from_json(made.to_json()) == made
    assert "late" not in Knob("bits", "int", 8, "Bits.").to_json()


@ROWS
def test_at_its_default_it_is_in_no_key(given_later: str) -> None:
    assert of().key == of(score="size").key == given_later
    assert of().to_json()["phases"][0]["stages"][0] == {"name": "prune_channels", "layers": "*", "ratio": 0.5}
    assert of().stages[0].get("score") == "size"  # the stage itself is built with all of them


@ROWS
def test_another_value_makes_another_key_and_survives_json(given_later: str) -> None:
    other = of(score="effect")
    assert other.key != given_later
    assert Recipe.from_json(json.loads(json.dumps(other.to_json()))) == other
    assert other.to_json()["phases"][0]["stages"][0]["score"] == "effect"


@ROWS
def test_comparisons_read_what_is_left_out_as_the_default(given_later: str) -> None:
    old, new = of().to_json(), of(score="effect").to_json()
    assert differences([old, new]) == [((0, "stages", "prune_channels", 0, "score"), ("size", "effect"))]
    assert differences([old, of(score="size").to_json()]) == []
    assert coordinates(old).keys() == coordinates(new).keys()
    assert (coordinates(old)["score"], coordinates(new)["score"]) == ("size", "effect")


@ROWS
def test_a_part_that_is_not_installed_here_is_left_as_it_is(given_later: str) -> None:
    assert catalogue.current().whole("stages", {"name": "gone", "x": 1}) == {"name": "gone", "x": 1}


def test_shipped_results_have_the_keys_of_their_recipes() -> None:
    """What is shipped is found again; a knob that were not late would send everybody to run it once more."""
    rows = [e["result"] for e in json.loads(SHIPPED.read_text())]
    students = [r for r in rows if r["recipe"]["student"] in catalogue.current().students(r["recipe"]["task"])]
    assert len(students) > 10
    for row in students:
        made = Recipe.from_json(row["recipe"])
        assert made.key == row["key"]
        assert made.to_json() == row["recipe"]
