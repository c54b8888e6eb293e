"""Results as flat rows: every column, roles, what is shipped, and speed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import stub_pipeline as stub
from api_tools import TASK, finish, none_shipped, shipped
from runner_tools import recipe

from engine import api, api_rows, store_read
from engine.api_home import store_of
from engine.errors import FileError, InputError
from engine.execution.base import point_of
from engine.home import Home
from engine.recipe import Recipe
from engine.store import Ask

__all__ = ["none_shipped", "shipped"]
ROW = [
    "key",
    "task",
    "origin",
    "role",
    "state",
    "student",
    "teacher",
    "loss",
    "temperature",
    "weight",
    "pruning",
    "schedule",
    "sparsity",
    "bits",
    "labels",
    "data",
    "epochs",
    "seed",
    "quality",
    "quality_low",
    "quality_high",
    "packed_bytes",
    "onnx_bytes",
    "parameters",
    "nonzero",
    "macs",
    "latency_ms",
    "latency_low_ms",
    "latency_high_ms",
    "latency32_ms",
    "runtime",
    "simulated",
    "slower_here",
    "cause",
    "ratio",
    "machine",
    "created",
    "dense_key",
]


@pytest.mark.usefixtures("none_shipped")
def test_a_row_has_every_column_and_says_what_was_chosen(home: Home) -> None:
    key = finish(home, recipe(labels=200))
    (row,) = api.rows(home, TASK)
    assert set(ROW) <= set(row)
    chosen = {
        "key": key, "origin": "trial", "role": "trial", "state": "done", "student": "plain_1k5", "teacher": "teacher",
        "loss": "kd", "temperature": 4.0, "pruning": "magnitude", "schedule": "gradual", "sparsity": 0.5, "bits": 8,
        "labels": 200, "data": "sample", "epochs": 1, "seed": 0, "packed_bytes": 10_000, "latency_ms": 0.1,
        "latency32_ms": None, "latency_low_ms": 0.09, "machine": "stub", "slower_here": False,
    }  # fmt: skip
    assert {k: row[k] for k in chosen} == chosen
    assert row["dense_key"] == Recipe.from_json(recipe(labels=200)).dense().key
    assert row["quality_low"] <= row["quality"] <= row["quality_high"]


def test_roles_follow_from_the_recipe() -> None:
    made = Recipe.from_json(recipe())
    plain = Recipe.from_json({**recipe(), "phases": [{"epochs": 1}, {"epochs": 0, "stages": ["recalibrate"]}]})
    assert [api_rows.role_of(r.to_json()) for r in (made, made.dense(), made.baseline(), plain)] == [
        "trial", "dense", "baseline", "baseline",
    ]  # fmt: skip
    row = api_rows.settings(made.baseline().to_json())
    assert (row["teacher"], row["loss"], row["pruning"], row["sparsity"], row["bits"]) == (
        None, "cross_entropy", "none", 0.0, 32,
    )  # fmt: skip


def test_a_pattern_is_told_as_its_share_of_zeros() -> None:
    stage = {"name": "prune_n_m", "pattern": "1:4"}
    row = api_rows.settings(Recipe.from_json({**recipe(), "phases": [{"epochs": 1, "stages": [stage]}]}).to_json())
    assert (row["pruning"], row["schedule"], row["sparsity"]) == ("n_m", "one_shot", 0.75)


@pytest.mark.usefixtures("none_shipped")
def test_new_rows_appear_and_old_ones_are_not_read_again(home: Home) -> None:
    first = finish(home, recipe(1))
    before = api.rows(home, TASK)[0]
    second = finish(home, recipe(2))
    rows = api.rows(home, TASK)
    assert [r["key"] for r in rows] == [first, second]
    assert rows[0] is before
    assert api.rows(home, TASK, ("grid",)) == []
    with pytest.raises(InputError):
        api.rows(home, "nothing")


def test_rows_of_a_new_store_in_the_same_place(home: Home) -> None:
    finish(home, recipe(1))
    before = len(api.rows(home, TASK))
    for path in home.root.glob("store.sqlite*"):
        path.unlink()
    assert len(api.rows(home, TASK)) == before - 1


@pytest.mark.usefixtures("none_shipped")
def test_rows_that_have_not_changed_are_not_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(home)
    store.submit([Ask("grid:d", "grid", TASK, {}, "d")], "me", "d")
    work = store.claim()
    assert work is not None
    point = point_of(stub.outcome_of(Recipe.from_json(recipe()), False))
    points = [
        dataclasses.replace(point, result={**point.result, "key": f"{i:032}", "origin": "grid"}) for i in range(2000)
    ]
    store.add_points(work.id, work.attempt, "d", points)
    assert len(api.rows(home, TASK)) == 2000
    read: list[int] = []
    monkeypatch.setattr(api_rows, "row_of", lambda *a, **k: read.append(1) or {})
    assert len(api.rows(home, TASK)) == 2000
    assert not read


def test_shipped_results_are_rows_until_the_trial_ran_here(home: Home, shipped: list[dict[str, Any]]) -> None:
    rows = {r["role"]: r for r in api.rows(home, TASK)}
    assert {r["origin"] for r in rows.values()} == {"shipped"}
    assert (rows["trial"]["machine"], rows["trial"]["created"]) == ("a laptop", "2026-01-02")
    assert rows["trial"]["dense_key"] == Recipe.from_json(recipe(77)).dense().key
    key = shipped[1]["result"]["key"]
    assert api.result(home, key[:8])["origin"] == "shipped"
    assert api.status(home, key)["state"] == "done"
    assert not api.submit(home, recipe(77), companions=False)["known"]  # another machine's latency is no answer here
    assert finish(home, recipe(77)) == key
    rows = {r["role"]: r for r in api.rows(home, TASK)}
    assert rows["trial"]["origin"] == "trial"
    assert len(api.rows(home, TASK)) == 2


def test_shipped_rows_timed_again_carry_this_machine(home: Home, shipped: list[dict[str, Any]]) -> None:
    name, key = api.retime(home, TASK), shipped[1]["result"]["key"]
    store = store_of(home)
    work = store.claim()
    assert work is not None
    reading = {"latency": {"median_ms": 7.0, "low_ms": 6.0, "high_ms": 8.0}, "machine": "this one"}
    store.add_readings(name, work.attempt, TASK, {key: reading})
    row = next(r for r in api.rows(home, TASK) if r["key"] == key)
    assert (row["latency_ms"], row["latency_low_ms"], row["machine"]) == (7.0, 6.0, "this one")


def test_altered_shipped_results_are_told(home: Home, shipped: list[dict[str, Any]]) -> None:
    api_rows.SHIPPED.write_text('[{"result": {}}]')
    with pytest.raises(FileError, match="git checkout"):
        api.rows(home, TASK)


@pytest.mark.usefixtures("none_shipped")
def test_a_removed_result_is_no_row_any_more_and_may_come_back(home: Home) -> None:
    key, other = finish(home, recipe(1)), finish(home, recipe(2))
    assert {r["key"] for r in api.rows(home, TASK)} == {key, other}
    assert store_of(home).remove([key]) == [key]
    assert {r["key"] for r in api.rows(home, TASK)} == {other}
    assert finish(home, recipe(1)) == key
    assert {r["key"] for r in api.rows(home, TASK)} == {key, other}


@pytest.mark.usefixtures("none_shipped")
def test_many_results_are_read_in_batches_and_repeat_no_word(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {finish(home, recipe(seed)) for seed in range(5)}
    monkeypatch.setattr(store_read, "BATCH", 2)
    rows = api.rows(home, TASK)
    assert {r["key"] for r in rows} == keys
    assert len({id(r["machine"]) for r in rows}) == 1
    rows.clear()
    assert len(api.rows(home, TASK)) == len(keys), "a caller's list is its own"
