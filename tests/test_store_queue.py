"""The fair queue: who is served next, whatever people ask for and whenever they come, and the places that are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from store_tools import claims, point, state, trial

from engine import store_queue as queue
from engine import store_read as read
from engine.errors import InputError
from engine.store import Ask, Store

PEOPLE = ("ann", "bob", "cem", "dag", "eva")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.sqlite")
    yield opened
    opened.close()


def test_everybodys_first_starts_before_anybodys_second(store: Store) -> None:
    for number in range(3):
        for who in ("ann", "bob"):
            store.submit([trial(f"{who}{number}")], who, f"{who}{number}")
    store.claim(), store.claim(), store.claim()  # ann0, bob0, ann1
    store.submit([trial("cem0"), trial("cem1")], "cem", "cem0")
    store.submit([trial("dag0"), trial("dag1")], "dag", "dag0")
    assert claims(store) == ["cem0", "dag0", "bob1", "cem1", "dag1", "ann2", "bob2"]


def test_a_newcomer_does_not_push_in_front_of_other_newcomers(store: Store) -> None:
    store.submit([trial(f"a{i}") for i in range(9)], "ann", "sweep:a")
    for _ in range(5):
        store.claim()
    for who in PEOPLE[1:]:
        store.submit([trial(f"{who}{i}") for i in range(3)], who, f"{who}0")
    assert claims(store)[:5] == ["bob0", "cem0", "dag0", "eva0", "a5"]


def test_a_lead_of_the_morning_is_forgotten_in_the_afternoon(store: Store) -> None:
    store.submit([trial(f"a{i}") for i in range(30)], "ann", "sweep:a")
    claims(store)
    store.submit([trial("b0"), trial("b1"), trial("b2")], "bob", "b0")
    store.submit([trial("x"), trial("y")], "ann", "x")
    assert claims(store) == ["b0", "x", "b1", "y", "b2"]


def test_asking_one_by_one_gains_nothing(store: Store) -> None:
    store.submit([trial(f"a{i}") for i in range(4)], "ann", "sweep:a")
    order = []
    for number in range(4):  # bob asks again as soon as his last one has ended
        store.submit([trial(f"b{number}")], "bob", f"b{number}")
        for _ in range(2):
            work = store.claim()
            assert work is not None
            order.append(work.id)
            store.finish(work.id, work.attempt, point(work.id))
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]


def test_shared_work_serves_the_one_with_the_lowest_turn(store: Store) -> None:
    store.submit([trial("a0"), trial("a1"), trial("both")], "ann", "a0")
    assert store.claim() is not None
    store.submit([trial("both"), trial("b1")], "bob", "both")
    assert claims(store) == ["both", "a1", "b1"]


def test_who_waited_for_other_work_saved_up_no_turns(store: Store) -> None:
    store.submit(
        [trial("d"), *(Ask(f"grid:{i}", "grid", "shapes", {}, "d", 2, after="d") for i in range(5))], "ann", "d"
    )
    dense = store.claim()
    assert dense is not None
    store.submit([trial(f"b{i}") for i in range(12)], "bob", "sweep:b")
    for _ in range(8):
        store.claim()
    store.finish("d", 1, point("d"))
    order = [name[0] for name in claims(store)]
    assert order[:7] == ["g", "b", "g", "b", "g", "b", "g"] or order[:7] == ["b", "g", "b", "g", "b", "g", "b"]


def test_the_same_training_is_not_claimed_twice_at_once(store: Store) -> None:
    store.submit([trial("a", prefix="p"), trial("b", prefix="p"), trial("c", prefix="q"), trial("d")], "me", "sweep:s")
    assert [w.id for w in (store.claim(), store.claim(), store.claim()) if w] == ["a", "c", "d"]
    assert store.claim() is None
    assert store.died("a", 1, "killed") == "queued"  # nobody trains it now
    work = store.claim()
    assert work is not None
    assert work.id == "a"
    assert store.claim() is None
    store.finish("a", 2, point("a"))
    store.submit([trial("e", prefix="p")], "me", "e")
    assert {w.id for w in (store.claim(), store.claim()) if w} == {"b", "e"}  # trained: both resume it at once


def test_a_prefix_is_entered_for_work_of_an_older_schema(store: Store) -> None:
    store.submit([trial("a")], "me", "a")
    store.submit([trial("a", prefix="p")], "you", "a")
    found = store.row("SELECT prefix FROM work WHERE id = 'a'")
    assert found is not None
    assert found[0] == "p"


def test_the_cap_counts_own_trials_and_those_of_sweeps(store: Store) -> None:
    companions = [trial("d", priority=1), Ask("grid:d", "grid", "shapes", {}, "d", 2, after="d")]
    for key in ("a", "b"):
        store.submit([trial(key), *companions], "me", key, cap=3)
    store.submit([trial("c")], "me", "sweep:s", cap=3)
    with pytest.raises(InputError, match=r"your open trials: 5 .*at most 3 queued or running"):
        store.submit([trial("e"), trial("f")], "me", "sweep:s", cap=3)
    assert read.work(store, "e") is None  # all or nothing
    store.submit([trial("a")], "me", "a", cap=3)  # what is open already adds nothing
    store.submit([trial("e")], "you", "e", cap=3)
    store.withdraw("a", "me")
    store.submit([trial("e")], "me", "e", cap=3)
    store.submit([trial("f"), trial("g")], "me", "sweep:s", cap=None)
    store.submit([trial("f")], "me", "f", cap=3)  # above the cap, and none is added


def test_a_finished_trial_makes_room_under_the_cap(store: Store) -> None:
    store.submit([trial("a")], "me", "a", cap=1)
    assert claims(store) == ["a"]
    store.submit([trial("b")], "me", "b", cap=1)
    store.submit([trial("a")], "me", "a", cap=1)  # known: not open


def test_cancel_all_stops_a_run_of_several_people_with_its_companions(store: Store) -> None:
    store.submit([trial("a"), trial("d", priority=1)], "me", "a")
    store.submit([trial("a"), trial("d", priority=1)], "you", "a")
    store.submit([trial("b"), trial("d", priority=1)], "you", "b")
    store.claim()
    assert store.cancel_all("a")
    assert not store.cancel_all("a")
    assert [state(store, name) for name in "abd"] == ["cancelled", "queued", "queued"]
    assert store.cancel_all("d")
    assert state(store, "d") == "cancelled"


def test_thirty_who_ask_for_one_trial_get_one_run(store: Store) -> None:
    for number in range(30):
        store.submit([trial("same")], f"user{number}", "same", cap=1)
    work = store.claim()
    assert work is not None
    assert store.claim() is None
    for number in range(29):
        assert store.withdraw("same", f"user{number}")
    assert state(store, "same") == "running"
    assert store.finish("same", 1, point("same"))
    assert len(read.attempts(store, "same")) == 1


def test_places_of_a_long_queue_are_told_once_for_everybody(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(queue, "order", lambda _: calls.append(1) or ["a", "b"])  # type: ignore[func-returns-value]
    store.submit([trial("a"), trial("b")], "me", "a")
    assert [read.place(store, n) for n in ("a", "b", "c")] == [0, 1, None]
    assert len(calls) == 1
    store.submit([trial("c")], "me", "c")  # changed by this connection
    read.place(store, "a")
    assert len(calls) == 2
    other = Store(store.path)
    other.submit([trial("d")], "me", "d")  # and by another one
    other.close()
    read.place(store, "a")
    assert len(calls) == 3
