"""The runner with a stub pipeline and many people: one run for thirty, the host's stop, one training at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from runner_tools import alive, ran, recipe, stub_environment, stub_home, until, worker_pid

from engine import api, api_people
from engine.home import Home

__all__ = ["stub_home"]


def test_thirty_people_who_ask_for_one_recipe_cause_one_run(stub_home: Home) -> None:
    people = [f"user{n}" for n in range(30)]
    with ThreadPoolExecutor(8) as pool:
        asked = list(pool.map(lambda who: api.submit(stub_home, recipe(), who), people))
    (key,) = {a["key"] for a in asked}
    names = [key, asked[0]["dense"], asked[0]["baseline"], *api.grid_jobs(asked[0]["dense"])]
    assert set(api_people.wanted_by(stub_home, key)) == set(people)
    for who in people[:15]:
        assert api.cancel(stub_home, key, who)
    last = api.wait(stub_home, names)
    assert [s["state"] for s in last.values()] == ["done"] * 5
    assert set(ran(stub_home).values()) == {1}
    assert [len(s["attempts"]) for s in last.values()] == [1] * 5


def test_the_host_stops_a_run_of_several(stub_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_environment(monkeypatch, seconds=5.0)
    for who in ("ann", "bob"):
        key = api.submit(stub_home, recipe(), who, companions=False)["key"]
    api.ensure_runner(stub_home)
    pid = worker_pid(stub_home, key)
    assert api.cancel(stub_home, key, everybody=True)
    until(lambda: not alive(pid), 5)
    assert api.status(stub_home, key)["state"] == "cancelled"


def test_recipes_that_share_a_training_run_one_after_the_other(stub_home: Home) -> None:
    """The stub keeps no prefixes; what counts is that two never train the same one at the same time."""
    keys = []
    for bits in (8, 6, 4):
        changed = recipe()
        changed["phases"] = [changed["phases"][0], {"epochs": 0, "stages": [{"name": "quantize_linear", "bits": bits}]}]
        keys.append(api.submit(stub_home, changed, companions=False)["key"])
    last = api.wait(stub_home, keys)
    first, *others = sorted((s["attempts"][0] for s in last.values()), key=lambda t: t["started"])
    assert all(t["started"] >= first["ended"] for t in others)
    assert others[1]["started"] < others[0]["ended"], "once it is trained both go on at the same time"
