"""What the table of results needs beyond its rows: who asked for what, which sweep holds what. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from engine import api_home, api_rows, store_read
from engine.home import Home

MINE = """
SELECT r.id AS key FROM requests r WHERE r.who = ? AND r.id NOT LIKE '%:%'
UNION
SELECT p.key FROM requests r JOIN work w ON w.id = r.id AND w.kind = 'grid'
    JOIN results p ON p.dense_key = w.dense_key AND p.origin = 'grid' WHERE r.who = ?
"""
SWEPT = """
SELECT key FROM sweep_trials WHERE sweep = ?
UNION SELECT r.id FROM requests r WHERE r.parent = 'sweep:' || ? AND r.id NOT LIKE '%:%'
UNION
SELECT p.key FROM requests r JOIN work w ON w.id = r.id AND w.kind = 'grid'
    JOIN results p ON p.dense_key = w.dense_key AND p.origin = 'grid' WHERE r.parent = 'sweep:' || ?
"""


def version(home: Home) -> tuple[int, int]:
    """A value that changes whenever the rows of this home do (microseconds)."""
    shipped = api_rows.SHIPPED.stat().st_mtime_ns if api_rows.SHIPPED.exists() else 0
    return store_read.last_change(api_home.store_of(home)), shipped


def mine(home: Home, who: str) -> frozenset[str]:
    """Keys of trials and grid points that ``who`` has asked for, withdrawn ones too."""
    return frozenset(row["key"] for row in api_home.store_of(home).rows(MINE, who, who))


def sweeps(home: Home, task: str) -> dict[str, str]:
    """Names of a task's sweeps by id, newest first; without their status, which costs more."""
    found = api_home.store_of(home).rows("SELECT id, name FROM sweeps WHERE task = ? ORDER BY created DESC", task)
    return {row["id"]: row["name"] for row in found}


def swept(home: Home, names: Iterable[str]) -> frozenset[str]:
    """Keys of the trials, companions and grid points of some sweeps, given by their ids."""
    store = api_home.store_of(home)
    return frozenset(row["key"] for name in names for row in store.rows(SWEPT, name, name, name))
