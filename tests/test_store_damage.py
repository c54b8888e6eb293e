"""A full disk, a damaged, newer or foreign store: one clear line with the remedy, and nothing is lost."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_tools import point, state, trial

from engine import store_read as read
from engine.errors import StoreError
from engine.files import atomic_folder, atomic_write, sweep
from engine.store import Point, Store
from engine.store_schema import APPLICATION_ID, VERSION


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store.sqlite")
    yield opened
    opened.close()


def test_a_full_disk_is_told_and_loses_nothing(store: Store) -> None:
    store.submit([trial("a"), trial("b")], "me", "a")
    store.claim()
    store.finish("a", 1, point("a"))
    store.close()
    pages = store.path.stat().st_size // 4096
    small = Store(store.path, max_pages=pages + 1)
    small.claim()
    big = Point(point("b").result, (100_000,), b"x" * 200_000)
    with pytest.raises(StoreError, match="disk is full"):
        small.finish("b", 1, big)
    assert state(small, "b") == "running"  # all or nothing
    assert read.result(small, "b") is None
    small.close()
    again = Store(store.path)
    assert read.result(again, "a") is not None
    assert again.finish("b", 1, big)  # space was freed
    again.close()


def test_a_store_that_is_not_sqlite_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"this is not a database" * 300)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"damaged.*move it away") as told:
        Store(path)
    assert "\n" not in str(told.value)
    assert path.read_bytes() == before


def test_a_damaged_page_is_found(store: Store) -> None:
    for i in range(200):
        store.submit([trial(f"key{i:04}" * 8)], "me", "a")
    store.check()
    store.close()
    data = bytearray(store.path.read_bytes())
    data[4096 * 3 : 4096 * 9] = b"\xff" * (4096 * 6)
    store.path.write_bytes(data)
    damaged = Store(store.path)
    with pytest.raises(StoreError, match=r"damaged.*move it away"):
        damaged.check()
    damaged.close()


def test_a_newer_store_is_refused(store: Store) -> None:
    store.close()
    with sqlite3.connect(store.path) as raw:
        raw.execute(f"PRAGMA user_version = {VERSION + 1}")
    raw.close()
    with pytest.raises(StoreError, match="newer Stillhouse"):
        Store(store.path)


def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE letters (text)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a Stillhouse store"):
        Store(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read or written"):
        Store(tmp_path / "missing" / "store.sqlite")


def test_numbers_that_json_does_not_know_are_refused(store: Store) -> None:
    store.submit([trial("a")], "me", "a")
    store.claim()
    with pytest.raises(ValueError, match="JSON"):
        store.finish("a", 1, point("a", float("nan")))
    assert state(store, "a") == "running"


def test_the_file_is_marked_as_ours(store: Store) -> None:
    with sqlite3.connect(store.path) as raw:
        assert raw.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
        assert raw.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        row = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'results'").fetchone()
    raw.close()
    assert "key TEXT PRIMARY KEY" in row[0]


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_whole_or_absent_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file.txt"
    atomic_write(path, "first")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full; free some space"):
        atomic_write(path, b"second")
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "artifacts" / "key"
    with atomic_folder(path) as draft:
        (draft / "model.onnx").write_text("one")
        assert not path.exists()
    with pytest.raises(StoreError, match="disk is full"), atomic_folder(path):
        full()
    with pytest.raises(RuntimeError), atomic_folder(path):
        raise RuntimeError
    assert (path / "model.onnx").read_text() == "one"
    with atomic_folder(path) as draft:
        (draft / "other").write_text("three")
    assert [p.name for p in path.iterdir()] == ["other"]
    assert [p.name for p in path.parent.iterdir()] == ["key"]


def test_other_errors_of_the_disk_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_folder(tmp_path / "key") as draft:
        (draft / "none").read_text()


def test_drafts_of_killed_processes_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".key.abc").mkdir()
    (tmp_path / "key").mkdir()
    assert sweep(tmp_path, older_than=0.0) == 0
    assert sweep(tmp_path, older_than=2e10) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["key"]
    assert sweep(tmp_path / "missing", 0.0) == 0
