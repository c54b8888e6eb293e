"""One home as the api sees it: its store's connection, its rows (read once, then only what is new)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import api_rows, store_read
from engine.api_rows import Row
from engine.home import Home
from engine.store import Store

_lock = threading.RLock()
_stores: dict[Path, tuple[int, Store]] = {}
_tables: dict[tuple[Path, int, str], Table] = {}


class Table:
    """The finished points of one task as rows by key; :meth:`refresh` reads only what changed since the last time."""

    def __init__(self, store: Store, task: str) -> None:
        self._store, self._task = store, task
        self._seen = self._stamp = -1
        self._measured: dict[str, Row] = {}
        self._all: list[Row] = []

    def refresh(self) -> list[Row]:
        """All rows, shipped ones first; shared between callers, who must not change them."""
        latest = store_read.last_change(self._store)
        stamp = api_rows.SHIPPED.stat().st_mtime_ns if api_rows.SHIPPED.exists() else 0
        if (latest, stamp) != (self._seen, self._stamp):
            for found in store_read.results_since(self._store, self._task, self._seen):
                row = api_rows.row_of(found.body, found.dense_key, found.created)
                self._measured[found.key] = row
            shipped = [
                self._timed_again(r) for r in api_rows.shipped_rows(self._task) if r["key"] not in self._measured
            ]
            self._all = [*shipped, *self._measured.values()]
            self._seen, self._stamp = latest, stamp
        return self._all

    def _timed_again(self, row: Row) -> Row:
        found: Mapping[str, Any] | None = store_read.readings(self._store, self._task).get(row["key"])
        if found is None:
            return row
        again = api_rows.latency_fields(found.get("latency"), found.get("latency_batch32"))
        return row | again | {"machine": found.get("machine", "this machine"), "created": found["created"]}


def store_of(home: Home) -> Store:
    """The process's one connection to a home's store; made anew when the file was replaced."""
    with _lock:
        number = home.store.stat().st_ino if home.store.exists() else 0
        known = _stores.get(home.root)
        if known and known[0] == number:
            return known[1]
        if known:
            known[1].close()
        home.root.mkdir(parents=True, exist_ok=True)
        store = Store(home.store)
        _stores[home.root] = (home.store.stat().st_ino, store)
        return store


def table_of(home: Home, task: str) -> list[Row]:
    """The rows of one task in this home."""
    with _lock:
        store = store_of(home)
        name = (home.root, id(store), task)
        if name not in _tables:
            _tables[name] = Table(store, task)
        return _tables[name].refresh()
