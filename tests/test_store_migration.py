"""A store of an older schema keeps every row when it is opened, and works like a new one afterwards."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from store_tools import TASK, point, state, trial

from engine import store_read as read
from engine.errors import StoreError
from engine.store import Store
from engine.store_schema import APPLICATION_ID, VERSION
from engine.store_tables import MIGRATIONS

# the tables of version 1 as its program made them; do not bring this up to date
VERSION_1 = """
CREATE TABLE work (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('trial', 'grid', 'retime')), task TEXT NOT NULL,
    body TEXT NOT NULL, dense_key TEXT NOT NULL, after TEXT, test INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    attempt INTEGER NOT NULL DEFAULT 1, deaths INTEGER NOT NULL DEFAULT 0, error TEXT, created REAL NOT NULL);
CREATE INDEX work_state ON work (state);
CREATE TABLE requests (
    id TEXT NOT NULL REFERENCES work (id), who TEXT NOT NULL, parent TEXT NOT NULL, priority INTEGER NOT NULL,
    created REAL NOT NULL, withdrawn REAL, PRIMARY KEY (id, who, parent)) WITHOUT ROWID;
CREATE INDEX requests_parent ON requests (parent, who);
CREATE TABLE attempts (
    id TEXT NOT NULL REFERENCES work (id), attempt INTEGER NOT NULL, started REAL NOT NULL, ended REAL, reason TEXT,
    PRIMARY KEY (id, attempt)) WITHOUT ROWID;
CREATE TABLE progress (
    id TEXT PRIMARY KEY REFERENCES work (id), attempt INTEGER NOT NULL, body TEXT NOT NULL,
    at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    id TEXT NOT NULL REFERENCES work (id), attempt INTEGER NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (id, attempt, sequence)) WITHOUT ROWID;
CREATE TABLE results (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, origin TEXT NOT NULL, dense_key TEXT NOT NULL, preview INTEGER NOT NULL,
    body TEXT NOT NULL, created REAL NOT NULL, changed INTEGER NOT NULL);
CREATE INDEX results_changed ON results (changed);
CREATE INDEX results_dense ON results (dense_key);
CREATE TABLE predictions (key TEXT PRIMARY KEY REFERENCES results (key), shape TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE readings (
    key TEXT PRIMARY KEY, task TEXT NOT NULL, body TEXT NOT NULL, created REAL NOT NULL, changed INTEGER NOT NULL)
"""
RESULT = {"key": "done1", "recipe": {"task": TASK}, "origin": "trial", "value": 0.9, "preview": False, "attempts": 2}
# id, kind, state, attempt, deaths, error, after, test; the numbers of the rows have a gap, as after a deletion
WORK = [
    (3, "done1", "trial", "done", 2, 1, None, None, 1), (4, "run1", "trial", "running", 1, 0, None, None, 0),
    (7, "wait1", "trial", "queued", 3, 0, None, None, 0), (8, "grid:run1", "grid", "queued", 1, 0, None, "run1", 0),
    (9, "bad1", "trial", "failed", 1, 0, "diverged", None, 0), (11, "off1", "trial", "cancelled", 1, 0, None, None, 0),
    (12, "retime:shapes", "retime", "done", 1, 0, None, None, 0),
]  # fmt: skip
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "requests": [(row[1], who, row[1], 0, 100.0 + row[0], 150.0 if row[1] == "off1" else None)
                 for row in WORK for who in ("me", "you")],
    "attempts": [("done1", 1, 10.0, 11.0, "killed"), ("done1", 2, 12.0, 13.0, "done"), ("run1", 1, 20.0, None, None)],
    "progress": [("run1", 1, '{"fraction": 0.5}', 21.0)],
    "events": [("done1", 2, 0, '{"epoch": 1}'), ("run1", 1, 0, '{"epoch": 1}'), ("run1", 1, 1, '{"epoch": 2}')],
    "results": [("done1", TASK, "trial", "done1", 0, json.dumps(RESULT), 13.0, 1),
                ("point1", TASK, "grid", "done1", 1, json.dumps(RESULT | {"key": "point1"}), 14.0, 2)],
    "predictions": [("done1", "[2, 1]", b"abcd"), ("point1", "[2, 1]", b"efgh")],
    "readings": [("shipped1", TASK, '{"latency": null}', 15.0, 3)],
}  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store of version 1 with rows in every table."""
    path = tmp_path / "store.sqlite"
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.executescript(VERSION_1)
    for number, name, kind, how, attempt, deaths, error, after, test in WORK:
        raw.execute(
            "INSERT INTO work (rowid, id, kind, task, body, dense_key, after, test, state, attempt, deaths, error, "
            "created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (number, name, kind, TASK, '{"seed": 1}', "done1", after, test, how, attempt, deaths, error, 100.0),
        )
    for table, rows in ROWS.items():
        raw.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    raw.execute("PRAGMA user_version = 1")
    raw.commit()
    raw.close()
    return path


def content(path: Path) -> dict[str, list[Any]]:
    """Every row of the tables of version 1."""
    raw = sqlite3.connect(path)
    found = {table: sorted(raw.execute(f"SELECT * FROM {table}").fetchall()) for table in ROWS}
    columns = "rowid, id, kind, task, body, dense_key, after, test, state, attempt, deaths, error, created"
    found["work"] = raw.execute(f"SELECT {columns} FROM work ORDER BY rowid").fetchall()
    raw.close()
    return found


def test_every_row_of_version_1_is_there_afterwards(old: Path) -> None:
    before = content(old)
    assert [row[0] for row in before["work"]] == [row[0] for row in WORK]
    Store(old).close()
    assert content(old) == before
    raw = sqlite3.connect(old)
    assert raw.execute("PRAGMA user_version").fetchone()[0] == VERSION
    assert raw.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
    raw.close()


def test_it_has_the_tables_of_a_new_store(old: Path, tmp_path: Path) -> None:
    Store(old).close()
    Store(tmp_path / "new.sqlite").close()
    shapes = []
    for path in (old, tmp_path / "new.sqlite"):
        raw = sqlite3.connect(path)
        names = raw.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name").fetchall()
        tables = [n for kind, n, _ in names if kind == "table"]
        columns = {t: raw.execute(f"PRAGMA table_info('{t}')").fetchall() for t in tables}
        references = {t: raw.execute(f"PRAGMA foreign_key_list('{t}')").fetchall() for t in tables}
        shapes.append((names, columns, references))
        raw.close()
    assert shapes[0] == shapes[1]


def test_its_work_goes_on(old: Path) -> None:
    store = Store(old)
    assert read.predictions(store, "done1") == ((2, 1), b"abcd")
    assert read.last_change(store) == 3
    assert store.finish("run1", 1, point("run1"))
    order = [work.id for work in (store.claim(), store.claim()) if work]
    assert order == ["wait1", "grid:run1"]
    assert store.claim() is None
    turns = {r["who"]: r["turn"] for r in store.rows("SELECT who, turn FROM people")}
    assert turns == {"me": 1, "you": 1}, "both are known and were served in turn"
    store.submit([trial("off1", prefix="p")], "new", "off1")
    assert (state(store, "off1"), state(store, "bad1")) == ("queued", "failed")
    assert store.remove(["done1"]) == ["done1"]
    assert read.removed_since(store, TASK, 0) == ["done1"]
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.rows("INSERT INTO requests VALUES ('nowhere', 'me', 'nowhere', 0, 0, NULL)")
    store.close()


def test_a_store_of_version_2_keeps_its_people_and_gets_the_tables_of_a_class(old: Path, tmp_path: Path) -> None:
    raw = sqlite3.connect(old)
    raw.executescript(f"{MIGRATIONS[1]}; PRAGMA user_version = 2")
    raw.execute("UPDATE people SET name = 'Ada' WHERE who = 'me'")
    raw.execute("INSERT INTO marks VALUES ('done1', 'me', 1, 'good', 5.0)")
    raw.commit()
    before = {table: raw.execute(f"SELECT * FROM {table}").fetchall() for table in ("people", "marks", "requests")}
    raw.close()
    assert len(before["people"]) == 2
    Store(old).close()
    raw = sqlite3.connect(old)
    assert {table: raw.execute(f"SELECT * FROM {table}").fetchall() for table in before} == before
    raw.close()
    assert tables(old) == tables(fresh(tmp_path))


def fresh(folder: Path) -> Path:
    """A new store."""
    Store(folder / "new.sqlite").close()
    return folder / "new.sqlite"


def tables(path: Path) -> dict[str, Any]:
    """Each table's columns by its name."""
    raw = sqlite3.connect(path)
    names = [row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: raw.execute(f"PRAGMA table_info('{name}')").fetchall() for name in names}
    raw.close()
    return found


def test_a_migration_that_breaks_off_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(old)
    monkeypatch.setitem(MIGRATIONS, 1, MIGRATIONS[1] + "; CREATE TABLE work (id TEXT)")
    with pytest.raises(StoreError, match="cannot be used"):
        Store(old)
    assert content(old) == before
    monkeypatch.undo()
    Store(old).close()
    assert content(old) == before


def test_processes_that_open_it_at_the_same_time_migrate_it_once(old: Path) -> None:
    before, problems = content(old), []

    def start() -> None:
        try:
            Store(old).close()
        except StoreError as problem:
            problems.append(problem)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert content(old) == before
