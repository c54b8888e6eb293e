"""What pages, command line and runner ask the store; nothing here changes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from engine.store import Store
from engine.store_queue import places
from engine.store_rules import LAST_CHANGE, Work, work_of

BATCH = 500  # results whose texts are read at once


@dataclass(frozen=True)
class Stored:
    """One row of results: the result's JSON, the dense student it belongs to, and when it was kept."""

    key: str
    body: dict[str, Any]
    dense_key: str
    preview: bool
    created: float
    changed: int


def work(store: Store, name: str) -> Work | None:
    """One piece of work by its id."""
    found = store.row("SELECT * FROM work WHERE id = ?", name)
    return work_of(dict(found)) if found else None


def unfinished(store: Store) -> list[Work]:
    """Everything queued or running, oldest first."""
    found = "SELECT * FROM work WHERE state IN ('queued', 'running') ORDER BY rowid"
    return [work_of(dict(r)) for r in store.rows(found)]


def works(store: Store, names: Iterable[str]) -> list[Work]:
    """Pieces of work by their ids, oldest first; unknown ones are left out."""
    found = "SELECT * FROM work WHERE id IN (SELECT value FROM json_each(?)) ORDER BY rowid"
    return [work_of(dict(r)) for r in store.rows(found, json.dumps(list(names)))]


def open_ids(store: Store, who: str | None = None) -> list[str]:
    """The ids of all that is queued or running (with ``who``: what they want): what runs, then as it will be served."""
    wanted = "AND id IN (SELECT id FROM requests WHERE who = ? AND withdrawn IS NULL)" if who is not None else ""
    found = f"SELECT id, state FROM work WHERE state IN ('queued', 'running') {wanted} ORDER BY rowid"
    rows, order = store.rows(found, *([who] if who is not None else [])), places(store)
    last = {"running": -1, "queued": len(order)}  # what waits for a trial that will never end well has no place
    return [r["id"] for r in sorted(rows, key=lambda r: order.get(r["id"], last[r["state"]]))]


def running(store: Store) -> dict[str, int]:
    """The current attempt of everything that runs, by id."""
    return {r["id"]: r["attempt"] for r in store.rows("SELECT id, attempt FROM work WHERE state = 'running'")}


def busy(store: Store) -> bool:
    """Whether anything is queued or running."""
    return store.row("SELECT 1 FROM work WHERE state IN ('queued', 'running') LIMIT 1") is not None


def place(store: Store, name: str) -> int | None:
    """How many start before it, as today's wishes stand (:func:`engine.store_queue.order`); None unless queued."""
    return places(store).get(name)


def attempts(store: Store, name: str) -> list[dict[str, Any]]:
    """Every attempt with its start, end (seconds since 1970) and reason."""
    return [
        dict(r)
        for r in store.rows("SELECT attempt, started, ended, reason FROM attempts WHERE id = ? ORDER BY attempt", name)
    ]


def progress(store: Store, name: str, attempt: int) -> dict[str, Any]:
    """The latest progress of one attempt; empty before its first report."""
    found = store.row("SELECT body FROM progress WHERE id = ? AND attempt = ?", name, attempt)
    body: dict[str, Any] = json.loads(found["body"]) if found else {}
    return body


def events(store: Store, name: str, attempt: int) -> list[dict[str, Any]]:
    """The events (curve points) of one attempt in order."""
    order = "SELECT body FROM events WHERE id = ? AND attempt = ? ORDER BY sequence"
    return [json.loads(r["body"]) for r in store.rows(order, name, attempt)]


def result(store: Store, key: str) -> Stored | None:
    """One finished point, previews included."""
    found = store.row("SELECT * FROM results WHERE key = ?", key)
    return _stored(found) if found else None


def results_since(store: Store, task: str, changed: int) -> list[Stored]:
    """Finished points of a task that are newer than ``changed``, in the order of their change."""
    return list(results_after(store, task, changed))


def results_after(store: Store, task: str, changed: int) -> Iterator[Stored]:
    """As :func:`results_since`, a few hundred at a time: of 20,000 results only the texts of these are in memory."""
    newer = "SELECT key FROM results WHERE changed > ? AND task = ? ORDER BY changed"
    keys = [r["key"] for r in store.rows(newer, changed, task)]
    for start in range(0, len(keys), BATCH):
        some = keys[start : start + BATCH]
        marks = ",".join("?" * len(some))
        yield from map(_stored, store.rows(f"SELECT * FROM results WHERE key IN ({marks}) ORDER BY changed", *some))


def readings(store: Store, task: str) -> dict[str, dict[str, Any]]:
    """Latencies of shipped artifacts measured again on this machine, by key, with ``created``."""
    found = store.rows("SELECT key, body, created FROM readings WHERE task = ? AND key NOT GLOB '*@*'", task)
    return {r["key"]: {**json.loads(r["body"]), "created": r["created"]} for r in found}


def elsewhere(store: Store, task: str) -> dict[str, list[dict[str, Any]]]:
    """Latencies that were imported from other machines, by the key of their result."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in store.rows("SELECT key, body FROM readings WHERE task = ? AND key GLOB '*@*' ORDER BY key", task):
        found.setdefault(row["key"].partition("@")[0], []).append(json.loads(row["body"]))
    return found


def last_change(store: Store) -> int:
    """A number that rises with every change of results, readings or removals."""
    found = store.row(f"SELECT {LAST_CHANGE} AS n")
    return int(found["n"]) if found else 0


def removed_since(store: Store, task: str, changed: int) -> list[str]:
    """Keys of a task whose results were deleted after the change ``changed`` and are not back."""
    return [r["key"] for r in store.rows("SELECT key FROM removed WHERE changed > ? AND task = ?", changed, task)]


def predictions(store: Store, key: str) -> tuple[tuple[int, ...], bytes] | None:
    """Shape and compressed float16 values of a point's predictions on validation."""
    found = store.row("SELECT shape, data FROM predictions WHERE key = ?", key)
    return (tuple(json.loads(found["shape"])), found["data"]) if found else None


def keys_starting(store: Store, prefix: str) -> list[str]:
    """Keys of trials and points that start with ``prefix``, at most 20."""
    low, high = prefix, prefix + "\U0010ffff"
    both = """SELECT key FROM results WHERE key >= ? AND key < ? UNION
        SELECT id FROM work WHERE kind = 'trial' AND id >= ? AND id < ? LIMIT 20"""
    return [r["key"] for r in store.rows(both, low, high, low, high)]


def grid_counts(store: Store, dense_key: str) -> tuple[int, int]:
    """How many grid points of a dense student are measured in full, and how many on the preview's images only."""
    sql = "SELECT count(*) AS n, coalesce(sum(preview), 0) AS p FROM results WHERE dense_key = ? AND origin = 'grid'"
    found = store.row(sql, dense_key)
    return (found["n"] - found["p"], found["p"]) if found else (0, 0)


def _stored(row: Any) -> Stored:
    return Stored(
        row["key"], orjson.loads(row["body"]), row["dense_key"], bool(row["preview"]), row["created"], row["changed"]
    )
