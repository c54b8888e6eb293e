"""Results of another home, a backup or a bare store brought into this home: checked, merged by key, never overwriting.

A result enters as it is, with the machine that it was measured on. What it says is checked first: its recipe must have
the key that this program computes for it, its numbers must be possible, and its accuracy must be the one that its own
predictions give. Nothing in the source is changed or run.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import importing_bench, importing_check, importing_source, store_rules
from engine.errors import FileError, StillhouseError
from engine.files import atomic_folder
from engine.home import Home
from engine.importing_check import Checked
from engine.store import Store

BATCH = 50  # results in one transaction, so that a running worker's report need not wait
Progress = Callable[[int, int], None]


@dataclass
class Count:
    """What an import did; :meth:`to_json` is what the command line prints."""

    results: int = 0
    replaced: int = 0
    known: int = 0
    previews: int = 0
    artifacts: int = 0
    readings: int = 0
    restored: dict[str, int] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    machines: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """``results`` new ones (of them ``replaced`` previews), ``known`` ones left alone, ``readings`` imported."""
        return {
            "results": self.results, "replaced": self.replaced, "known": self.known, "previews": self.previews,
            "artifacts": self.artifacts, "readings": self.readings, "restored": dict(self.restored),
            "refused": dict(self.refused.most_common()),
            "machines": dict(self.machines.most_common()),
        }  # fmt: skip


def bring(home: Home, source: Path, on_progress: Progress = lambda done, total: None) -> dict[str, Any]:
    """Merge the results of ``source`` (a home's folder, a backup, a store's file, a bench's JSON); see :class:`Count`.

    Into a home without results the sweeps, notes, stars and names come along too, so that a backup can be restored.
    Raises :class:`FileError` for anything that is neither, :class:`StoreError` for a store of a newer program.
    """
    count = Count()
    if importing_source.is_text(Path(source)):
        store = Store(home.store)
        with contextlib.closing(store):
            count.readings, count.machines, count.refused = importing_bench.bring(
                home, store, Path(source), time.time()
            )
        return count.to_json()
    with _workshop(home) as folder:
        opened = importing_source.open_source(Path(source), folder)
        theirs, ours = Store(opened.store), Store(home.store)
        try:
            theirs.check()
            fresh = ours.row("SELECT 1 FROM results LIMIT 1") is None
            _results(home, theirs, ours, opened.artifacts, count, on_progress)
            if fresh:
                count.restored = importing_source.restore(theirs, ours, time.time())
        finally:
            theirs.close()
            ours.close()
    return count.to_json()


@contextlib.contextmanager
def _workshop(home: Home) -> Iterator[Path]:
    """A folder in the home for the copy; :mod:`engine.housekeeping` removes what a killed import leaves."""
    folder = Path(tempfile.mkdtemp(prefix="import-", dir=home.root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _results(
    home: Home, theirs: Store, ours: Store, artifacts: importing_source.Artifacts, count: Count, on_progress: Progress
) -> None:
    keys = [row[0] for row in theirs.rows("SELECT key FROM results ORDER BY created, key")]
    for start in range(0, len(keys), BATCH):
        checked = [c for key in keys[start : start + BATCH] if (c := _checked(theirs, ours, key, count))]
        taken = _merge(ours, checked, count)
        for one in taken:
            count.artifacts += _files(home, one, artifacts)
        on_progress(min(start + BATCH, len(keys)), len(keys))


def _checked(theirs: Store, ours: Store, key: str, count: Count) -> Checked | None:
    """A result that may enter; what is known, provisional or refused is counted."""
    row = theirs.row("SELECT * FROM results WHERE key = ?", key)
    if row is None:
        return None
    if row["preview"]:
        count.previews += 1
        return None
    mine = ours.row("SELECT preview FROM results WHERE key = ?", key)
    if mine is not None and not mine["preview"]:
        count.known += 1
        return None
    predictions = theirs.row("SELECT shape, data FROM predictions WHERE key = ?", key)
    try:
        return importing_check.checked(row, predictions)
    except StillhouseError as problem:
        count.refused[importing_check.reason(problem)] += 1
        return None


def _merge(ours: Store, checked: list[Checked], count: Count) -> list[Checked]:
    """One transaction; the store's own rule decides: a full result replaces a preview and nothing else."""
    taken = []
    with ours.change() as db:
        for one in checked:
            old = db.execute("SELECT preview FROM results WHERE key = ?", (one.key,)).fetchone()
            if old is not None and not old["preview"]:  # it was measured here meanwhile
                count.known += 1
                continue
            store_rules.keep(db, one.dense_key, one.point, one.created)
            count.results += 1
            count.replaced += old is not None
            count.machines[one.machine] += 1
            taken.append(one)
    return taken


def _files(home: Home, one: Checked, artifacts: importing_source.Artifacts) -> bool:
    """Copy a result's files where the source has them all, in the sizes that the result states; whether it did."""
    wanted: Mapping[str, int] = one.files
    if not wanted or home.artifact(one.key).exists():
        return False
    found = {name: artifacts(one.key, name, size) for name, size in wanted.items()}
    if any(content is None or len(content) != wanted[name] for name, content in found.items()):
        return False
    with contextlib.suppress(FileError), atomic_folder(home.artifact(one.key)) as folder:
        for name, content in found.items():
            (folder / name).write_bytes(content or b"")
        return True
    return False
