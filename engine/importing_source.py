"""Where foreign results come from: a home's folder, a backup, a bare store; opened as a copy, told apart by content."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.backup import FORMAT, MANIFEST, STORE, read_only, snapshot
from engine.errors import FileError, NotFoundError, StoreError
from engine.store import Store
from engine.store_schema import APPLICATION_ID, VERSION

Artifacts = Callable[[str, str, int], bytes | None]  # key, file name, its bytes -> its content
SQLITE, ZIP = b"SQLite format 3\0", b"PK\x03\x04"
SPARE_BYTES = 100_000_000  # stay free on the disk while a backup is unpacked
CHUNK = 1 << 20
MOST_MANIFEST = 1_000_000
ODD = "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index') OR sql LIKE 'create virtual%'"
NEITHER = "no home, no backup of `stillhouse backup`, no store, no JSON of `stillhouse bench`; nothing was imported"


@dataclass(frozen=True)
class Opened:
    """A copy of the foreign store, in today's schema, and how to read its artifacts."""

    store: Path
    artifacts: Artifacts


def open_source(source: Path, folder: Path) -> Opened:
    """A copy of what ``source`` holds, in ``folder``; what it is, its first bytes say and not its name."""
    source = source.expanduser().absolute()
    copy = folder / STORE
    if source.is_dir():
        if not (source / STORE).is_file():
            raise FileError(f"{source}: {NEITHER}")
        opened = Opened(copy, _from_folder(source / "artifacts"))
        _copy_store(source / STORE, copy, source)
        return opened
    head = _head(source)
    if head.startswith(ZIP):
        return _open_backup(source, copy)
    if head.startswith(SQLITE):
        _copy_store(source, copy, source)
        return Opened(copy, _from_folder(source.parent / "artifacts"))
    raise FileError(f"{source}: {NEITHER}")


def is_text(source: Path) -> bool:
    """Whether it may be what ``bench.py --json`` writes: a file that begins as a JSON object does."""
    source = source.expanduser()
    return not source.is_dir() and _head(source).lstrip().startswith(b"{")


def restore(theirs: Store, ours: Store, now: float) -> dict[str, int]:
    """Sweeps, notes, stars, names and what a class predicted, as they are; how many of the first four.

    A sweep that ran is paused until it is resumed.
    """
    found = {}
    for table in ("people", "marks", "sweeps", "sweep_trials", "class_predictions", "moments", "shown"):
        names = ",".join(
            row["name"] for row in ours.rows(f"PRAGMA table_info({table})")
        )  # ours: theirs may be anything
        rows = theirs.rows(f"SELECT {names} FROM {table}")
        with ours.change() as db:
            for row in rows:
                db.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({','.join('?' * len(row))})", tuple(row))
        found[table] = len(rows)
    with ours.change() as db:
        db.execute("UPDATE sweeps SET state = 'paused', reason = 'restored from a backup', resumed = NULL "
                   "WHERE state = 'running'")  # fmt: skip
    return {"people": found["people"], "marks": found["marks"], "sweeps": found["sweeps"]}


def _head(source: Path) -> bytes:
    try:
        with source.open("rb") as file:
            return file.read(16)
    except FileNotFoundError:
        raise NotFoundError(f"{source}: there is no such file or folder") from None
    except OSError as problem:
        raise FileError(f"{source}: it cannot be read ({problem.strerror})") from None


def _copy_store(store: Path, copy: Path, source: Path) -> None:
    _check_store(store, source)
    snapshot(store, copy)


def _check_store(store: Path, source: Path) -> None:
    """Refuse a foreign or newer file, and one with triggers or views, which could act when it is opened."""
    try:
        with contextlib.closing(sqlite3.connect(read_only(store), uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            mark = connection.execute("PRAGMA application_id").fetchone()[0]
            odd = connection.execute(ODD).fetchone()
    except sqlite3.Error as problem:
        raise FileError(f"{source}: its store cannot be read ({problem}); nothing was imported") from None
    if mark != APPLICATION_ID or version < 1 or odd[0]:
        raise FileError(f"{source}: {NEITHER}")
    if version > VERSION:
        raise StoreError(f"{source} was written by a newer Stillhouse (schema {version}, not {VERSION}); update this "
                         "program, then import it again")  # fmt: skip


def _open_backup(source: Path, copy: Path) -> Opened:
    try:
        with zipfile.ZipFile(source) as archive:
            _check_manifest(archive, source)
            _unpack_store(archive, copy, source)
        _check_store(copy, source)
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError) as problem:
        raise FileError(f"{source}: the backup is damaged or not one ({problem}); nothing was imported") from None
    return Opened(copy, _from_backup(source))


def _check_manifest(archive: zipfile.ZipFile, source: Path) -> None:
    info = archive.getinfo(MANIFEST)
    if info.file_size > MOST_MANIFEST:
        raise FileError(f"{source}: {NEITHER}")
    try:
        manifest: dict[str, Any] = json.loads(archive.read(info))
        made, schema = int(manifest["format"]), int(manifest["schema"])
    except (ValueError, KeyError, TypeError):
        raise FileError(f"{source}: {NEITHER}") from None
    if made > FORMAT or schema > VERSION:
        raise StoreError(f"{source} was written by a newer Stillhouse (schema {schema}, not {VERSION}); update this "
                         "program, then import it again")  # fmt: skip


def _unpack_store(archive: zipfile.ZipFile, copy: Path, source: Path) -> None:
    size = archive.getinfo(STORE).file_size
    if size > shutil.disk_usage(copy.parent).free - SPARE_BYTES:
        raise StoreError(f"{source}: its store of {size:,} bytes does not fit on the disk; free some space")
    written = 0
    with archive.open(STORE) as packed, copy.open("wb") as file:
        while chunk := packed.read(CHUNK):
            written += len(chunk)
            if written > size:  # an archive that lies about its content
                raise FileError(f"{source}: the backup is damaged; nothing was imported")
            file.write(chunk)


def _from_folder(folder: Path) -> Artifacts:
    def read(key: str, name: str, size: int) -> bytes | None:
        path = folder / key / name
        try:
            return path.read_bytes() if path.is_file() and path.stat().st_size == size else None
        except OSError:
            return None

    return read


def _from_backup(source: Path) -> Artifacts:
    archive = zipfile.ZipFile(source)

    def read(key: str, name: str, size: int) -> bytes | None:
        try:
            info = archive.getinfo(f"artifacts/{key}/{name}")
            return archive.read(info) if info.file_size == size else None
        except (KeyError, zipfile.BadZipFile, OSError):
            return None

    return read
