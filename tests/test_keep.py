"""Stars, notes, and deleting results that nobody else asked for."""

from __future__ import annotations

from typing import Any

import pytest
from api_tools import finish, shipped
from runner_tools import recipe
from store_tools import point

from engine import api, api_keep, api_people
from engine import store_read as read
from engine.api_home import store_of
from engine.errors import InputError, NotFoundError
from engine.home import Home
from engine.recipe import Recipe
from engine.store import Ask

__all__ = ["shipped"]


def claim_and_finish(home: Home, key: str) -> None:
    store = store_of(home)
    work = store.claim()
    assert work is not None
    assert work.id == key
    store.finish(key, work.attempt, point(key, task="fashion_mnist"))


def ask(home: Home, key: str, *people: str) -> None:
    for who in people:
        store_of(home).submit([Ask(key, "trial", "shapes", {}, key)], who, key)


def test_stars_and_notes(home: Home) -> None:
    key = finish(home, recipe())
    assert api_keep.marks(home, "ann") == {}
    api_people.remember(home, "bob", "Bob")
    api_keep.star(home, key, "ann", True)
    api_keep.star(home, key, "bob", True)
    api_keep.note(home, key, "bob", "  good for its size\r\ntry 6 bits ")
    api_keep.note(home, key, "ann", "mine")
    (mark,) = api_keep.marks(home, "ann").values()
    assert (mark["stars"], mark["mine"]) == (2, True)
    assert [(n["who"], n["name"], n["note"]) for n in mark["notes"]] == [
        ("bob", "Bob", "good for its size\ntry 6 bits"), ("ann", "", "mine")]  # fmt: skip
    api_keep.star(home, key, "ann", False)
    assert (api_keep.marks(home, "ann")[key]["stars"], api_keep.marks(home, "ann")[key]["mine"]) == (1, False)
    api_keep.note(home, key, "ann", "")
    assert [n["who"] for n in api_keep.marks(home, "ann")[key]["notes"]] == ["bob"]
    api_keep.note(home, key, "bob", " ")
    api_keep.star(home, key, "bob", False)
    assert api_keep.marks(home, "ann") == {}


def test_bad_notes_and_unknown_trials_are_refused(home: Home, shipped: list[dict[str, Any]]) -> None:
    key = finish(home, recipe())
    api_keep.note(home, key, "ann", "x" * 500)
    for wrong in ("x" * 501, "a\x00b", "turned \u202eround"):
        with pytest.raises(InputError, match=r"your note: .*up to 500 printable characters"):
            api_keep.note(home, key, "ann", wrong)
    assert api_keep.marks(home, "ann")[key]["notes"][0]["note"] == "x" * 500
    for change in (
        lambda: api_keep.star(home, "nothing", "ann", True),
        lambda: api_keep.note(home, "nothing", "a", "b"),
    ):
        with pytest.raises(NotFoundError, match="no result"):
            change()
    api_keep.star(home, shipped[0]["result"]["key"], "ann", True)  # a shipped point may be starred


def test_a_person_deletes_what_nobody_else_asked_for(home: Home) -> None:
    for key, people in {"own": ["ann"], "both": ["ann", "bob"], "his": ["bob"]}.items():
        ask(home, key, *people)
    for _ in range(3):
        work = store_of(home).claim()
        assert work is not None
        store_of(home).finish(work.id, work.attempt, point(work.id))
    done = api_keep.delete(home, ["own", "both", "his", "nothing", "own"], "ann")
    assert done == {
        "deleted": ["own"],
        "refused": {"both": "others asked for it too", "nothing": "there is no such result",
                    "his": "only who asked for it, or the host, may delete it"},
    }  # fmt: skip
    api.cancel(home, "both", "bob")  # no longer wanted by the other
    assert api_keep.delete(home, ["both"], "ann")["deleted"] == ["both"]
    assert api_keep.delete(home, ["his"], "ann", host=True)["deleted"] == ["his"]


def test_deleting_takes_everything_and_the_trial_can_be_run_again(home: Home) -> None:
    key = finish(home, recipe())
    store = store_of(home)
    store.submit([Ask(f"inspect:{key}", "inspect", "fashion_mnist", {})], "local", f"inspect:{key}")
    work = store.claim()
    assert work is not None
    store.finish(work.id, work.attempt)
    home.artifact(key).mkdir(parents=True)
    (home.artifact(key) / "model.onnx").write_bytes(b"onnx")
    api_keep.star(home, key, "local", True)
    seen = read.last_change(store)
    assert api_keep.delete(home, [key], "local")["deleted"] == [key]
    assert read.result(store, key) is None
    assert read.predictions(store, key) is None
    assert api_keep.marks(home, "local") == {}
    assert not home.artifact(key).exists()
    assert read.removed_since(store, "fashion_mnist", seen) == [key]
    assert read.removed_since(store, "fashion_mnist", read.last_change(store)) == []
    assert read.removed_since(store, "other", 0) == []
    assert api_people.wanted_by(home, key) == []
    for name in (key, f"inspect:{key}"):
        found = read.work(store, name)
        assert found is not None
        assert (found.state, found.error) == ("cancelled", "its result was deleted")
    asked = api.submit(home, recipe(), companions=False)
    assert not asked["known"]
    again = finish(home, recipe())
    assert again == key
    assert read.removed_since(store, "fashion_mnist", 0) == [], "it is back"
    (back,) = read.results_since(store, "fashion_mnist", seen)
    assert (back.key, back.body["attempts"]) == (key, 2)


def test_a_dense_student_goes_with_the_right_to_its_grid_again(home: Home) -> None:
    store = store_of(home)
    store.submit([Ask("d", "trial", "shapes", {}, "d"), Ask("grid:d", "grid", "shapes", {}, "d", 2, "d")], "ann", "d")
    claim_and_finish(home, "d")
    assert store.claim() is not None
    assert api_keep.delete(home, ["d"], "ann")["refused"] == {"d": "its grid is queued or running; cancel that first"}
    assert store.remove(["d"]) == [], "the store itself refuses too"
    store.add_points("grid:d", 1, "d", [point("g", origin="grid"), point("h", origin="grid")])
    store.finish("grid:d", 1)
    assert api_keep.delete(home, ["g"], "ann")["deleted"] == ["g"], "a grid point belongs to who wanted the grid"
    assert read.grid_counts(store, "d") == (1, 0)
    grid = read.work(store, "grid:d")
    assert grid is not None
    assert grid.state == "done"
    assert api_keep.delete(home, ["d"], "ann")["deleted"] == ["d"]
    store.submit([Ask("d", "trial", "shapes", {}, "d"), Ask("grid:d", "grid", "shapes", {}, "d", 2, "d")], "ann", "d")
    assert [w.state for w in read.unfinished(store)] == ["queued", "queued"]


def test_what_is_queued_or_running_must_be_cancelled_first(home: Home) -> None:
    key = finish(home, recipe())
    api.submit(home, recipe(), test=True, companions=False)  # the test reading is missing: queued again
    assert api_keep.delete(home, [key], "local", host=True)["refused"] == {
        key: "it is queued or running; cancel that first"
    }
    api.cancel(home, key)
    assert api_keep.delete(home, [key], "local", host=True)["deleted"] == [key]


def test_shipped_results_stay(home: Home, shipped: list[dict[str, Any]]) -> None:
    key = shipped[1]["result"]["key"]
    assert "shipped results stay" in api_keep.delete(home, [key], "local", host=True)["refused"][key]


def test_first_training_is_what_recipes_share(home: Home) -> None:
    made = Recipe.from_json(recipe())
    first = made.first_training()
    assert first is not None
    assert first.key == made.prefix(1).key
    later = Recipe.from_json({**recipe(), "phases": [{"epochs": 0, "stages": []}, *recipe()["phases"]]})
    found = later.first_training()
    assert found is not None
    assert len(found.phases) == 2
    only = Recipe.from_json({**recipe(), "phases": [{"epochs": 0, "stages": []}]})
    assert only.first_training() is None
    api.submit(home, recipe(), companions=False)
    row = store_of(home).row("SELECT prefix FROM work WHERE id = ?", made.key)
    assert row is not None
    assert row[0] == first.key
