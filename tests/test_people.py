"""Who asks: names, what each has open, how many trials one may have, and how long somebody waits."""

from __future__ import annotations

import time

import pytest
from runner_tools import recipe
from store_tools import point, trial

from engine import api, api_people
from engine.api_home import store_of
from engine.errors import InputError
from engine.home import Home
from engine.store import Ask, Store

TASK = "fashion_mnist"


def ran(store: Store, name: str, seconds: float) -> None:
    """Claimed work whose attempt began ``seconds`` ago."""
    with store.change() as db:
        db.execute("UPDATE attempts SET started = ? WHERE id = ? AND ended IS NULL", (time.time() - seconds, name))


def end(store: Store, name: str, seconds: float) -> None:
    """Claimed work ends now after ``seconds``."""
    ran(store, name, seconds)
    store.finish(name, 1, point(name) if ":" not in name else None)


def test_names_are_remembered(home: Home) -> None:
    assert api_people.remember(home, "a1")["name"] == ""
    assert api_people.remember(home, "a1", "  Ada   Lovelace ")["name"] == "Ada Lovelace"
    assert api_people.remember(home, "a1")["name"] == "Ada Lovelace"
    api_people.remember(home, "b2", "Łukasz 😀")
    api_people.remember(home, "c3")
    assert api_people.names(home) == {"a1": "Ada Lovelace", "b2": "Łukasz 😀"}
    assert {p["who"] for p in api_people.people(home)} == {"a1", "b2", "c3"}


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a\x00b", "bell\x07", "turned \u202eround", "zero\u200bwidth"])
def test_a_bad_name_is_refused_and_the_old_one_stays(home: Home, name: str) -> None:
    api_people.remember(home, "a1", "Ada")
    with pytest.raises(InputError, match=r"your name: .* allowed: 1 to 40 printable characters"):
        api_people.remember(home, "a1", name)
    assert api_people.names(home) == {"a1": "Ada"}


def test_what_each_has_open(home: Home) -> None:
    api_people.remember(home, "idle", "Ida")
    asked = api.submit(home, recipe(), "ann")
    api.submit(home, recipe(), "bob", companions=False)
    assert store_of(home).claim() is not None
    found = {p["who"]: p for p in api_people.people(home)}
    assert found["ann"] == {"who": "ann", "name": "", "turn": 1, "queued": 4, "running": 1}
    assert (found["bob"]["queued"], found["bob"]["running"], found["bob"]["turn"]) == (0, 1, 0)
    assert (found["idle"]["queued"], found["idle"]["running"]) == (0, 0)
    assert api_people.wanted_by(home, asked["key"]) == ["ann", "bob"]
    assert api_people.wanted_by(home, asked["dense"]) == ["ann"]
    assert api_people.wanted_by(home, "nothing") == []
    assert api_people.crowd(home, "bob") == {"people": 1, "works": 4}
    assert api_people.crowd(home, "ann") == {"people": 0, "works": 0}
    api.cancel(home, asked["key"], "ann")
    assert api_people.wanted_by(home, asked["key"]) == ["bob"]


def test_a_grid_point_is_wanted_by_who_wanted_the_grid(home: Home) -> None:
    store = store_of(home)
    store.submit([trial("d"), Ask("grid:d", "grid", TASK, {}, "d", after="d")], "ann", "d")
    store.claim()
    store.finish("d", 1, point("d"))
    store.claim()
    store.add_points("grid:d", 1, "d", [point("g", origin="grid")])
    assert api_people.wanted_by(home, "g") == ["ann"]
    store.submit([trial("g")], "bob", "g")
    assert api_people.wanted_by(home, "g") == ["ann", "bob"]


def test_the_cap(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STILLHOUSE_CAP", "STILLHOUSE_JOIN_CODE"):
        monkeypatch.delenv(name, raising=False)
    assert api_people.cap() is None
    monkeypatch.setenv("STILLHOUSE_JOIN_CODE", "kettle")
    assert (api_people.cap(), api_people.cap(host=True)) == (20, None)
    monkeypatch.setenv("STILLHOUSE_CAP", "2")
    for seed in range(2):
        api.submit(home, recipe(seed), "ann")
    with pytest.raises(InputError, match="at most 2 queued or running for one person"):
        api.submit(home, recipe(2), "ann")
    assert len(api.active(home)) == 10, "nothing of the refused one was entered"
    api.submit(home, recipe(1), "ann")  # what is open already
    api.submit(home, recipe(2), "bob")
    api.submit(home, recipe(3), "ann", host=True)
    for wrong in ("0", "-1", "many", "2.5", "9" * 9):
        monkeypatch.setenv("STILLHOUSE_CAP", wrong)
        with pytest.raises(InputError, match="STILLHOUSE_CAP"):
            api_people.cap()


def test_waiting_tells_the_place_and_the_seconds(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_WORKERS", "2")
    store = store_of(home)
    store.submit([trial(name) for name in "abcdefg"], "ann", "sweep:s")
    assert api_people.waiting(home, "d", "ann") == {"place": 3, "seconds": None}  # nothing was timed here yet
    for name, seconds in (("a", 8.0), ("b", 10.0), ("c", 30.0)):
        store.claim()
        end(store, name, seconds)
    store.claim(), store.claim()
    ran(store, "d", 4.0), ran(store, "e", 1.0)
    # the usual 10 s: d ends in 6, e in 9; f takes the first free worker, g the second
    assert api_people.waiting(home, "d", "ann") == {"place": 0, "seconds": 0.0}
    found = [api_people.waiting(home, name, "ann") for name in "fg"]
    assert [f["place"] for f in found] == [0, 1]
    assert [f["seconds"] for f in found] == [pytest.approx(6.0, abs=0.5), pytest.approx(9.0, abs=0.5)]
    assert api_people.waiting(home, "f", "bob") == {"place": 0, "seconds": None}  # not bob's wish
    assert api_people.waiting(home, "a", "ann") == {"place": 0, "seconds": None}  # done


def test_somebody_new_waits_for_one_work_of_each_not_for_all(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_WORKERS", "1")
    store = store_of(home)
    store.submit([trial(f"a{i}") for i in range(50)], "ann", "sweep:a")
    for number in range(2):
        store.claim()
        end(store, f"a{number}", 10.0)
    store.claim()
    store.submit([trial("b")], "bob", "b")
    store.submit([trial("c")], "cem", "c")
    assert [api_people.waiting(home, n, w)["place"] for n, w in (("b", "bob"), ("c", "cem"))] == [0, 1]
    assert api_people.waiting(home, "c", "cem")["seconds"] == pytest.approx(20.0, abs=0.5)
    assert api_people.waiting(home, "a3", "ann")["place"] == 2


def test_active_is_what_one_wants_and_the_page_shows(home: Home) -> None:
    mine = api.submit(home, recipe(1), "ann")
    for seed in range(2, 8):
        api.submit(home, recipe(seed), "ann", companions=False)
    other = api.submit(home, recipe(9), "bob", companions=False)
    assert len(api.active(home)) == 12
    assert {s["key"] for s in api.active(home, "bob")} == {other["key"]}
    shown = [s["key"] for s in api.active(home, "bob", also=[mine["key"], mine["dense"], "nothing"])]
    assert shown == [mine["key"], mine["dense"], other["key"]]
    store_of(home).claim()
    few = api.active(home, "ann", most=3)
    assert [s["state"] for s in few] == ["running", "queued", "queued"]
    assert few[0]["key"] == mine["key"]
    assert sorted(s["place"] for s in few[1:]) == [1, 2], "those that start next, behind bob's first"


def test_a_first_visit_is_remembered_by_person(home: Home) -> None:
    assert not api_people.has_visited(home, "ann")
    api_people.note_visit(home, "ann")
    api_people.note_visit(home, "ann")
    assert api_people.has_visited(home, "ann")
    assert not api_people.has_visited(home, "bob")
