"""What a home takes up, and taking away what nothing needs: orphaned artifacts, old caches, what killed exports left.

Safe while a runner works: an artifact folder is judged and moved aside inside one transaction of the store, in which
nobody can ask for its trial; a cache entry that vanishes is made again; nothing of queued or running work is touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import files, store_read
from engine.errors import StillhouseError
from engine.execution import presence
from engine.home import Home
from engine.recipe import Recipe
from engine.store import Store, Work

DAYS = 30.0  # a cache entry that nothing has used for so long is worth less than its bytes
DAY_SECONDS = 86_400.0
LEFT_SECONDS = 3600.0  # younger drafts and artifacts may belong to a process that is still writing
BATCH = 100  # artifact folders judged in one transaction, so that nobody waits long for the store
COMPACT_SHARE, COMPACT_BYTES = 0.2, 10_000_000  # of the store's file: less is not worth rewriting all of it
TEMPORARY = ("export-", "import-")  # folders that an export or an import makes in the home while it lasts
CACHES_OF_WORK = ("prefix", "teacher")
OF_POINTS = ("inspect", "runtimes")  # what was looked into: by the key of the point, as the kinds of work are named


@dataclass(frozen=True)
class Piece:
    """Something that can go: its path, its kind (artifact, cache name, leftover) and its bytes."""

    path: Path
    kind: str
    bytes: int


def sizes(home: Home) -> dict[str, Any]:
    """Bytes on the disk: ``{"store", "artifacts": {"bytes", "count"}, "caches": {kind: {...}}, "other", "total"}``.

    ``store`` counts its journal too; links are not followed.
    """
    store = sum(_bytes(path) for path in home.root.glob(home.store.name + "*"))
    artifacts = _group(home.root / "artifacts")
    caches = {folder.name: _group(folder) for folder in _folders(home.root / "cache")}
    total = _bytes(home.root)
    other = max(0, total - store - artifacts["bytes"] - sum(c["bytes"] for c in caches.values()))
    return {"store": store, "artifacts": artifacts, "caches": caches, "other": other, "total": total}


def collect(home: Home, older_than: float = DAYS, dry_run: bool = False) -> dict[str, Any]:
    """Remove what nothing needs; ``older_than`` days without use make a cache entry old.

    ``{"removed": {kind: {"count", "bytes"}}, "bytes", "compacted": bytes given back by the store, "dry_run"}``. With
    ``dry_run`` the same is counted and nothing is touched.
    """
    store = Store(home.store)
    try:
        now = time.time()
        gone = list(_orphans(home, store, now - LEFT_SECONDS, dry_run))
        unneeded = [*_old_caches(home, store, now - older_than * DAY_SECONDS), *_leftovers(home, now - LEFT_SECONDS)]
        gone += [piece for piece in unneeded if dry_run or _remove(piece.path)]
        compacted = _compact(home, store, dry_run)
    finally:
        store.close()
    return {"removed": _summary(gone), "bytes": sum(p.bytes for p in gone), "compacted": compacted, "dry_run": dry_run}


def _orphans(home: Home, store: Store, before: float, dry_run: bool) -> Iterator[Piece]:
    """Artifact folders without a result that nothing queued or running will write."""
    folders = [f for f in _folders(home.root / "artifacts") if not f.name.startswith(".") and _changed(f) < before]
    for start in range(0, len(folders), BATCH):
        batch = folders[start : start + BATCH]
        with store.change() as db:  # nobody can ask for a trial before this transaction ends
            marks = ",".join("?" * len(batch))
            names = [f.name for f in batch]
            kept = {r[0] for r in db.execute(f"SELECT key FROM results WHERE key IN ({marks})", names)}
            live = f"SELECT id FROM work WHERE state IN ('queued', 'running') AND id IN ({marks})"
            kept |= {r[0] for r in db.execute(live, names)}
            found = [Piece(f, "artifacts", _bytes(f)) for f in batch if f.name not in kept and _changed(f) < before]
            aside = [] if dry_run else [_aside(piece.path) for piece in found]
        for path in aside:
            shutil.rmtree(path, ignore_errors=True)
        yield from found


def _old_caches(home: Home, store: Store, before: float) -> Iterator[Piece]:
    """Cache files that nothing has read or written since ``before``; those of unfinished work never."""
    busy = store_read.unfinished(store)
    needed = _prefixes(busy)
    used = _last_use(store)
    results = {r[0] for r in store.rows("SELECT key FROM results")}
    for folder in _folders(home.root / "cache"):
        for path in _files(folder):
            key = path.name.partition(".")[0]
            if path.suffix == ".lock" or path.name.startswith("."):
                continue
            if folder.name in CACHES_OF_WORK and busy and (needed is None or folder.name == "teacher" or key in needed):
                continue
            orphan = folder.name in OF_POINTS and key not in results and not _looked_into(busy, key)
            last = max(_touched(path), used.get(key, 0.0))
            if last < before or (orphan and last < time.time() - LEFT_SECONDS):
                yield Piece(path, f"cache/{folder.name}", _bytes(path))


def _leftovers(home: Home, before: float) -> Iterator[Piece]:
    """Drafts that a killed process left, and the temporary homes of exports and imports that nobody works in."""
    for folder in (home.root / "artifacts", *_folders(home.root / "cache")):
        for path in folder.glob(".*.*"):
            if _changed(path) < before:
                yield Piece(path, "leftovers", _bytes(path))
    for path in _folders(home.root):
        if path.name.startswith(TEMPORARY) and _changed(path) < before and not _inhabited(path):
            yield Piece(path, "leftovers", _bytes(path))


def _compact(home: Home, store: Store, dry_run: bool) -> int:
    """Give back the store's empty pages where they are many and no runner works; the bytes given back."""
    sizes = [int(row[0]) if (row := store.row(f"PRAGMA {name}")) else 0 for name in ("freelist_count", "page_count")]
    page = store.row("PRAGMA page_size")
    free = sizes[0] * (int(page[0]) if page else 0)
    if free < COMPACT_BYTES or sizes[0] < COMPACT_SHARE * sizes[1]:
        return 0
    if not dry_run:
        # rewriting the file would keep a worker's report waiting, and needs room for a second one
        if presence.runner_lives(home) or shutil.disk_usage(home.root).free < 2 * home.store.stat().st_size:
            return 0
        store.rows("VACUUM")
        store.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    return free


def _prefixes(busy: Iterable[Work]) -> set[str] | None:
    """Keys of every trained prefix that unfinished work may resume; None where a recipe cannot be read."""
    found: set[str] = set()
    for work in busy:
        body = work.body.get("dense") or work.body.get("recipe") or (work.body if "phases" in work.body else None)
        if body is None:
            continue
        try:
            recipe = Recipe.from_json(body)
            found |= {r.prefix(n).key for r in (recipe, recipe.dense()) for n in range(1, len(r.phases) + 1)}
            found |= _prefixes_of_teachers(recipe)
        except StillhouseError:  # a plug-in that is not installed here
            return None
    return found


def _prefixes_of_teachers(recipe: Recipe) -> set[str]:
    taught = [t for phase in recipe.phases for t in phase.teachers if isinstance(t, Recipe)]
    own = {t.prefix(n).key for t in taught for n in range(1, len(t.phases) + 1)}
    return own.union(*(_prefixes_of_teachers(t) for t in taught))


def _last_use(store: Store) -> dict[str, float]:
    """When work on each prefix last started (seconds since 1970), by the prefix's key."""
    found: dict[str, float] = {}
    for column in ("dense_key", "prefix", "id"):
        sql = f"SELECT w.{column}, max(a.started) FROM work w JOIN attempts a ON a.id = w.id GROUP BY w.{column}"
        for key, started in store.rows(sql):
            found[key] = max(found.get(key, 0.0), started)
    return found


def _looked_into(busy: Iterable[Work], key: str) -> bool:
    return any(work.id == f"{kind}:{key}" for work in busy for kind in OF_POINTS)


def _inhabited(folder: Path) -> bool:
    """Whether a runner or an app lives in a temporary home."""
    return (folder / "locks").is_dir() and (presence.runner_lives(Home(folder)) or presence.app_is_open(Home(folder)))


def _aside(path: Path) -> Path:
    """Rename a folder to a draft's name, which the next start of the runner removes if this process is killed."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    os.replace(path, aside)  # over an empty folder
    return aside


def _remove(path: Path) -> bool:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError), files.disk_errors(path):
            path.unlink()
    return not path.exists()


def _summary(pieces: Iterable[Piece]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for piece in pieces:
        entry = found.setdefault(piece.kind, {"count": 0, "bytes": 0})
        entry["count"] += 1
        entry["bytes"] += piece.bytes
    return found


def _group(folder: Path) -> dict[str, int]:
    inside = _entries(folder)
    return {"bytes": sum(_bytes(Path(entry.path)) for entry in inside), "count": len(inside)}


def _bytes(path: Path) -> int:
    """Bytes of a file, or of everything in a folder; what vanishes meanwhile counts as nothing."""
    try:
        own = path.lstat()
    except OSError:
        return 0
    if not path.is_dir() or path.is_symlink():
        return own.st_size
    return sum(_bytes(Path(e.path)) if e.is_dir(follow_symlinks=False) else _size(e) for e in _entries(path))


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _folders(folder: Path) -> list[Path]:
    return sorted(Path(e.path) for e in _entries(folder) if e.is_dir(follow_symlinks=False))


def _files(folder: Path) -> list[Path]:
    return sorted(Path(e.path) for e in _entries(folder) if e.is_file(follow_symlinks=False))


def _changed(path: Path) -> float:
    """When something last changed; the far future for what is gone, so that it is not old."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return float("inf")


def _touched(path: Path) -> float:
    try:
        found = path.lstat()
    except OSError:
        return float("inf")
    return max(found.st_mtime, found.st_atime)
