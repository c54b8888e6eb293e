"""Sweeps in the store: start, follow, pause, resume, extend, cancel, rename, forget, budget; who may do what."""

from __future__ import annotations

from typing import Any

import pytest
import stub_pipeline as stub
from runner_tools import recipe

from engine import api, api_sweeps, store_read, store_sweeps
from engine.api_home import store_of
from engine.errors import InputError, NotFoundError
from engine.execution.base import point_of
from engine.home import Home
from engine.recipe import Recipe

TASK = "fashion_mnist"
TAUGHT = {"epochs": 1, "loss": {"name": "kd", "temperature": [2.0, 4.0]}, "teachers": ["teacher"]}
GRID = {"task": TASK, "student": "plain_1k5", "phases": [TAUGHT]}


def spec(count: int = 4, **options: Any) -> dict[str, Any]:
    return {**recipe(), "seed": list(range(count)), "sweep": {"name": "seeds", **options}}


def work(home: Home, most: int = 1000) -> int:
    """Do what is queued, as a runner would, at most ``most``; how much there was."""
    store = store_of(home)
    for number in range(most):
        found = store.claim()
        if found is None:
            return number
        if found.kind == "trial":
            assert store.finish(found.id, found.attempt, point_of(stub.outcome_of(Recipe.from_json(found.body), False)))
        else:
            dense, share = Recipe.from_json(found.body["dense"]), (found.body["part"], found.body["parts"])
            points = [dense.with_one_shot(s, b) for s in stub.SPARSITIES for b in stub.BITS][share[0] :: share[1]]
            kept = [point_of(stub.outcome_of(r, False)) for r in points]
            kept = [as_grid(p) for p in kept]
            assert store.add_points(found.id, found.attempt, found.dense_key, kept)
            assert store.finish(found.id, found.attempt)
    return most


def as_grid(point: Any) -> Any:
    return type(point)({**point.result, "origin": "grid"}, point.shape, point.predictions)


def test_a_sweep_from_start_to_end(home: Home) -> None:
    now = api_sweeps.start(home, spec(4))
    assert (now["state"], now["trials"], now["queued"], now["combinations"]) == ("running", 4, 4, 4)
    assert len(now["id"]) == 12
    keys = api_sweeps.keys(home, now["id"][:5])
    assert keys == [Recipe.from_json(recipe(seed)).key for seed in range(4)]
    assert work(home, 2) == 2
    half = api_sweeps.status(home, now["id"])
    assert (half["done"], half["queued"], half["state"]) == (2, 2, "running")
    assert half["seconds_left"] >= 0
    assert work(home) == 2
    end = api_sweeps.status(home, now["id"])
    assert (end["done"], end["state"], end["seconds_left"]) == (4, "done", 0.0)
    rows = api_sweeps.rows(home, now["id"])
    assert {row["key"]: row["setting"] for row in rows} == {key: {"seed": i} for i, key in enumerate(keys)}
    assert all(row["sweep"] == now["id"] for row in rows)
    assert "sweep" not in api.rows(home, TASK, ("trial",))[0]  # copies, not the shared rows


def test_grids_follow_and_carry_the_setting_of_their_student(home: Home) -> None:
    now = api_sweeps.start(home, {**GRID, "sweep": {"grids": True, "baselines": True}})
    work(home)
    end = api_sweeps.status(home, now["id"])
    points = len(stub.SPARSITIES) * len(stub.BITS)
    assert (end["state"], end["trials"], end["done"], end["grid_points"]) == ("done", 2, 2, 2 * points)
    rows = api_sweeps.rows(home, now["id"])
    assert len(rows) == 2 + 1 + 2 * points
    by_setting = [row["setting"].get("temperature") for row in rows if row["origin"] == "grid"]
    assert sorted(by_setting) == [2.0] * points + [4.0] * points
    assert [row["setting"] for row in rows if row["role"] == "baseline"] == [{}]


def test_what_is_known_is_answered_from_the_store(home: Home) -> None:
    api_sweeps.start(home, spec(3))
    work(home)
    again = api_sweeps.start(home, spec(4))
    assert (again["done"], again["queued"]) == (3, 1)
    assert work(home) == 1
    assert [s["state"] for s in api_sweeps.sweeps(home)] == ["done", "done"]


def test_pause_lets_what_runs_end_and_resume_asks_again(home: Home) -> None:
    store = store_of(home)
    now = api_sweeps.start(home, spec(5))
    running = store.claim()
    assert running is not None
    paused = api_sweeps.pause(home, now["id"])
    assert (paused["state"], paused["running"], paused["cancelled"]) == ("paused", 1, 4)
    assert store.claim() is None
    assert store.finish(running.id, running.attempt, point_of(stub.outcome_of(Recipe.from_json(running.body), False)))
    assert api_sweeps.status(home, now["id"])["state"] == "paused"
    resumed = api_sweeps.resume(home, now["id"])
    assert (resumed["state"], resumed["queued"], resumed["done"]) == ("running", 4, 1)
    assert work(home) == 4
    assert api_sweeps.status(home, now["id"])["state"] == "done"


def test_pausing_leaves_what_somebody_else_wants(home: Home) -> None:
    now = api_sweeps.start(home, spec(2), who="a")
    api.submit(home, recipe(1), who="b", companions=False)
    api_sweeps.pause(home, now["id"], "a")
    assert [w.body["seed"] for w in store_read.unfinished(store_of(home))] == [1]


def test_cancel_stops_what_runs_too(home: Home) -> None:
    now = api_sweeps.start(home, spec(3))
    running = store_of(home).claim()
    assert running is not None
    end = api_sweeps.cancel(home, now["id"])
    assert (end["state"], end["running"], end["queued"], end["cancelled"]) == ("cancelled", 0, 0, 3)
    assert not store_of(home).finish(running.id, running.attempt)
    assert api_sweeps.resume(home, now["id"])["queued"] == 3


def test_extend_goes_on_in_the_order_that_it_began_with(home: Home) -> None:
    now = api_sweeps.start(home, spec(10, trials=3, seed=1))
    first = api_sweeps.keys(home, now["id"])
    work(home)
    more = api_sweeps.extend(home, now["id"], 4)
    assert (more["trials"], more["done"], more["queued"], more["state"]) == (7, 3, 4, "running")
    assert api_sweeps.keys(home, now["id"])[:3] == first
    work(home)
    assert api_sweeps.extend(home, now["id"], 100)["trials"] == 10
    assert len(set(api_sweeps.keys(home, now["id"]))) == 10
    with pytest.raises(InputError, match="all 10 combinations"):
        api_sweeps.extend(home, now["id"], 1)
    for wrong in (0, True, 10**6):
        with pytest.raises(InputError):
            api_sweeps.extend(home, now["id"], wrong)


def test_only_its_owner_or_the_host_may_decide(home: Home) -> None:
    name = api_sweeps.start(home, spec(2), who="a")["id"]
    for change in (api_sweeps.pause, api_sweeps.resume, api_sweeps.cancel):
        with pytest.raises(InputError, match="host"):
            change(home, name, "b")
    with pytest.raises(InputError, match="host"):
        api_sweeps.extend(home, name, 1, "b")
    with pytest.raises(InputError, match="host"):
        api_sweeps.rename(home, name, "theirs", "b")
    paused = api_sweeps.pause(home, name, "b", host=True)
    assert (paused["state"], paused["reason"]) == ("paused", "paused by the host")


def test_rename_and_forget(home: Home) -> None:
    name = api_sweeps.start(home, spec(2))["id"]
    assert api_sweeps.rename(home, name, "another")["name"] == "another"
    with pytest.raises(InputError):
        api_sweeps.rename(home, name, "")
    with pytest.raises(InputError, match="running"):
        api_sweeps.forget(home, name)
    work(home)
    api_sweeps.forget(home, name)
    assert api_sweeps.sweeps(home) == []
    assert len(api.rows(home, TASK, ("trial",))) == 2  # the results stay
    with pytest.raises(NotFoundError):
        api_sweeps.status(home, name)
    with pytest.raises(NotFoundError):
        api_sweeps.status(home, "")


def test_sweeps_are_listed_newest_first_and_by_task(home: Home) -> None:
    names = [api_sweeps.start(home, spec(2, name=name))["id"] for name in ("a", "b")]
    assert [s["id"] for s in api_sweeps.sweeps(home, TASK)] == names[::-1]
    assert api_sweeps.sweeps(home, "another") == []


def test_a_failure_is_told_with_its_setting_and_tried_again_by_resume(home: Home) -> None:
    store = store_of(home)
    now = api_sweeps.start(home, spec(2))
    found = store.claim()
    assert found is not None
    store.fail(found.id, found.attempt, "it diverged")
    work(home)
    end = api_sweeps.status(home, now["id"])
    assert (end["state"], end["done"], end["failed"]) == ("done", 1, 1)
    assert end["errors"] == [{"key": found.id, "setting": {"seed": found.body["seed"]}, "error": "it diverged"}]
    api_sweeps.resume(home, now["id"])
    work(home)
    assert api_sweeps.status(home, now["id"])["done"] == 2


def test_a_budget_counts_only_while_something_runs_and_pauses(home: Home) -> None:
    store = store_of(home)
    name = api_sweeps.start(home, spec(5, budget_seconds=10))["id"]
    assert store_sweeps.tick(store, 100.0) == []  # nothing runs: nothing is counted
    assert api_sweeps.status(home, name)["spent_seconds"] == 0
    store.claim()
    assert store_sweeps.tick(store, 6.0) == []
    assert api_sweeps.status(home, name)["spent_seconds"] == 6
    assert store_sweeps.tick(store, 6.0) == [name]
    paused = api_sweeps.status(home, name)
    assert (paused["state"], paused["running"], paused["queued"]) == ("paused", 1, 0)
    assert "10 s" in paused["reason"]
    assert store_sweeps.tick(store, 6.0) == []
    again = api_sweeps.resume(home, name)
    assert (again["state"], again["budget_seconds"]) == ("running", 22)


def test_a_sweep_that_was_killed_while_it_was_entered_can_be_resumed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(store_of(home)), "submit", killed)
        with pytest.raises(KeyboardInterrupt):
            api_sweeps.start(home, spec(3))
    left = api_sweeps.sweeps(home)[0]
    assert (left["state"], left["queued"]) == ("paused", 0)
    assert api_sweeps.resume(home, left["id"])["queued"] == 3


def test_a_sweep_beyond_a_persons_cap_is_refused_whole(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_CAP", "3")
    with pytest.raises(InputError, match="3"):
        api_sweeps.start(home, spec(5), who="a")
    assert api_sweeps.sweeps(home) == []
    assert store_read.unfinished(store_of(home)) == []
    assert api_sweeps.start(home, spec(5), who="a", host=True)["queued"] == 5
