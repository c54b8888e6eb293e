"""All measured points of a task as columns of numbers, read once a change and shared by everybody who looks.

A :class:`Table` holds every row, a :class:`View` the ones that somebody asked for. Times belong to the machine that
took them: a view of one machine has no times of another.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from engine import api, api_home, api_rows, store_read
from engine.home import Home
from engine.measure import machine as machines_here
from engine.search import replicates

Row: TypeAlias = Mapping[str, Any]
Numbers: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]
COSTS = ("packed_bytes", "onnx_bytes", "latency_ms", "latency32_ms", "macs")
TIMES = ("latency_ms", "latency32_ms")
# the qualities that a chart may show, with the direction in which they are better; the first is the task's own
QUALITIES = {"quality": "", "macro_f1": "maximize", "agreement": "maximize", "cross_entropy": "minimize",
             "calibration_error": "minimize"}  # fmt: skip
ANY = "any"

_lock = threading.Lock()
_tables: dict[tuple[Path, str], Table] = {}


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of one task; ``columns`` maps each of COSTS and QUALITIES to an array [N], NaN where nothing was measured.

    ``version`` changes whenever a row does. ``origin`` and ``machine`` are arrays [N] of words. ``full`` rows may stand
    on a front: no previews, and where a recipe ran with several seeds only the row of their mean. ``elsewhere`` holds,
    by a machine's id and a row's position, the row as that machine timed it (``stillhouse import`` of a bench's JSON).
    """

    task: str
    version: Hashable
    rows: Sequence[Row]
    columns: Mapping[str, Numbers] = field(repr=False)
    origin: npt.NDArray[np.str_] = field(repr=False)
    machine: npt.NDArray[np.str_] = field(repr=False)
    full: Mask = field(repr=False)
    machines: tuple[dict[str, Any], ...] = ()
    elsewhere: Mapping[str, Mapping[int, Row]] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def position(self) -> dict[str, int]:
        """Where each key's row stands."""
        return {str(row["key"]): i for i, row in enumerate(self.rows)}


@dataclass(frozen=True, eq=False)
class View:
    """Chosen rows of a table: ``index`` [M] are their positions in it, ``columns`` their numbers.

    Times are those of ``machine`` and NaN elsewhere; ``foreign`` points were timed on another. ``stamp`` is equal
    exactly for equal views.
    """

    table: Table
    index: npt.NDArray[np.intp]
    columns: Mapping[str, Numbers]
    full: Mask
    machine: str
    foreign: int
    stamp: Hashable

    @functools.cached_property
    def rows(self) -> list[Row]:
        """The rows themselves; a foreign one still says its times."""
        return [self.row(i) for i in range(len(self.index))]

    def row(self, number: int) -> Row:
        """One of them, as the chosen machine timed it if it did."""
        place = int(self.index[number])
        return self.table.elsewhere.get(self.machine, {}).get(place) or self.table.rows[place]

    def numbers(self, name: str) -> Numbers:
        """One column without what was measured on a part of the images only."""
        return np.where(self.full, self.columns[name], np.nan)


def table(home: Home, task: str) -> Table:
    """All points of a task; made anew only when one of them changed. Raises :class:`InputError` for an unknown task."""
    version = (str(home.root), task, *_version(home))
    with _lock:
        known = _tables.get((home.root, task))
        if known is None or known.version != version:
            imported = store_read.elsewhere(api_home.store_of(home), task)
            known = _tables[home.root, task] = table_of(api.rows(home, task), task, version, imported)
        return known


def table_of(rows: Iterable[Row], task: str = "", version: Hashable = None,
             imported: Mapping[str, Sequence[Row]] | None = None) -> Table:  # fmt: skip
    """A table of given rows; those that are not done are left out, means over seeds are added (see ``full``).

    ``imported``: latencies on other machines by key (:func:`engine.store_read.elsewhere`).
    """
    kept = replicates.together([row for row in rows if row.get("state", "done") == "done"])
    columns = {name: _column(kept, name) for name in (*COSTS, *QUALITIES)}
    named = np.array([machine_of(row) for row in kept], dtype=np.str_)
    origin = np.array([str(row.get("origin")) for row in kept], dtype=np.str_)
    full = np.array([not (row.get("preview") or row.get("replicate")) for row in kept], dtype=bool)
    there = _elsewhere(kept, imported or {})
    timed = [*kept, *(row for rows in there.values() for row in rows.values())]
    return Table(task, version, kept, columns, origin, named, full, tuple(machines(timed)), there)


def _elsewhere(rows: Sequence[Row], imported: Mapping[str, Sequence[Row]]) -> dict[str, dict[int, Row]]:
    found: dict[str, dict[int, Row]] = {}
    for i, row in enumerate(rows if imported else ()):
        for body in imported.get(str(row["key"]), ()):
            times = api_rows.latency_fields(body.get("latency"), body.get("latency_batch32"))
            where = {name: body[name] for name in ("machine", "machine_id")}
            found.setdefault(where["machine_id"], {})[i] = {**row, **times, **where}
    return found


def view(table: Table, machine: str = "", origins: Iterable[str] | None = None, students: Iterable[str] | None = None,
         keys: frozenset[str] | None = None) -> View:  # fmt: skip
    """The rows of some origins, students and keys (None: all). ``machine``: an id, ``any``, or the usual one (empty).

    Nothing but times depends on the machine, so the other rows stay, without their times.
    """
    chosen = machine or usual(table.machines)
    mask = np.ones(len(table.rows), bool)
    if origins is not None:
        mask &= np.isin(table.origin, list(origins))
    if students is not None:
        wanted = set(students)
        mask &= np.fromiter((r.get("student") in wanted for r in table.rows), bool, len(table.rows))
    if keys is not None:
        mask &= np.fromiter((not keys.isdisjoint(r.get("members") or (r["key"],)) for r in table.rows), bool,
                            len(table.rows))  # fmt: skip
    index = np.flatnonzero(mask)
    columns = {name: values[index] for name, values in table.columns.items()}
    away = np.zeros(len(index), bool) if chosen == ANY else table.machine[index] != chosen
    there = table.elsewhere.get(chosen, {})
    for name in TIMES:
        columns[name] = np.where(away, np.nan, columns[name])
        for place in np.flatnonzero(np.isin(index, list(there))):
            columns[name][place] = there[int(index[place])][name]
    away &= ~np.isin(index, list(there))
    stamp = (table.version, chosen, hash(index.tobytes()))
    foreign = int((away & np.isfinite(table.columns[TIMES[0]][index])).sum())
    return View(table, index, columns, table.full[index], chosen, foreign, stamp)


def machines(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The machines that times were taken on, this one first, then by their points: ``{"id", "name", "rows", "here"}``.

    ``here``: this very machine. Machines are told apart by id where there is one: many processors share a name.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = machine_of(row)
        if name and row.get("latency_ms") is not None:
            blank = {"id": name, "name": str(row.get("machine") or name), "rows": 0, "new": 0.0}
            entry = found.setdefault(name, blank)
            entry["rows"] += 1
            created = row.get("created")  # a date in words for shipped results, which are older than any of this home
            entry["new"] = max(entry["new"], created if isinstance(created, (int, float)) else 0.0)
    here = machines_here.facts()["machine_id"]
    rank = sorted(found.values(), key=lambda m: (m["id"] == here, m["new"], m["rows"]), reverse=True)
    return [{"id": m["id"], "name": m["name"], "rows": m["rows"], "here": m["id"] == here} for m in rank]


def usual(found: Sequence[Mapping[str, Any]]) -> str:
    """The machine whose times count unless another is asked for: this one, else where the newest trial ran."""
    return str(found[0]["id"]) if found else ANY


def machine_of(row: Row) -> str:
    """The id of the machine that timed a row, or its name where there is no id."""
    return str(row.get("machine_id") or row.get("machine") or "")


def busy(home: Home) -> bool:
    """Whether anything is queued or running, so that a new point may come."""
    return store_read.busy(api_home.store_of(home))


def _column(rows: Sequence[Row], name: str) -> Numbers:
    return np.array([row.get(name) for row in rows], dtype=np.float64)


def _version(home: Home) -> tuple[Any, ...]:
    changed = store_read.last_change(api_home.store_of(home))
    return changed, api_rows.SHIPPED.stat().st_mtime_ns if api_rows.SHIPPED.exists() else 0
