"""One home as the api sees it: its store's connection, its rows (read once, then only what is new)."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import api_rows, store_read
from engine.api_rows import Row
from engine.home import Home
from engine.store import Store

_lock = threading.RLock()
_homes: dict[Path, _Opened] = {}


class Table:
    """The finished points of one task as rows by key; :meth:`refresh` reads only what changed since the last time."""

    def __init__(self, store: Store, task: str) -> None:
        self._store, self._task = store, task
        self._seen = self._stamp = -1
        self._measured: dict[str, Row] = {}
        self._all: list[Row] = []
        self._chosen: dict[tuple[str, ...], list[Row]] = {}
        self._words: dict[str, str] = {}  # each word once: of 20,000 rows most repeat the same few

    def refresh(self) -> list[Row]:
        """All rows, shipped ones first; shared between callers, who must not change them."""
        latest = store_read.last_change(self._store)
        stamp = api_rows.SHIPPED.stat().st_mtime_ns if api_rows.SHIPPED.exists() else 0
        if (latest, stamp) != (self._seen, self._stamp):
            for key in store_read.removed_since(self._store, self._task, self._seen):
                self._measured.pop(key, None)
            for found in store_read.results_after(self._store, self._task, self._seen):
                row = api_rows.row_of(found.body, found.dense_key, found.created)
                self._measured[found.key] = self._shared(row)
            again = store_read.readings(self._store, self._task)
            shipped = (r for r in api_rows.shipped_rows(self._task) if r["key"] not in self._measured)
            self._all = [*(_timed_again(r, again.get(r["key"])) for r in shipped), *self._measured.values()]
            self._seen, self._stamp = latest, stamp
            self._chosen.clear()
        return self._all

    def chosen(self, origins: tuple[str, ...]) -> list[Row]:
        """The rows of some origins; the list, too, is shared until something changes."""
        every = self.refresh()
        if origins not in self._chosen:
            self._chosen[origins] = [r for r in every if r["origin"] in origins]
        return self._chosen[origins]

    def _shared(self, row: Row) -> Row:
        share = self._words.setdefault
        return {name: share(value, value) if type(value) is str else value for name, value in row.items()}


@dataclass
class _Opened:
    """A home's store as it was opened: the number of its file, and its tables by task."""

    number: int
    store: Store
    tables: dict[str, Table] = field(default_factory=dict)


def store_of(home: Home) -> Store:
    """The process's one connection to a home's store; made anew when the file was replaced."""
    return _opened(home).store


def table_of(home: Home, task: str) -> list[Row]:
    """The rows of one task in this home."""
    with _lock:
        return _table(home, task).refresh()


def rows_of(home: Home, task: str, origins: tuple[str, ...]) -> list[Row]:
    """The rows of some origins of one task; a list of the caller's own, of rows that all share."""
    with _lock:
        return list(_table(home, task).chosen(origins))


def _table(home: Home, task: str) -> Table:
    opened = _opened(home)
    if task not in opened.tables:
        opened.tables[task] = Table(opened.store, task)
    return opened.tables[task]


def _opened(home: Home) -> _Opened:
    with _lock:
        known = _homes.get(home.root)
        if known is None or known.number != _number(home):
            # a store that is replaced is left to those who still read it
            home.root.mkdir(parents=True, exist_ok=True)
            store = Store(home.store)
            known = _homes[home.root] = _Opened(_number(home), store)
        return known


def _number(home: Home) -> int:
    """What tells a store's file from another one in its place; 0 where there is none."""
    try:
        return os.stat(f"{home.root}/{home.store.name}").st_ino
    except FileNotFoundError:
        return 0


def _timed_again(row: Row, found: Mapping[str, Any] | None) -> Row:
    if found is None:
        return row
    fields = api_rows.latency_fields(found.get("latency"), found.get("latency_batch32"))
    where = {"machine": found.get("machine", "this machine"), "machine_id": found.get("machine_id")}
    return row | fields | where | {"created": found["created"]}
