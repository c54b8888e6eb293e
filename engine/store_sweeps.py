"""Sweeps in the store: their rows, their trials, and how far those are. A sweep wants its work as ``sweep:<id>``."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import store_rules as rules
from engine.store import Store

PARENT = "sweep:"
CHUNK = 500  # values in one query
Trial = tuple[str, Mapping[str, Any]]  # a key and its setting


@dataclass(frozen=True)
class Sweep:
    """One row of sweeps. ``state`` is what somebody decided (running, paused, cancelled); done is found by counting."""

    id: str
    name: str
    task: str
    spec: Mapping[str, Any]
    who: str
    state: str
    reason: str
    trials: int
    budget_seconds: float | None
    spent: float
    created: float

    @property
    def parent(self) -> str:
        """The run that its requests belong to."""
        return PARENT + self.id


@dataclass(frozen=True)
class Counts:
    """``trials`` by state; of all its work (grids and baselines too) what is ``open``, what runs, what is ``left``.

    ``left`` also counts what was withdrawn before it ended.
    """

    trials: Mapping[str, int]
    open: int
    running: int
    left: int
    grid_points: int


def create(store: Store, sweep: Sweep, trials: Sequence[Trial]) -> None:
    """Enter a sweep with its trials in order."""
    row = (
        sweep.id, sweep.name, sweep.task, json.dumps(sweep.spec, allow_nan=False), sweep.who, sweep.state, sweep.reason,
        len(trials), sweep.budget_seconds, sweep.spent, None, sweep.created,
    )  # fmt: skip
    with store.change() as db:
        db.execute("INSERT INTO sweeps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        _enter(db, sweep.id, 0, trials)


def extend(store: Store, name: str, trials: Sequence[Trial]) -> None:
    """Make ``trials`` the trials of a sweep; those that it has already come first among them."""
    with store.change() as db:
        had = db.execute("SELECT count(*) FROM sweep_trials WHERE sweep = ?", (name,)).fetchone()[0]
        _enter(db, name, had, trials[had:])
        db.execute("UPDATE sweeps SET trials = ? WHERE id = ?", (max(had, len(trials)), name))


def decide(store: Store, name: str, state: str, reason: str = "", budget_seconds: float | None = None) -> None:
    """Set what somebody decided; running notes the time, and may come with a new budget."""
    with store.change() as db:
        resumed = time.time() if state == "running" else None
        db.execute("UPDATE sweeps SET state = ?, reason = ?, resumed = ? WHERE id = ?", (state, reason, resumed, name))
        if budget_seconds is not None:
            db.execute("UPDATE sweeps SET budget_seconds = ? WHERE id = ?", (budget_seconds, name))


def rename(store: Store, name: str, words: str) -> None:
    """Call a sweep by another name."""
    with store.change() as db:
        db.execute("UPDATE sweeps SET name = ? WHERE id = ?", (words, name))


def forget(store: Store, name: str) -> None:
    """Remove a sweep; the results of its trials stay."""
    with store.change() as db:
        db.execute("DELETE FROM sweep_trials WHERE sweep = ?", (name,))
        db.execute("DELETE FROM sweeps WHERE id = ?", (name,))


def pause(store: Store, name: str, reason: str) -> None:
    """Withdraw what of a sweep is queued; what runs ends as usual."""
    with store.change() as db:
        _pause(db, name, reason)


def cancel(store: Store, name: str, reason: str) -> None:
    """Withdraw everything of a sweep; what nobody else wants stops."""
    with store.change() as db:
        _withdraw(db, name, ("queued", "running"))
        db.execute("UPDATE sweeps SET state = 'cancelled', reason = ?, resumed = NULL WHERE id = ?", (reason, name))


def tick(store: Store, seconds: float) -> list[str]:
    """Count ``seconds`` for each running sweep of which something runs; pause those over their budget. Their ids."""
    if not store.row("SELECT 1 FROM sweeps WHERE state = 'running' LIMIT 1"):
        return []
    busy = store.rows(_BUSY)
    if not busy:
        return []
    over = []
    with store.change() as db:
        for row in busy:
            db.execute("UPDATE sweeps SET spent = spent + ? WHERE id = ?", (seconds, row["id"]))
            if row["budget_seconds"] is not None and row["spent"] + seconds >= row["budget_seconds"]:
                _pause(db, row["id"], f"its budget of {row['budget_seconds']:.0f} s is spent")
                over.append(str(row["id"]))
    return over


def get(store: Store, name: str) -> Sweep | None:
    """One sweep by its id."""
    found = store.row("SELECT * FROM sweeps WHERE id = ?", name)
    return _sweep(found) if found else None


def every(store: Store, task: str | None = None) -> list[Sweep]:
    """All sweeps (of a task), newest first."""
    chosen = "SELECT * FROM sweeps WHERE ? IS NULL OR task = ? ORDER BY created DESC, id"
    return [_sweep(row) for row in store.rows(chosen, task, task)]


def starting(store: Store, prefix: str) -> list[str]:
    """Ids that start with ``prefix``, at most 20."""
    found = store.rows("SELECT id FROM sweeps WHERE id >= ? AND id < ? LIMIT 20", prefix, prefix + "\U0010ffff")
    return [row["id"] for row in found]


def trials(store: Store, name: str) -> list[Trial]:
    """Keys and settings in order."""
    found = store.rows("SELECT key, setting FROM sweep_trials WHERE sweep = ? ORDER BY position", name)
    return [(row["key"], json.loads(row["setting"])) for row in found]


def members(store: Store, name: str) -> list[tuple[str, str, str]]:
    """Everything that a sweep has ever asked for: (id, kind, dense key), in the order of asking."""
    found = store.rows(
        "SELECT DISTINCT w.id, w.kind, w.dense_key FROM requests r JOIN work w ON w.id = r.id WHERE r.parent = ? "
        "ORDER BY w.rowid", PARENT + name,
    )  # fmt: skip
    return [(row["id"], row["kind"], row["dense_key"]) for row in found]


def counts(store: Store, name: str) -> Counts:
    """How far a sweep is."""
    parent = PARENT + name
    states = {row["state"]: row["n"] for row in store.rows(_STATES, name)}
    whole = {row["state"]: row["n"] for row in store.rows(_WHOLE, parent)}
    points = store.row(_GRID_POINTS, parent)
    running = whole.get("running", 0)
    unfinished = running + whole.get("queued", 0)
    left = unfinished + whole.get("cancelled", 0)
    return Counts(states, unfinished, running, left, int(points["n"]) if points else 0)


def failures(store: Store, name: str, most: int = 100) -> list[dict[str, Any]]:
    """What failed: key, setting ({} for a grid or a baseline) and error."""
    found = store.rows(_FAILED, name, PARENT + name, most)
    return [
        {"key": row["id"], "setting": json.loads(row["setting"] or "{}"), "error": row["error"] or ""} for row in found
    ]


def durations(store: Store, name: str) -> dict[str, tuple[float, int, int]]:
    """By kind of work: mean seconds of what is done, how many are queued, how many run."""
    found = store.rows(_DURATIONS, PARENT + name)
    return {row["kind"]: (float(row["mean"] or 0.0), int(row["queued"]), int(row["running"])) for row in found}


def finished(store: Store, keys: Collection[str]) -> set[str]:
    """Those of ``keys`` that have a full result."""
    return _among(store, "SELECT key FROM results WHERE preview = 0 AND key IN ({})", keys)


def done(store: Store, ids: Collection[str]) -> set[str]:
    """Those works of ``ids`` that are done."""
    return _among(store, "SELECT id FROM work WHERE state = 'done' AND id IN ({})", ids)


_BUSY = """SELECT s.id, s.spent, s.budget_seconds FROM sweeps s WHERE s.state = 'running' AND EXISTS (
    SELECT 1 FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL
    WHERE w.state = 'running' AND r.parent = 'sweep:' || s.id)"""
_STATES = """SELECT coalesce(w.state, 'cancelled') AS state, count(*) AS n
    FROM sweep_trials t LEFT JOIN work w ON w.id = t.key WHERE t.sweep = ? GROUP BY 1"""
_WHOLE = """SELECT w.state AS state, count(DISTINCT w.id) AS n
    FROM requests r JOIN work w ON w.id = r.id WHERE r.parent = ? GROUP BY 1"""
_GRID_POINTS = """SELECT count(*) AS n FROM results WHERE origin = 'grid' AND preview = 0 AND dense_key IN (
    SELECT w.dense_key FROM requests r JOIN work w ON w.id = r.id WHERE r.parent = ? AND w.kind = 'grid')"""
_FAILED = """SELECT DISTINCT w.id, w.error, t.setting
    FROM work w LEFT JOIN sweep_trials t ON t.key = w.id AND t.sweep = ?
    WHERE w.state = 'failed' AND EXISTS (SELECT 1 FROM requests r WHERE r.id = w.id AND r.parent = ?)
    ORDER BY w.rowid LIMIT ?"""
# one row a request: a sweep asks for each work once, in one person's name
_DURATIONS = """SELECT w.kind AS kind, avg(CASE WHEN w.state = 'done' THEN a.ended - a.started END) AS mean,
    sum(w.state = 'queued') AS queued, sum(w.state = 'running') AS running
    FROM requests r JOIN work w ON w.id = r.id LEFT JOIN attempts a ON a.id = w.id AND a.attempt = w.attempt
    WHERE r.parent = ? GROUP BY w.kind"""


def _enter(db: sqlite3.Connection, name: str, first: int, trials: Iterable[Trial]) -> None:
    rows = [(name, i, key, json.dumps(setting)) for i, (key, setting) in enumerate(trials, first)]
    db.executemany("INSERT INTO sweep_trials VALUES (?, ?, ?, ?)", rows)


def _pause(db: sqlite3.Connection, name: str, reason: str) -> None:
    _withdraw(db, name, ("queued",))
    db.execute("UPDATE sweeps SET state = 'paused', reason = ?, resumed = NULL WHERE id = ?", (reason, name))


def _withdraw(db: sqlite3.Connection, name: str, states: Sequence[str]) -> None:
    now, marks = time.time(), ", ".join("?" for _ in states)
    found = db.execute(
        "SELECT DISTINCT r.id FROM requests r JOIN work w ON w.id = r.id "
        f"WHERE r.parent = ? AND r.withdrawn IS NULL AND w.state IN ({marks})", (PARENT + name, *states),
    ).fetchall()  # fmt: skip
    for (work,) in found:
        db.execute("UPDATE requests SET withdrawn = ? WHERE parent = ? AND id = ? AND withdrawn IS NULL",
                   (now, PARENT + name, work))  # fmt: skip
    for (work,) in found:
        rules.stop_if_unwanted(db, work, now)


def _among(store: Store, sql: str, values: Collection[str]) -> set[str]:
    listed, found = list(values), set[str]()
    for start in range(0, len(listed), CHUNK):
        part = listed[start : start + CHUNK]
        found |= {row[0] for row in store.rows(sql.format(", ".join("?" * len(part))), *part)}
    return found


def _sweep(row: Any) -> Sweep:
    return Sweep(
        row["id"], row["name"], row["task"], json.loads(row["spec"]), row["who"], row["state"], row["reason"],
        row["trials"], row["budget_seconds"], row["spent"], row["created"],
    )  # fmt: skip
