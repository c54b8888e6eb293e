"""The store's file: schema version and migration, connection, and SQLite's errors in words that name the remedy."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import StoreError
from engine.store_tables import MIGRATIONS, SCHEMA, VERSION

__all__ = ["APPLICATION_ID", "VERSION", "Database"]

APPLICATION_ID = 0x57111  # marks the file as ours, so that another program's database is never written into
BUSY_SECONDS = 10.0


class Database:
    """One connection to the store, usable from any thread; every change is one short transaction.

    ``max_pages`` limits the file's size (SQLite pages of 4 kB), which is how tests fill the disk.
    """

    def __init__(self, path: Path, max_pages: int | None = None) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._told():
            # autocommit: transactions are opened explicitly by change()
            self._connection = sqlite3.connect(path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
        try:
            with self._told():
                self._prepare(max_pages)
        except StoreError:
            self._connection.close()
            raise

    def check(self) -> None:
        """Read the whole file once and raise :class:`StoreError` when any part of it is damaged."""
        found = self.row("PRAGMA quick_check(1)")
        if found is None or found[0] != "ok":
            raise StoreError(_damaged(self.path, str(found[0]) if found else "no answer"))

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block or nothing. Raises :class:`StoreError` when it cannot be written."""
        with self._lock, self._told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock, self._told():
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        with self._lock, self._told():
            found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def data_version(self) -> int:
        """A number that differs whenever another connection has changed the store (microseconds)."""
        found = self.row("PRAGMA data_version")
        return int(found[0]) if found else 0

    def stamp(self) -> tuple[int, int]:
        """What differs whenever the store has changed, by another connection or by this one (microseconds)."""
        with self._lock:
            return self.data_version(), self._connection.total_changes

    def _prepare(self, max_pages: int | None) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        version, mark, tables = self._marks()
        if mark != APPLICATION_ID and (tables or version):
            raise StoreError(
                f"{self.path} is not a Stillhouse store; choose another home with --home or move the file away"
            )
        if version > VERSION:
            raise StoreError(f"{self.path} was written by a newer Stillhouse (schema {version}, not {VERSION})"
                             "; update this program or choose another home with --home")  # fmt: skip
        self._use_wal()
        # NORMAL: a killed process loses nothing; only a power cut may lose the last commits, never the file
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if max_pages:
            self._connection.execute(f"PRAGMA max_page_count = {int(max_pages)}")
        if version < VERSION:
            self._upgrade()
        self._connection.execute("PRAGMA foreign_keys = ON")

    def _marks(self) -> tuple[int, int, int]:
        # in one transaction: another process may be creating the tables at this moment
        self._connection.execute("BEGIN")
        try:
            tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            return self._pragma("user_version"), self._pragma("application_id"), int(tables)
        finally:
            self._connection.execute("COMMIT")

    def _use_wal(self) -> None:
        # switching the journal does not wait for other connections that open the same new file, so wait here
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as problem:
                if "locked" not in str(problem) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _upgrade(self) -> None:
        """Create the tables, or bring those of an older version up to date; all of it or nothing."""
        self._connection.execute("PRAGMA foreign_keys = OFF")  # a table that others refer to may have to be rebuilt
        try:
            with self.change() as connection:
                version = self._pragma("user_version")
                while version < VERSION:  # else another process has just done it
                    script = MIGRATIONS[version] if version else SCHEMA
                    for statement in script.split(";"):
                        connection.execute(statement)
                    version = version + 1 if version else VERSION
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
        finally:
            self._connection.execute("PRAGMA foreign_keys = ON")

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as problem:
            raise StoreError(_explain(self.path, problem)) from problem


def _explain(path: Path, problem: sqlite3.Error) -> str:
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, str(problem))
    if code == sqlite3.SQLITE_FULL:
        return f"the store {path} cannot grow: the disk is full; free some space, nothing that was finished is lost"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"the store {path} was busy for {BUSY_SECONDS:.0f} s; try again, or close what else has it open"
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR):
        return f"the store {path} cannot be read or written ({problem}); check the disk and the folder's permissions"
    return f"the store {path} cannot be used ({problem})"


def _damaged(path: Path, problem: str) -> str:
    aside = os.fspath(path.with_name(path.name + ".damaged"))
    told = " ".join(problem.split())
    return f"the store {path} is damaged ({told}); move it away (mv '{path}' '{aside}') and start again"
