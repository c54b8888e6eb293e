"""Housekeeping takes away what nothing needs, and never anything of results or of queued and running work."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from house_tools import put, write_files
from runner_tools import check_nothing_lost_or_twice, recipe, stub_home

from engine import api, housekeeping
from engine.api_home import store_of
from engine.execution import presence
from engine.home import Home
from engine.recipe import Recipe

OLD = time.time() - 90 * housekeeping.DAY_SECONDS
__all__ = ["stub_home"]
ORPHAN = "0123456789abcdef0123456789abcdef"


def aged(path: Path, seconds: float = OLD) -> Path:
    """The file or folder as if nothing had touched it for long."""
    os.utime(path, (seconds, seconds))
    return path


def cached(home: Home, kind: str, name: str, size: int = 1000) -> Path:
    path = home.cache(kind) / name
    path.write_bytes(b"x" * size)
    return aged(path)


def prefix_of(seed: int) -> Path:
    return Path(f"{Recipe.from_json(recipe(seed)).prefix(1).key}.prefix")


def test_an_empty_home_has_nothing_to_take_away(home: Home) -> None:
    found = housekeeping.collect(home)
    assert found["removed"] == {}
    assert found["bytes"] == found["compacted"] == 0


def test_orphaned_artifacts_go_and_those_of_results_stay(home: Home) -> None:
    key = put(home)
    aged(home.artifact(key))
    write_files(home, ORPHAN)
    aged(home.artifact(ORPHAN))
    found = housekeeping.collect(home)
    assert found["removed"]["artifacts"] == {"count": 1, "bytes": 50_000 - 40_000 % 32}
    assert not home.artifact(ORPHAN).exists()
    assert sorted(p.name for p in home.artifact(key).iterdir()) == ["model.onnx", "model.packed"]
    assert [p.name for p in (home.root / "artifacts").iterdir()] == [key], "no draft is left"


def test_a_young_orphan_may_belong_to_a_trial_that_ends_now(home: Home) -> None:
    write_files(home, ORPHAN)
    assert housekeeping.collect(home)["removed"] == {}
    assert home.artifact(ORPHAN).exists()


@pytest.mark.parametrize("running", [False, True])
def test_nothing_of_queued_or_running_work_goes(home: Home, running: bool) -> None:
    sent = api.submit(home, recipe(3))
    if running:
        store_of(home).claim()
    for key in (sent["key"], sent["dense"]):
        write_files(home, key)
        aged(home.artifact(key))
        cached(home, "prefix", f"{key}.prefix")
    kept = cached(home, "prefix", str(prefix_of(3)))
    other = cached(home, "prefix", str(prefix_of(4)))
    teacher = cached(home, "teacher", f"{ORPHAN}-validation.safetensors")
    found = housekeeping.collect(home, older_than=1)
    assert set(found["removed"]) == {"cache/prefix"}
    assert found["removed"]["cache/prefix"]["count"] == 1
    assert not other.exists()
    assert kept.exists()
    assert teacher.exists()
    assert home.artifact(sent["key"]).exists()


def test_work_that_cannot_be_read_keeps_every_prefix(home: Home) -> None:
    api.submit(home, recipe(3), companions=False)
    with store_of(home).change() as db:
        db.execute("""UPDATE work SET body = '{"phases": [], "student": "gone"}'""")
    kept = cached(home, "prefix", str(prefix_of(4)))
    assert housekeeping.collect(home)["removed"] == {}
    assert kept.exists()


def test_caches_go_by_their_last_use(home: Home) -> None:
    put(home, 1)
    used = cached(home, "prefix", str(prefix_of(1)))  # its file is old, but a trial on it has just run
    old = cached(home, "latency", "a-b-c.json", 300)
    young = home.cache("latency") / "d-e-f.json"
    young.write_bytes(b"{}")
    lock = cached(home, "prefix", "x.lock", 0)
    found = housekeeping.collect(home, older_than=30)
    assert found["removed"] == {"cache/latency": {"count": 1, "bytes": 300}}
    assert not old.exists()
    assert used.exists()
    assert young.exists()
    assert lock.exists(), "a lock may be held"


def test_inspections_of_deleted_results_go_before_their_time(home: Home) -> None:
    key = put(home, 1)
    two_hours = time.time() - 7200
    of_result = aged(cached(home, "inspect", f"{key}.npz"), two_hours)
    of_nothing = aged(cached(home, "inspect", f"{ORPHAN}.npz"), two_hours)
    found = housekeeping.collect(home)
    assert found["removed"]["cache/inspect"]["count"] == 1
    assert of_result.exists()
    assert not of_nothing.exists()


def test_leftovers_of_killed_exports_go_but_not_an_inhabited_home(home: Home) -> None:
    real = home.cache("prefix") / "kept.prefix"
    real.write_bytes(b"y" * 10)
    for name in ("export-dead", "export-live"):
        folder = Home.locate(home.root / name)
        folder.lock("runner")
        (folder.root / "store.sqlite").write_bytes(b"z" * 500)
        (folder.root / "cache").symlink_to(real.parent.parent, target_is_directory=True)
    presence.hold_open(Home(home.root / "export-live"))
    draft = home.root / "artifacts" / ".abc.tmp1"
    draft.mkdir(parents=True)
    (draft / "model.onnx").write_bytes(b"1234")
    for path in (home.root / "export-dead", home.root / "export-live", draft):
        aged(path)
    found = housekeeping.collect(home)
    assert found["removed"]["leftovers"]["count"] == 2
    assert not (home.root / "export-dead").exists()
    assert (home.root / "export-live").exists()
    assert not draft.exists()
    assert real.exists(), "a link to the cache is not followed"


def test_a_dry_run_counts_the_same_and_touches_nothing(home: Home) -> None:
    write_files(home, ORPHAN)
    aged(home.artifact(ORPHAN))
    old = cached(home, "latency", "a.json")
    said = housekeeping.collect(home, dry_run=True)
    assert home.artifact(ORPHAN).exists()
    assert old.exists()
    done = housekeeping.collect(home)
    assert said["removed"] == done["removed"]
    assert said["bytes"] == done["bytes"] > 50_000


def test_an_artifact_asked_for_while_it_is_judged_is_never_lost(home: Home, monkeypatch: Any) -> None:
    """Somebody asks for the orphan's trial at the worst moment: they wait, then the trial makes its files anew."""
    key = Recipe.from_json(recipe(9)).key
    write_files(home, key)
    aged(home.artifact(key))
    moved = threading.Event()
    real = housekeeping._aside

    def slow(path: Path) -> Path:
        asking = threading.Thread(target=lambda: (api.submit(home, recipe(9), companions=False), moved.set()))
        asking.start()
        assert not moved.wait(0.3), "nobody enters work while a folder is judged"
        return real(path)

    store_of(home)
    monkeypatch.setattr(housekeeping, "_aside", slow)
    assert housekeeping.collect(home)["removed"]["artifacts"]["count"] == 1
    assert moved.wait(5)
    assert api.status(home, key)["state"] == "queued"
    write_files(home, key)
    aged(home.artifact(key))
    monkeypatch.setattr(housekeeping, "_aside", real)
    assert housekeeping.collect(home)["removed"] == {}


def test_sizes_add_up(home: Home) -> None:
    put(home)
    cached(home, "latency", "a.json", 123)
    (home.root / "runner.log").write_bytes(b"l" * 77)
    found = housekeeping.sizes(home)
    on_disk = sum(p.stat().st_size for p in home.root.rglob("*") if p.is_file())
    assert found["total"] == on_disk
    assert found["artifacts"]["count"] == 1
    assert found["caches"]["latency"] == {"bytes": 123, "count": 1}
    parts = found["store"] + found["artifacts"]["bytes"] + sum(c["bytes"] for c in found["caches"].values())
    assert parts + found["other"] == found["total"]
    assert found["other"] >= 77


def test_empty_pages_of_the_store_are_given_back_when_no_runner_works(home: Home, monkeypatch: Any) -> None:
    store = store_of(home)
    with store.change() as db:
        db.execute("CREATE TABLE bulk (data BLOB)")
        db.execute("INSERT INTO bulk VALUES (zeroblob(12000000))")
    with store.change() as db:
        db.execute("DROP TABLE bulk")
    assert housekeeping.collect(home, dry_run=True)["compacted"] > 11_000_000
    monkeypatch.setattr(presence, "runner_lives", lambda home: True)
    assert housekeeping.collect(home)["compacted"] == 0
    monkeypatch.setattr(presence, "runner_lives", lambda home: False)
    assert housekeeping.collect(home)["compacted"] > 11_000_000
    assert housekeeping.sizes(home)["store"] < 1_000_000


def test_taking_away_all_the_time_harms_nothing_that_a_runner_does(stub_home: Home, monkeypatch: Any) -> None:
    """A real runner with stub trials, and the strictest broom: every cache and draft is old, again and again."""
    monkeypatch.setattr(housekeeping, "LEFT_SECONDS", 0.0)
    keys = [api.submit(stub_home, recipe(n), companions=False)["key"] for n in range(8)]
    rounds, stop = [], threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            rounds.append(
                housekeeping._summary(housekeeping._orphans(stub_home, store_of(stub_home), time.time(), False))
            )
            rounds.append(housekeeping._summary(housekeeping._old_caches(stub_home, store_of(stub_home), time.time())))

    broom = threading.Thread(target=sweep)
    broom.start()
    try:
        api.wait(stub_home, keys)
    finally:
        stop.set()
        broom.join()
    assert len(rounds) > 10
    check_nothing_lost_or_twice(stub_home, keys)
