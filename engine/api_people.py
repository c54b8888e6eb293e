"""Who asks: names, what each has in the queue, and how long somebody waits. Plain data; see engine.store_queue."""

from __future__ import annotations

import heapq
import os
import statistics
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import api_home, store_class, store_queue, store_read
from engine.errors import InputError
from engine.execution.base import default_slots
from engine.home import Home
from engine.store import Store

CAP, JOIN_CODE = "STILLHOUSE_CAP", "STILLHOUSE_JOIN_CODE"
WORKSHOP_CAP, MAX_CAP = 20, 100_000
NAME_LENGTH = 40
VISIT = "visit"  # its name among what a person was shown
STARTS_SECONDS = 2.0  # for so long expected starts count as new
TIMED = 50  # the newest ended attempts of a kind say how long one takes


def cap(host: bool = False) -> int | None:
    """How many trials one person may have queued or running; None for any number (the host, and who works alone).

    ``STILLHOUSE_CAP``, else 20 where a join code is set. Raises :class:`InputError` for another value.
    """
    given = os.environ.get(CAP, "")
    if given and not (given.isascii() and given.isdigit() and 1 <= int(given) <= MAX_CAP):
        raise InputError(CAP, given, f"a whole number from 1 to {MAX_CAP}")
    chosen = int(given) if given else WORKSHOP_CAP if os.environ.get(JOIN_CODE) else None
    return None if host else chosen


def remember(home: Home, who: str, name: str | None = None) -> dict[str, Any]:
    """Note that ``who`` was here and, unless None, what they are called; their row of :func:`people`.

    Raises :class:`InputError` unless the name has 1 to 40 printable characters. Spaces around it and doubled ones go.
    """
    store = api_home.store_of(home)
    store.remember(who, None if name is None else checked_name(name))
    return next(p for p in people(home) if p["who"] == who)


def checked_name(name: str) -> str:
    """A name as it is kept; raises :class:`InputError`."""
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= NAME_LENGTH or not tidy.isprintable():
        raise InputError("your name", name, f"1 to {NAME_LENGTH} printable characters")
    return tidy


def people(home: Home) -> list[dict[str, Any]]:
    """Everybody who has asked or typed a name: ``who``, ``name`` ("" without one), ``turn``, ``queued``, ``running``.

    The two counts are works of any kind that they want. Sorted by the newest first.
    """
    wanted = (
        "SELECT r.who, w.state, count(DISTINCT w.id) AS n FROM work w JOIN requests r ON r.id = w.id "
        f"AND r.withdrawn IS NULL WHERE {store_queue.OPEN} GROUP BY r.who, w.state"
    )
    store = api_home.store_of(home)
    counts = {(r["who"], r["state"]): r["n"] for r in store.rows(wanted)}
    return [
        {"who": r["who"], "name": r["name"], "turn": int(r["turn"]),
         **{state: counts.get((r["who"], state), 0) for state in ("queued", "running")}}
        for r in store.rows("SELECT who, name, turn FROM people ORDER BY seen DESC, who")
    ]  # fmt: skip


def names(home: Home) -> dict[str, str]:
    """What those who typed a name are called, by ``who``."""
    found = api_home.store_of(home).rows("SELECT who, name FROM people WHERE name != ''")
    return {r["who"]: r["name"] for r in found}


def note_visit(home: Home, who: str) -> None:
    """Remember that ``who`` has been shown around on Explore, or wants to do without it."""
    store_class.show(api_home.store_of(home), who, VISIT)


def has_visited(home: Home, who: str) -> bool:
    """Whether that was noted."""
    return store_class.shown(api_home.store_of(home), who, VISIT)


def crowd(home: Home, who: str) -> dict[str, int]:
    """What the others have in the queue: ``{"people", "works"}``, shared works that ``who`` wants too left out."""
    others = f"""SELECT count(DISTINCT r.who) AS people, count(DISTINCT w.id) AS works
        FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL
        WHERE {store_queue.OPEN} AND r.who != ? AND NOT EXISTS (
            SELECT 1 FROM requests q WHERE q.id = w.id AND q.who = ? AND q.withdrawn IS NULL)"""
    found = api_home.store_of(home).row(others, who, who)
    return {"people": found["people"], "works": found["works"]} if found else {"people": 0, "works": 0}


def wanted_by(home: Home, key: str) -> list[str]:
    """Who asked for a trial, a job or a grid point and has not withdrawn it, in the order in which they asked."""
    return wishes(api_home.store_of(home), key)


def wishes(store: Store, key: str) -> list[str]:
    """As :func:`wanted_by`. A grid point is wanted by those who asked for it or for the grid that it belongs to."""
    asked = """SELECT who, min(created) AS first FROM requests WHERE withdrawn IS NULL AND (id = ? OR id IN (
            SELECT w.id FROM results p JOIN work w ON w.after = p.dense_key AND w.kind = 'grid'
            WHERE p.key = ? AND p.origin = 'grid'))
        GROUP BY who ORDER BY first, who"""
    return [r["who"] for r in store.rows(asked, key, key)]


def waiting(home: Home, key: str, who: str) -> dict[str, Any]:
    """How long ``who``'s wish for ``key`` waits: ``{"place": how many start before it, "seconds": float or None}``.

    The first is the real order of the queue; work that runs has place 0 and 0 seconds. The seconds rest on the median
    of what each kind of work took in this home, shared by all workers; None before any has ended, and for work that
    is neither queued nor running or that ``who`` does not want.
    """
    store = api_home.store_of(home)
    found = store_read.work(store, key)
    asked = who in wishes(store, key)
    if found is None or not asked or found.state not in ("queued", "running"):
        return {"place": 0, "seconds": None}
    if found.state == "running":
        return {"place": 0, "seconds": 0.0}
    return {"place": store_queue.places(store).get(key, 0), "seconds": _starts(store).get(key)}


@dataclass(frozen=True)
class _Starts:
    places: dict[str, int]
    at: float
    seconds: dict[str, float]


_lock = threading.Lock()
_known: weakref.WeakKeyDictionary[Store, _Starts] = weakref.WeakKeyDictionary()


def _starts(store: Store) -> dict[str, float]:
    """In how many seconds each queued work starts; computed once a queue and every two seconds, for everybody."""
    with _lock:
        places, now, known = store_queue.places(store), time.time(), _known.get(store)
        if known is None or known.places is not places or not 0 <= now - known.at < STARTS_SECONDS:
            known = _known[store] = _Starts(places, now, _expected(store, places, now))
        return known.seconds


def _expected(store: Store, places: Mapping[str, int], now: float) -> dict[str, float]:
    """When each work starts, if every worker takes the next one as soon as it is free; up to a kind not timed yet."""
    usual = medians(store)
    begun = store.rows(
        "SELECT w.kind, a.started FROM work w JOIN attempts a ON a.id = w.id AND a.attempt = w.attempt "
        "WHERE w.state = 'running'"
    )
    if not {r["kind"] for r in begun} <= set(usual):
        return {}
    kinds = {r["id"]: r["kind"] for r in store.rows("SELECT id, kind FROM work WHERE state = 'queued'")}
    free = [max(0.0, usual[r["kind"]] - (now - r["started"])) for r in begun]
    free += [0.0] * (default_slots() - len(free))
    heapq.heapify(free)
    found: dict[str, float] = {}
    for name in sorted(places, key=places.__getitem__):
        found[name] = free[0]
        if (kind := kinds.get(name)) not in usual:
            break
        heapq.heapreplace(free, free[0] + usual[str(kind)])
    return found


def medians(store: Store) -> dict[str, float]:
    """The usual seconds of each kind of work: the median of its newest attempts that were done."""
    found: dict[str, list[float]] = {}
    newest = (
        "SELECT w.kind, a.ended - a.started AS seconds FROM attempts a JOIN work w ON w.id = a.id "
        "WHERE a.reason = 'done' ORDER BY a.ended DESC LIMIT 400"
    )
    for row in store.rows(newest):
        found.setdefault(row["kind"], []).append(row["seconds"])
    return {kind: statistics.median(values[:TIMED]) for kind, values in found.items()}
