"""The store's values (what is asked, run, kept) and its rules: each one a part of a transaction that Store opens."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TRIES_AFTER_DEATH = 1
ENDED = ("done", "failed", "cancelled")
_CHANGES = (f"coalesce((SELECT max(changed) FROM {table}), 0)" for table in ("results", "readings", "removed"))
LAST_CHANGE = f"max({', '.join(_CHANGES)})"


@dataclass(frozen=True)
class Ask:
    """A wish for one piece of work: ``kind`` is trial, grid, retime, inspect, runtimes or sensitivity.

    ``id`` is a trial's key, ``grid:<dense key>``, ``retime:<task>``, ``inspect:<key>``, ``runtimes:<key>`` or
    ``sensitivity:<dense key>``. ``after`` names a trial that must be done first. ``test`` also asks for the reading on
    the test set. Lower ``priority`` runs earlier among one person's work. ``again`` repeats work that is done.
    ``prefix`` is the key of its first training.
    """

    id: str
    kind: str
    task: str
    body: Mapping[str, Any]
    dense_key: str = ""
    priority: int = 0
    after: str | None = None
    test: bool = False
    again: bool = False
    prefix: str = ""


@dataclass(frozen=True)
class Work:
    """One row of the queue as a worker or a reader sees it."""

    id: str
    kind: str
    task: str
    body: Mapping[str, Any]
    dense_key: str
    test: bool
    state: str
    attempt: int
    error: str | None
    after: str | None = None
    created: float = 0.0


@dataclass(frozen=True)
class Point:
    """A finished point to keep: the result's JSON and its predictions (compressed, with their shape)."""

    result: Mapping[str, Any]
    shape: tuple[int, ...] = ()
    predictions: bytes = field(default=b"", repr=False)

    @property
    def preview(self) -> bool:
        """Whether it was measured on the first validation examples only."""
        return bool(self.result.get("preview"))


def put_work(db: sqlite3.Connection, ask: Ask, now: float) -> None:
    """Enter work, or wake up what had ended without giving what is asked for."""
    old = db.execute("SELECT state, test FROM work WHERE id = ?", (ask.id,)).fetchone()
    there = ask.kind == "trial" and complete(db, ask.id, ask.test)
    if old is None:
        db.execute(
            "INSERT INTO work (id, kind, task, body, dense_key, prefix, after, test, state, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (ask.id, ask.kind, ask.task, json.dumps(ask.body, allow_nan=False), ask.dense_key, ask.prefix, ask.after,
             int(ask.test), "done" if there else "queued", now),
        )  # fmt: skip
        return
    # work of an older schema has no prefix yet
    known = "UPDATE work SET test = max(test, ?), prefix = iif(prefix = '', ?, prefix) WHERE id = ?"
    db.execute(known, (int(ask.test), ask.prefix, ask.id))
    finished = there or (ask.kind != "trial" and old["state"] == "done" and not ask.again)
    if old["state"] in ENDED and not finished:
        requeue(db, ask.id, "deaths = 0, error = NULL")
    elif old["state"] in ("failed", "cancelled"):  # a later reading failed, but what is asked for is there
        db.execute("UPDATE work SET state = 'done', error = NULL WHERE id = ?", (ask.id,))


def stop_if_unwanted(db: sqlite3.Connection, name: str, now: float) -> None:
    """Cancel work that nobody wants any more; its attempt ends as withdrawn."""
    wanted = db.execute("SELECT 1 FROM requests WHERE id = ? AND withdrawn IS NULL", (name,)).fetchone()
    work = db.execute("SELECT state, attempt FROM work WHERE id = ?", (name,)).fetchone()
    if wanted or work["state"] in ENDED:
        return
    end_attempt(db, name, work["attempt"], "withdrawn", now)
    close(db, name, "done" if complete(db, name, False) else "cancelled", None)


def close(db: sqlite3.Connection, name: str, state: str, error: str | None) -> None:
    """End work for good; unless it is done, what waits for it ends too."""
    db.execute("UPDATE work SET state = ?, error = ? WHERE id = ?", (state, error, name))
    if state != "done":  # what waits for it can never start
        reason = f"the trial {name[:8]} that it builds on {'failed' if state == 'failed' else 'was cancelled'}"
        later = "UPDATE work SET state = ?, error = ? WHERE after = ? AND state = 'queued'"
        db.execute(later, (state, reason, name))


def requeue(db: sqlite3.Connection, name: str, also: str = "error = NULL") -> None:
    """Queue again as the next attempt."""
    db.execute(f"UPDATE work SET state = 'queued', attempt = attempt + 1, {also} WHERE id = ?", (name,))


def end_attempt(db: sqlite3.Connection, name: str, attempt: int, reason: str, now: float) -> None:
    """Note when and why an attempt ended, once."""
    ended = "UPDATE attempts SET ended = ?, reason = ? WHERE id = ? AND attempt = ? AND ended IS NULL"
    db.execute(ended, (now, reason, name, attempt))


def current(db: sqlite3.Connection, name: str, attempt: int) -> sqlite3.Row | None:
    """The row of work whose running attempt this is, or None: the gate of every write by a worker."""
    running = "SELECT * FROM work WHERE id = ? AND attempt = ? AND state = 'running'"
    found: sqlite3.Row | None = db.execute(running, (name, attempt)).fetchone()
    return found


def complete(db: sqlite3.Connection, key: str, test: bool) -> bool:
    """Whether a full result is there, with its test reading where that is asked for."""
    found = db.execute("SELECT body FROM results WHERE key = ? AND preview = 0", (key,)).fetchone()
    return found is not None and not (test and json.loads(found["body"]).get("test") is None)


def keep(db: sqlite3.Connection, dense_key: str, point: Point, now: float) -> None:
    """Write a result once: a full one replaces a preview, and only a test reading is ever added to a full one."""
    key, result = point.result["key"], point.result
    old = db.execute("SELECT preview, body FROM results WHERE key = ?", (key,)).fetchone()
    if old is None or (old["preview"] and not point.preview):
        body = json.dumps(result, allow_nan=False)
        row = (
            key,
            result["recipe"]["task"],
            result["origin"],
            dense_key,
            int(point.preview),
            body,
            now,
            next_change(db),
        )
        db.execute("DELETE FROM predictions WHERE key = ?", (key,))
        db.execute("DELETE FROM removed WHERE key = ?", (key,))
        db.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        if point.predictions:
            shape = json.dumps(point.shape)
            db.execute("INSERT INTO predictions VALUES (?, ?, ?)", (key, shape, point.predictions))
    elif not old["preview"] and not point.preview and result.get("test"):
        kept = json.loads(old["body"])
        if kept.get("test") is None:  # on a stored key the test reading is all that is added
            body = json.dumps({**kept, "test": result["test"]}, allow_nan=False)
            db.execute("UPDATE results SET body = ?, changed = ? WHERE key = ?", (body, next_change(db), key))


def remove(db: sqlite3.Connection, key: str, now: float) -> bool:
    """Delete one result with what hangs on it, unless work on it is open; whether there was one."""
    found = db.execute("SELECT task FROM results WHERE key = ?", (key,)).fetchone()
    own, mine = "(id IN (?, 'inspect:' || ?, 'runtimes:' || ?) OR after = ?)", (key,) * 4
    busy = f"SELECT 1 FROM work WHERE {own} AND state IN ('queued', 'running')"
    if found is None or db.execute(busy, mine).fetchone():
        return False
    db.execute("INSERT OR REPLACE INTO removed VALUES (?, ?, ?)", (key, found["task"], next_change(db)))
    for table in ("predictions", "marks", "results"):
        db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
    db.execute("DELETE FROM readings WHERE key GLOB ? || '@*'", (key,))  # another machine's, of a file that may differ
    # not done any more: who asks again gets it, and its grid, measured again
    again = f"UPDATE work SET state = 'cancelled', error = 'its result was deleted', test = 0 WHERE {own}"
    db.execute(f"{again} AND state = 'done'", mine)
    wishes = f"UPDATE requests SET withdrawn = ? WHERE withdrawn IS NULL AND id IN (SELECT id FROM work WHERE {own})"
    db.execute(wishes, (now, *mine))
    return True


def read_elsewhere(db: sqlite3.Connection, key: str, task: str, body: Mapping[str, Any], now: float) -> None:
    """Keep a result's latencies on another machine, which ``body`` names; the newest of a machine count."""
    row = (f"{key}@{body['machine_id']}", task, json.dumps(body, allow_nan=False), now, next_change(db))
    db.execute("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?)", row)


def mark(db: sqlite3.Connection, key: str, who: str, star: bool | None, note: str | None, now: float) -> None:
    """Change one person's star or note on a result; what is None stays."""
    given = None if star is None else int(star)
    db.execute(
        "INSERT INTO marks VALUES (?, ?, coalesce(?, 0), coalesce(?, ''), ?) ON CONFLICT DO UPDATE SET "
        "star = coalesce(?, star), note = coalesce(?, note), at = excluded.at",
        (key, who, given, note, now, given, note),
    )
    db.execute("DELETE FROM marks WHERE key = ? AND who = ? AND star = 0 AND note = ''", (key, who))


def next_change(db: sqlite3.Connection) -> int:
    """The number of the next change of results, readings or removals."""
    return int(db.execute(f"SELECT {LAST_CHANGE}").fetchone()[0]) + 1


def work_of(row: Mapping[str, Any]) -> Work:
    """A row of the table work as a value."""
    return Work(
        row["id"], row["kind"], row["task"], json.loads(row["body"]), row["dense_key"], bool(row["test"]),
        row["state"], row["attempt"], row["error"], row["after"], row["created"],
    )  # fmt: skip
