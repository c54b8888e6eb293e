"""The fair queue: who is served next, where a newcomer enters, who may ask for how much. No torch.

Every person has a ``turn``; the lowest one among those with claimable work is served next and goes on to the next whole
number. Whole turns have been served; somebody who comes (with nothing open) enters half a turn ahead of the lowest
who was served, so everybody's first work starts before anybody's second, in the order in which they came. A lead from
earlier days is forgotten: nobody enters behind the lowest turn.
"""

from __future__ import annotations

import heapq
import math
import sqlite3
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from engine.errors import InputError
from engine.store_schema import Database

OPEN = "w.state IN ('queued', 'running')"
# wanted, queued, what it builds on is done, and nobody is training its first prefix for the first time
CLAIMABLE = """work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL
WHERE w.state = 'queued'
    AND (w.after IS NULL OR EXISTS (SELECT 1 FROM results p WHERE p.key = w.after AND p.preview = 0))
    AND (w.prefix = '' OR w.prefix NOT IN (
        SELECT t.prefix FROM work t WHERE t.state = 'running' AND t.prefix != ''
        AND NOT EXISTS (SELECT 1 FROM work d WHERE d.prefix = t.prefix AND d.state = 'done')))"""
# work wanted by several serves the one with the lowest turn
NEXT = f"""SELECT w.*, r.who AS served FROM {CLAIMABLE.replace("WHERE", "LEFT JOIN people s ON s.who = r.who WHERE", 1)}
ORDER BY coalesce(s.turn, 0), r.priority, r.created, w.rowid LIMIT 1"""
WANTED = f"SELECT DISTINCT r.who FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL WHERE {OPEN}"

Item: TypeAlias = tuple[int, float, int, str]  # priority, created, row of the work, its id


def enter(db: sqlite3.Connection, who: str, now: float) -> None:
    """Note that ``who`` asks for something; somebody with nothing open gets a turn among those who wait."""
    db.execute(
        "INSERT INTO people (who, created, seen) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seen = excluded.seen",
        (who, now, now),
    )
    busy = {name for (name,) in db.execute(WANTED)}
    if who in busy:
        return
    own = float(db.execute("SELECT turn FROM people WHERE who = ?", (who,)).fetchone()[0])
    db.execute("UPDATE people SET turn = ? WHERE who = ?", (entry(own, _lowest(db, busy)), who))


def entry(own: float, lowest: float | None) -> float:
    """The turn with which somebody enters whose last one was ``own``; ``lowest`` of those who wait, None without any.

    A half is a turn that waits for its first work; both arguments are at least 0.
    """
    if lowest is None:
        return math.floor(own) + 0.5
    return min(max(own, math.ceil(lowest) - 0.5), lowest)


def serve(db: sqlite3.Connection, who: str) -> None:
    """``who`` was served: on to the next whole turn."""
    db.execute("UPDATE people SET turn = CAST(turn AS INTEGER) + 1 WHERE who = ?", (who,))


def open_trials(db: sqlite3.Connection, who: str) -> int:
    """How many trials somebody has queued or running: own runs and those of sweeps, not what a run brings with it."""
    counted = f"""SELECT count(DISTINCT w.id) FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL
        WHERE {OPEN} AND r.who = ? AND w.kind = 'trial' AND (r.parent = r.id OR r.parent LIKE 'sweep:%')"""
    return int(db.execute(counted, (who,)).fetchone()[0])


def check_cap(before: int, after: int, cap: int | None) -> None:
    """Refuse a submit that takes somebody's open trials above the cap. Raises :class:`InputError`."""
    if cap is not None and after > max(before, cap):
        allowed = f"at most {cap} queued or running for one person; wait until some have ended, or cancel some"
        raise InputError("your open trials", after, allowed)


def _lowest(db: sqlite3.Connection, busy: Iterable[str]) -> float | None:
    """The lowest turn of those with claimable work; where nobody has any, of those with any open work."""
    found = {name for (name,) in db.execute(f"SELECT DISTINCT r.who FROM {CLAIMABLE}")} or set(busy)
    turns = dict(db.execute("SELECT who, turn FROM people").fetchall())
    return min((float(turns.get(name, 0.0)) for name in found), default=None)


@dataclass
class _Queue:
    """The queue as plain values: what each person waits for (a heap), and what waits for other work to be done."""

    turns: dict[str, float]
    heaps: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list))
    gated: dict[str, list[tuple[str, Item]]] = field(default_factory=lambda: defaultdict(list))
    taken: set[str] = field(default_factory=set)

    def head(self, who: str) -> tuple[float, Item, str] | None:
        """What ``who`` would be served with next, in the form in which people compare."""
        heap = self.heaps[who]
        while heap and heap[0][3] in self.taken:
            heapq.heappop(heap)
        return (self.turns.get(who, 0.0), heap[0], who) if heap else None


def order(store: Database) -> list[str]:
    """Queued work in the order in which it will start, as far as today's wishes tell.

    What builds on a trial counts from that trial's own place; work that shares its first training with a running one
    keeps its place here, though it waits until that training is done.
    """
    queue = _read(store)
    people = [head for who in list(queue.heaps) if (head := queue.head(who))]
    heapq.heapify(people)
    found: list[str] = []
    while people:
        said = heapq.heappop(people)
        who = said[2]
        if said != (now := queue.head(who)):  # somebody else was served with it, or something older came free
            if now:
                heapq.heappush(people, now)
            continue
        name = said[1][3]
        found.append(name)
        queue.taken.add(name)
        queue.turns[who] = math.floor(said[0]) + 1
        freed = queue.gated.pop(name, [])
        for other, item in freed:
            heapq.heappush(queue.heaps[other], item)
        people_again = {who, *(other for other, _ in freed)}
        for head in filter(None, map(queue.head, people_again)):
            heapq.heappush(people, head)
    return found


def _read(store: Database) -> _Queue:
    rows = store.rows(
        "SELECT w.id, w.rowid AS n, w.after, r.who, min(r.priority) AS priority, min(r.created) AS created, "
        "EXISTS (SELECT 1 FROM work a WHERE a.id = w.after AND a.state = 'queued') AS waits "
        "FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL WHERE w.state = 'queued' "
        "GROUP BY w.id, r.who"
    )
    queue = _Queue({r["who"]: float(r["turn"]) for r in store.rows("SELECT who, turn FROM people")})
    for row in rows:
        item = (row["priority"], row["created"], row["n"], row["id"])
        if row["waits"]:
            queue.gated[row["after"]].append((row["who"], item))
        else:
            heapq.heappush(queue.heaps[row["who"]], item)
    return queue


_lock = threading.Lock()
_known: weakref.WeakKeyDictionary[Database, tuple[tuple[int, int], dict[str, int]]] = weakref.WeakKeyDictionary()


def places(store: Database) -> dict[str, int]:
    """How many works start before each queued one; computed once for each state of the store, do not alter it."""
    stamp = store.stamp()
    with _lock:
        known = _known.get(store)
    if known is None or known[0] != stamp:
        known = (stamp, {name: place for place, name in enumerate(order(store))})
        with _lock:
            _known[store] = known
    return known[1]
