"""The store's promises: shared work, one result, attempts, fairness, damage told in words."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_tools import TASK, point, state, trial

from engine import store_read as read
from engine.store import Ask, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.sqlite")
    yield opened
    opened.close()


def test_a_trial_is_claimed_finished_and_known(store: Store) -> None:
    store.submit([trial("a")], "me", "a")
    work = store.claim()
    assert work is not None
    assert (work.id, work.attempt, work.state, work.body["seed"]) == ("a", 1, "running", 1)
    assert store.claim() is None
    assert store.finish("a", 1, point("a"))
    kept = read.result(store, "a")
    assert kept is not None
    assert (kept.body["value"], kept.body["attempts"]) == (0.9, 1)
    assert read.predictions(store, "a") == ((2, 1), b"abcd")
    store.submit([trial("a")], "you", "a")
    assert state(store, "a") == "done"
    assert store.claim() is None


def test_only_the_current_attempt_is_heard(store: Store) -> None:
    store.submit([trial("a")], "me", "a")
    store.claim()
    assert store.recover("gone") == 1
    for stale in (1, 2):  # the old attempt; and the new one, which has not started yet
        assert not store.report("a", stale, {"fraction": 0.5}, [(0, {"epoch": 1})])
        assert not store.finish("a", stale, point("a"))
        assert not store.fail("a", stale, "no")
        assert store.died("a", stale, "no") is None
        assert not store.add_points("a", stale, "a", [point("g")])
        assert not store.add_readings("a", stale, TASK, {"g": {}})
    assert read.result(store, "a") is None
    assert read.events(store, "a", 1) == []
    work = store.claim()
    assert work is not None
    assert work.attempt == 2
    assert store.report("a", 2, {"fraction": 0.5}, [(0, {"epoch": 1}), (1, {"epoch": 2})])
    assert store.report("a", 2, {"fraction": 0.6}, [(1, {"epoch": 99})])  # sent twice, kept once
    assert read.events(store, "a", 2) == [{"epoch": 1}, {"epoch": 2}]
    assert read.progress(store, "a", 2) == {"fraction": 0.6}


def test_a_result_is_written_once(store: Store) -> None:
    store.submit([trial("a"), Ask("grid:d", "grid", TASK, {}, "d")], "me", "a")
    store.claim(), store.claim()
    assert store.add_points("grid:d", 1, "d", [point("a", 0.5, preview=True, origin="grid")])
    assert store.add_points("grid:d", 1, "d", [point("a", 0.6, origin="grid")])
    assert store.add_points("grid:d", 1, "d", [point("a", 0.7, origin="grid"), point("a", 0.7, preview=True)])
    assert store.finish("a", 1, point("a", 0.8))
    kept = read.result(store, "a")
    assert kept is not None
    assert (kept.body["value"], kept.preview, kept.body["origin"]) == (0.6, False, "grid")
    assert read.grid_counts(store, "d") == (1, 0)
    assert not store.finish("a", 1, point("a", 0.9))


def test_a_preview_does_not_answer_for_the_trial(store: Store) -> None:
    store.submit([Ask("grid:d", "grid", TASK, {}, "d")], "me", "d")
    store.claim()
    store.add_points("grid:d", 1, "d", [point("a", preview=True, origin="grid")])
    assert read.grid_counts(store, "d") == (0, 1)
    store.submit([trial("a")], "me", "a")
    assert state(store, "a") == "queued"
    store.claim()
    store.finish("a", 1, point("a", 0.8))
    kept = read.result(store, "a")
    assert kept is not None
    assert (kept.preview, kept.body["value"]) == (False, 0.8)


def test_the_test_reading_is_all_that_is_added_to_a_result(store: Store) -> None:
    store.submit([trial("a")], "me", "a")
    store.claim()
    store.submit([trial("a", test=True)], "me", "a")  # asked for while it runs without it
    assert store.finish("a", 1, point("a", 0.9))
    work = store.claim()
    assert work is not None
    assert (work.attempt, work.test) == (2, True)
    assert store.finish("a", 2, point("a", 0.1, test={"value": 0.88}))
    kept = read.result(store, "a")
    assert kept is not None
    assert (kept.body["value"], kept.body["test"]) == (0.9, {"value": 0.88})
    store.submit([trial("a", test=True)], "me", "a")
    assert state(store, "a") == "done"


def test_withdrawing_a_test_reading_leaves_the_trial_done(store: Store) -> None:
    store.submit([trial("a")], "me", "a")
    store.claim()
    store.finish("a", 1, point("a"))
    store.submit([trial("a", test=True)], "me", "a")
    assert state(store, "a") == "queued"
    store.withdraw("a", "me")
    assert state(store, "a") == "done"


def test_a_dead_worker_is_tried_once_more_and_a_dead_runner_uses_up_nothing(store: Store) -> None:
    store.submit([trial("a")], "me", "a")
    for attempt in (1, 2, 3):
        store.claim()
        assert store.recover("the runner was killed") == 1
        assert state(store, "a") == "queued"
        assert read.attempts(store, "a")[-1]["attempt"] == attempt
    store.claim()
    assert store.died("a", 4, "killed") == "queued"
    store.claim()
    assert store.died("a", 5, "killed") == "failed"
    tries = read.attempts(store, "a")
    assert [t["reason"] for t in tries] == ["the runner was killed"] * 3 + ["killed"] * 2
    assert all(t["ended"] >= t["started"] for t in tries)
    found = read.work(store, "a")
    assert found is not None
    assert found.error == "killed; it was tried 2 times"
    store.submit([trial("a")], "me", "a")
    work = store.claim()
    assert work is not None
    assert store.died("a", work.attempt, "killed") == "queued"  # asked for again: the retry is back


def test_withdrawn_only_when_nobody_wants_it(store: Store) -> None:
    store.submit([trial("a")], "me", "a")
    store.submit([trial("a")], "you", "a")
    assert store.withdraw("a", "me")
    assert not store.withdraw("a", "me")
    assert state(store, "a") == "queued"
    store.claim()
    assert store.withdraw("a", "you")
    assert state(store, "a") == "cancelled"
    assert not store.finish("a", 1, point("a"))
    assert read.attempts(store, "a")[0]["reason"] == "withdrawn"
    store.submit([trial("a")], "me", "a")
    assert state(store, "a") == "queued"


def test_companions_go_with_the_run_unless_another_run_wants_them(store: Store) -> None:
    dense, grid = trial("d", priority=1), Ask("grid:d", "grid", TASK, {}, "d", 2, after="d")
    store.submit([trial("a"), dense, grid], "me", "a")
    store.submit([trial("b"), dense, grid], "me", "b")
    store.withdraw("a", "me")
    assert [state(store, n) for n in ("a", "b", "d", "grid:d")] == ["cancelled", "queued", "queued", "queued"]
    store.withdraw("b", "me")
    assert [state(store, n) for n in ("b", "d", "grid:d")] == ["cancelled"] * 3


def test_a_grid_waits_for_its_dense_student(store: Store) -> None:
    store.submit([Ask("grid:d", "grid", TASK, {}, "d", after="d"), trial("d", priority=5)], "me", "d")
    assert (read.place(store, "d"), read.place(store, "grid:d")) == (0, 1)
    first = store.claim()
    assert first is not None
    assert first.id == "d"
    assert store.claim() is None
    store.finish("d", 1, point("d"))
    second = store.claim()
    assert second is not None
    assert second.id == "grid:d"


def test_a_grid_ends_with_its_dense_student(store: Store) -> None:
    store.submit([trial("d"), Ask("grid:d", "grid", TASK, {}, "d", after="d")], "me", "d")
    store.claim()
    store.fail("d", 1, "diverged")
    found = read.work(store, "grid:d")
    assert found is not None
    assert (found.state, found.error) == ("failed", "the trial d that it builds on failed")
    assert not read.busy(store)


def test_priority_within_a_user_and_fairness_between_users(store: Store) -> None:
    for key in "abc":
        store.submit([trial(key), trial(f"{key}-dense", priority=1)], "me", key)
    store.submit([trial("x"), trial("y")], "you", "x")
    order = []
    while (work := store.claim()) is not None:
        order.append(work.id)
    assert order == ["a", "x", "b", "y", "c", "a-dense", "b-dense", "c-dense"]


def test_places_in_the_queue(store: Store) -> None:
    store.submit([trial("a", priority=1)], "me", "a")
    store.submit([trial("b")], "me", "b")
    assert (read.place(store, "a"), read.place(store, "b")) == (1, 0)
    store.claim()
    assert (read.place(store, "a"), read.place(store, "b")) == (0, None)


def test_jobs_repeat_only_when_asked_to(store: Store) -> None:
    job = Ask("retime:t", "retime", "t", {})
    store.submit([job], "me", job.id)
    store.claim()
    assert store.add_readings(job.id, 1, "t", {"k": {"latency": {"median_ms": 1.0}}})
    assert store.finish(job.id, 1)
    assert read.readings(store, "t")["k"]["latency"] == {"median_ms": 1.0}
    store.submit([job], "me", job.id)
    assert store.claim() is None
    store.submit([Ask("retime:t", "retime", "t", {}, again=True)], "me", job.id)
    work = store.claim()
    assert work is not None
    assert work.attempt == 2


def test_readers_fetch_only_what_is_new(store: Store) -> None:
    assert read.last_change(store) == 0
    for key in "ab":
        store.submit([trial(key)], "me", key)
        store.claim()
        store.finish(key, 1, point(key))
    first, second = read.results_since(store, TASK, 0)
    assert (first.key, second.key) == ("a", "b")
    assert [s.key for s in read.results_since(store, TASK, first.changed)] == ["b"]
    assert read.last_change(store) == second.changed
    assert read.keys_starting(store, "a") == ["a"]


def test_data_version_tells_of_other_connections(store: Store) -> None:
    before = store.data_version()
    other = Store(store.path)
    other.submit([trial("a")], "me", "a")
    other.close()
    assert store.data_version() != before


def test_threads_share_one_store(store: Store) -> None:
    def work(number: int) -> None:
        for i in range(20):
            store.submit([trial(f"k{i}")], f"user{number}", f"k{i}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read.unfinished(store)) == 20


def race(path: str, barrier: Any, answers: Any) -> None:
    barrier.wait()
    store = Store(Path(path))
    store.submit([trial("same")], multiprocessing.current_process().name, "same")
    work = store.claim()
    answers.put(work.id if work else None)
    store.close()


def test_eight_processes_that_submit_the_same_key_share_one_trial(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # cheap, and these children touch nothing but sqlite
    barrier, answers = context.Barrier(8), context.Queue()
    path = tmp_path / "store.sqlite"  # not there yet: they also race to create it
    children = [context.Process(target=race, args=(str(path), barrier, answers)) for _ in range(8)]
    for child in children:
        child.start()
    claimed = [answers.get(timeout=30) for _ in children]
    for child in children:
        child.join()
    assert sorted(claimed, key=str) == [None] * 7 + ["same"]
    store = Store(path)
    assert len(read.attempts(store, "same")) == 1
    store.close()
