"""A backup holds everything; an import takes what is sound, by key, and never changes what is there or the source."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from house_tools import logits_of, put
from runner_tools import recipe

from engine import api, api_keep, store_class, store_read
from engine.api_home import store_of
from engine.backup import MANIFEST, backup
from engine.errors import FileError, InputError, NotFoundError, StillhouseError, StoreError
from engine.execution.base import pack_predictions
from engine.home import Home
from engine.importing import bring


@pytest.fixture
def other(tmp_path: Path) -> Home:
    """Another home."""
    return Home.locate(tmp_path / "other")


def results(home: Home) -> dict[str, Any]:
    """Every stored result with its predictions."""
    store = store_of(home)
    keys = [r["key"] for r in store.rows("SELECT key FROM results ORDER BY key")]
    return {k: (store_read.result(store, k).body, store_read.predictions(store, k)) for k in keys}  # type: ignore[union-attr]


def altered(home: Home, key: str, change: Any) -> None:
    """A stored result as somebody else may have written it."""
    with store_of(home).change() as db:
        body = json.loads(db.execute("SELECT body FROM results WHERE key = ?", (key,)).fetchone()[0])
        change(body)
        db.execute("UPDATE results SET body = ? WHERE key = ?", (json.dumps(body), key))


class TestBackup:
    def test_it_brings_everything_back(self, home: Home, other: Home, tmp_path: Path) -> None:
        keys = [put(home, seed) for seed in range(3)]
        api_keep.star(home, keys[0], "local", True)
        api_keep.note(home, keys[1], "local", "best so far")
        with store_of(home).change() as db:
            db.execute(
                "INSERT INTO sweeps (id, name, task, spec, who, state, trials, created) "
                "VALUES ('ab', 'mine', 'fashion_mnist', '{}', 'local', 'running', 1, 2)"
            )
            db.execute("INSERT INTO sweep_trials VALUES ('ab', 0, ?, '{}')", (keys[0],))
        store_class.clear(store_of(home))
        store_class.predict(store_of(home), "local", "temperature", 3, "more")
        store_class.show(store_of(home), "local", "visit")
        made = backup(home, tmp_path / "all.zip", artifacts=True)
        assert (made["results"], made["artifacts"]) == (3, 3)
        assert made["bytes"] == (tmp_path / "all.zip").stat().st_size
        found = bring(other, tmp_path / "all.zip")
        assert (found["results"], found["artifacts"], found["refused"]) == (3, 3, {})
        assert found["restored"]["sweeps"] == 1
        assert results(other) == results(home)
        assert api_keep.marks(other, "local") == api_keep.marks(home, "local")
        assert store_class.cleared(store_of(other)) == store_class.cleared(store_of(home)) > 0
        assert store_class.predicted(store_of(other), "temperature") == {"local": "more"}
        assert store_class.shown(store_of(other), "local", "visit")
        kept = store_of(other).row("SELECT state, reason FROM sweeps")
        assert kept is not None
        assert (kept["state"], kept["reason"]) == ("paused", "restored from a backup")
        for key in keys:
            for name in ("model.onnx", "model.packed"):
                assert (other.artifact(key) / name).read_bytes() == (home.artifact(key) / name).read_bytes()

    def test_unpacked_it_is_a_home(self, home: Home, tmp_path: Path) -> None:
        put(home)
        backup(home, tmp_path / "b.zip", artifacts=True)
        with zipfile.ZipFile(tmp_path / "b.zip") as archive:
            archive.extractall(tmp_path / "unpacked")
        again = Home(tmp_path / "unpacked")
        assert results(again) == results(home)
        assert [p.name for p in tmp_path.glob(".b.zip*")] == [], "no draft is left"

    def test_it_is_whole_while_somebody_writes(self, home: Home, other: Home, tmp_path: Path) -> None:
        put(home, 0)
        writer = sqlite3.connect(home.store)
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE results SET created = 5")
        backup(home, tmp_path / "b.zip")
        writer.execute("ROLLBACK")
        assert bring(other, tmp_path / "b.zip")["results"] == 1
        assert results(other) == results(home)

    def test_places_that_cannot_be_are_refused(self, home: Home, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no store yet"):
            backup(home, tmp_path / "b.zip")
        put(home)
        (tmp_path / "b.zip").write_bytes(b"precious")
        for place in (tmp_path, tmp_path / "nowhere" / "b.zip", tmp_path / "b.zip"):
            with pytest.raises(InputError):
                backup(home, place)
        assert (tmp_path / "b.zip").read_bytes() == b"precious"
        assert backup(home, tmp_path / "b.zip", force=True)["results"] == 1


class TestImport:
    def test_a_home_is_merged_by_key_and_keeps_its_machine(self, home: Home, other: Home) -> None:
        mine = put(home, 1, right=4400)
        shared = put(other, 1, right=4300)
        theirs = put(other, 2, environment={"machine": "a laptop", "machine_id": "l1"})
        assert mine == shared
        before, source = results(home), results(other)
        found = bring(home, other.root)
        assert (found["results"], found["known"], found["machines"]) == (1, 1, {"a laptop": 1})
        after = results(home)
        assert after[mine] == before[mine], "what is there is never overwritten"
        assert after[theirs] == source[theirs]
        assert results(other) == source
        row = next(r for r in api.rows(home, "fashion_mnist") if r["key"] == theirs)
        assert (row["machine"], row["machine_id"]) == ("a laptop", "l1")
        assert api.paired(home, mine, theirs)["difference"] == pytest.approx((4400 - 4500) / 5000)
        again = bring(home, other.root)
        assert (again["results"], again["known"]) == (0, 2)
        assert results(home) == after

    def test_notes_and_sweeps_of_others_stay_out_of_a_home_with_results(self, home: Home, other: Home) -> None:
        put(home, 1)
        api_keep.note(other, put(other, 2), "local", "theirs")
        assert bring(home, other.root)["restored"] == {}
        assert api_keep.marks(home, "local") == {}

    def test_an_imported_trial_is_not_run_again(self, home: Home, other: Home) -> None:
        key = put(other, 2)
        bring(home, other.root)
        assert api.submit(home, recipe(2), companions=False) == {
            **api.submit(home, recipe(2), companions=False),
            "known": True,
        }
        assert api.status(home, key)["state"] == "done"
        assert store_of(home).claim() is None

    def test_a_preview_gives_way_and_is_never_brought(self, home: Home, other: Home) -> None:
        key = put(home, 1)
        with store_of(home).change() as db:
            db.execute("UPDATE results SET preview = 1")
        put(other, 1, right=4321)
        found = bring(home, other.root)
        assert (found["results"], found["replaced"]) == (1, 1)
        assert results(home)[key][0]["quality"]["value"] == 4321 / 5000
        with store_of(other).change() as db:
            db.execute("UPDATE results SET preview = 1")
        found = bring(home, other.root)
        assert (found["results"], found["previews"]) == (0, 1)

    def test_a_deleted_result_comes_back(self, home: Home, other: Home) -> None:
        key = put(home, 1)
        bring(other, home.root)
        api_keep.delete(home, [key], "local", True)
        assert key not in {r["key"] for r in api.rows(home, "fashion_mnist")}
        assert bring(home, other.root)["results"] == 1
        assert key in {r["key"] for r in api.rows(home, "fashion_mnist")}

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda b: b["quality"].update(value=0.93, high=0.94), "not the one that its predictions give"),
            (lambda b: b["quality"].update(value=1.5, high=1.6), "not between 0 and 1"),
            (lambda b: b["quality"].update(direction="minimize"), "of another task"),
            (lambda b: b["recipe"].update(seed=7), "another version of the plug-ins"),
            (lambda b: b["recipe"].update(student="plain_9k"), "cannot be run here"),
            (lambda b: b["cost"].update(packed_bytes=0), "contradict each other"),
            (lambda b: b["cost"].update(nonzero=10**9), "contradict each other"),
            (lambda b: b["cost"].update(onnx_bytes="x"), "not whole numbers"),
            (lambda b: b["cost"]["latency"].update(median_ms=-1), "not a trial's result"),
            (lambda b: b["cost"]["latency"].update(p95_ms=float("nan")), "not a result's JSON"),
            (lambda b: b.pop("quality"), "not a trial's result"),
            (lambda b: b.update(origin="shipped"), "not a finished trial"),
            (lambda b: b.update(key="0" * 32), "another version of the plug-ins"),
        ],
    )
    def test_what_is_not_sound_is_refused_with_the_reason(
        self, home: Home, other: Home, change: Any, reason: str
    ) -> None:
        good, bad = put(other, 1), put(other, 2)
        altered(other, bad, change)
        found = bring(home, other.root)
        assert found["results"] == 1
        assert list(results(home)) == [good]
        assert [reason in said for said in found["refused"]] == [True]

    def test_predictions_that_cannot_be_are_refused(self, home: Home, other: Home) -> None:
        keys = [put(other, seed) for seed in range(3)]
        short, data = pack_predictions(logits_of(4500)[:100])
        with store_of(other).change() as db:
            db.execute("UPDATE predictions SET data = ? WHERE key = ?", (b"no zstandard", keys[0]))
            db.execute("UPDATE predictions SET shape = ?, data = ? WHERE key = ?", (json.dumps(short), data, keys[1]))
            db.execute("DELETE FROM predictions WHERE key = ?", (keys[2],))
        found = bring(home, other.root)
        assert list(results(home)) == [keys[2]], "predictions may be missing, but not wrong"
        assert sum(found["refused"].values()) == 2

    def test_files_of_another_size_are_left_out(self, home: Home, other: Home) -> None:
        whole, cut = put(other, 1), put(other, 2)
        (other.artifact(cut) / "model.onnx").write_bytes(b"short")
        assert bring(home, other.root)["artifacts"] == 1
        assert home.artifact(whole).is_dir()
        assert not home.artifact(cut).exists()

    def test_a_name_cannot_lead_out_of_the_folder(self, home: Home, other: Home, tmp_path: Path) -> None:
        key = put(other, 1)
        altered(other, key, lambda b: b["artifact"].update(onnx="../../escaped"))
        (other.root / "escaped").write_bytes(b"x" * 40_000)
        found = bring(home, other.root)
        assert (found["results"], found["artifacts"]) == (1, 0)
        assert not list(tmp_path.rglob("home/**/escaped"))


class TestSources:
    def test_a_bare_store_and_an_older_one(self, home: Home, other: Home, tmp_path: Path) -> None:
        put(other, 1)
        store_of(other).rows("PRAGMA wal_checkpoint(TRUNCATE)")
        copy = tmp_path / "copied.db"
        copy.write_bytes(other.store.read_bytes())
        assert bring(home, copy)["results"] == 1

    def test_a_newer_one_is_refused_clearly(self, home: Home, other: Home, tmp_path: Path) -> None:
        put(other, 1)
        backup(other, tmp_path / "b.zip")
        with store_of(other).change() as db:
            db.execute("PRAGMA user_version = 99")
        with pytest.raises(StoreError, match=r"other was written by a newer Stillhouse \(schema 99, not"):
            bring(home, other.root)
        with zipfile.ZipFile(tmp_path / "b.zip") as old, zipfile.ZipFile(tmp_path / "new.zip", "w") as new:
            new.writestr("store.sqlite", old.read("store.sqlite"))
            new.writestr(MANIFEST, json.dumps({"format": 1, "schema": 99}))
        with pytest.raises(StoreError, match="newer Stillhouse"):
            bring(home, tmp_path / "new.zip")

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"PK\x03\x04 cut off", b"SQLite format 3\0" + b"x" * 200, b"hello"]
    )
    def test_anything_else_is_refused_in_one_line(self, home: Home, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "thing"
        path.write_bytes(content)
        with pytest.raises(StillhouseError, match="nothing was imported"):
            bring(home, path)
        assert [p.name for p in home.root.glob("import-*")] == []

    def test_an_empty_folder_and_a_missing_file(self, home: Home, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(FileError, match="no home"):
            bring(home, tmp_path / "empty")
        with pytest.raises(NotFoundError, match="no such file"):
            bring(home, tmp_path / "nothing.zip")

    @pytest.mark.parametrize("sql", [
        "CREATE TRIGGER t AFTER INSERT ON marks BEGIN DELETE FROM results; END",
        "CREATE VIEW v AS SELECT * FROM results", "PRAGMA application_id = 7",
    ])  # fmt: skip
    def test_a_store_that_could_act_or_is_not_ours_is_refused(self, home: Home, other: Home, sql: str) -> None:
        put(other, 1)
        with sqlite3.connect(other.store) as connection:
            connection.execute(sql)
        with pytest.raises(FileError, match="nothing was imported"):
            bring(home, other.root)

    def test_a_zip_of_something_else(self, home: Home, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
            archive.writestr("readme.txt", "hello")
        with pytest.raises(FileError, match="not one"):
            bring(home, tmp_path / "z.zip")
