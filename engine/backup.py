"""A home in one file: a zip archive with the store as it was at one moment, on request with the artifacts.

    stillhouse-backup.json    {"format", "program", "schema", "created", "results", "artifacts"}
    store.sqlite              the whole store: results, predictions, sweeps, notes
    artifacts/<key>/...       the files of each result

Plain files, no pickle: unpacked into an empty folder it is a home. :mod:`engine.importing` reads it back.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from engine.errors import InputError, NotFoundError, StoreError
from engine.files import disk_errors
from engine.home import Home
from engine.store import Store
from engine.store_schema import VERSION

FORMAT = 1
MANIFEST, STORE = "stillhouse-backup.json", "store.sqlite"
LEVEL = 6  # predictions are compressed already; what shrinks are the results' JSON


def backup(home: Home, file: Path, artifacts: bool = False, force: bool = False) -> dict[str, Any]:
    """Write the backup; ``{"file", "bytes", "results", "artifacts"}``. Safe while a runner works.

    Raises :class:`InputError` for a place that cannot be written or, without ``force``, a file that is there already,
    :class:`NotFoundError` for a home without a store and :class:`StoreError` when the disk is full.
    """
    file = Path(file).absolute()
    _check(file, force)
    if not home.store.exists():
        raise NotFoundError(f"{home.root} holds no store yet; there is nothing to back up")
    with disk_errors(file), tempfile.TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent) as folder:
        copy = Path(folder) / STORE
        snapshot(home.store, copy)
        results = _keys(copy)
        draft = Path(folder) / "backup.zip"
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
            archive.write(copy, STORE)
            count = _add_artifacts(archive, home, results) if artifacts else 0
            archive.writestr(MANIFEST, json.dumps(_manifest(len(results), count), indent=1) + "\n")
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(draft, file)
    return {"file": str(file), "bytes": file.stat().st_size, "results": len(results), "artifacts": count}


def snapshot(store: Path, copy: Path) -> None:
    """A whole, compact copy of a store as it is at one moment; others may write meanwhile, the store is not changed."""
    try:
        with contextlib.closing(sqlite3.connect(read_only(store), uri=True)) as connection:
            connection.execute("VACUUM INTO ?", (os.fspath(copy),))
    except sqlite3.Error as problem:
        raise StoreError(
            f"the store {store} cannot be copied ({problem}); look at it with `stillhouse doctor`"
        ) from None


def read_only(store: Path) -> str:
    """The address under which SQLite opens a store without changing it, also on a disk that cannot be written."""
    still = not os.access(store.parent, os.W_OK) and not store.with_name(store.name + "-wal").exists()
    return f"{store.absolute().as_uri()}?" + ("immutable=1" if still else "mode=ro")


def _check(file: Path, force: bool) -> None:
    if file.is_dir() or not file.parent.is_dir():
        raise InputError("backup", str(file), "a file in a folder that exists")
    if file.exists() and not force:
        raise InputError("backup", str(file), "a new file; --force replaces one that is there")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise InputError("backup", str(file), "a file in a folder that can be written")


def _keys(copy: Path) -> list[str]:
    store = Store(copy)
    try:
        return [row[0] for row in store.rows("SELECT key FROM results ORDER BY key")]
    finally:
        store.rows("PRAGMA journal_mode = DELETE")  # one file again, without a journal beside it
        store.close()


def _add_artifacts(archive: zipfile.ZipFile, home: Home, results: list[str]) -> int:
    """The files of these results; a folder that is deleted meanwhile is left out. How many results have files."""
    count = 0
    for key in results:
        added = [_add(archive, path, f"artifacts/{key}/{path.name}") for path in _files(home.artifact(key))]
        count += any(added)
    return count


def _files(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    archive.writestr(name, content)
    return True


def _manifest(results: int, artifacts: int) -> dict[str, Any]:
    try:
        program = metadata.version("stillhouse")
    except metadata.PackageNotFoundError:
        program = "from an uninstalled folder"
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"format": FORMAT, "program": program, "schema": VERSION, "created": made, "results": results,
            "artifacts": artifacts}  # fmt: skip
