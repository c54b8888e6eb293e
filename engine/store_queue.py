"""The fair queue: who is served next, where a newcomer enters, who may ask for how much. No torch.

Every person has a ``turn``; the lowest one among those with claimable work is served next and goes on to the next whole
number. Somebody who comes (with nothing open) enters half a turn ahead of the lowest who was served, never behind the
lowest: everybody's first work starts before anybody's second, in the order in which they came, and yesterday's lead is
forgotten. Who waits for other work to end saves up no turns: they move along with those who are served. So all whole
turns (served) lie above all halves (not served yet), and between two services of one person another gets at most three.
"""

from __future__ import annotations

import heapq
import math
import sqlite3
import threading
import weakref
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TypeAlias

from engine.errors import InputError
from engine.store_schema import Database

OPEN = "w.state IN ('queued', 'running')"
# what it builds on is done, and nobody is training its first prefix for the first time
READY = """((w.after IS NULL OR EXISTS (SELECT 1 FROM results p WHERE p.key = w.after AND p.preview = 0))
    AND (w.prefix = '' OR w.prefix NOT IN (
        SELECT t.prefix FROM work t WHERE t.state = 'running' AND t.prefix != ''
        AND NOT EXISTS (SELECT 1 FROM work d WHERE d.prefix = t.prefix AND d.prefix != '' AND d.state = 'done'))))"""
# work wanted by several serves the one with the lowest turn
NEXT = f"""SELECT w.*, r.who AS served FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL
    LEFT JOIN people s ON s.who = r.who
WHERE w.state = 'queued' AND {READY}
ORDER BY coalesce(s.turn, 0), r.priority, r.created, w.rowid LIMIT 1"""
SOON = ":soon"  # the gate of what waits for running work; no work has this id
WANTED = f"SELECT DISTINCT r.who FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL WHERE {OPEN}"

Item: TypeAlias = tuple[int, float, int, str]  # priority, created, row of the work, its id


def enter(db: sqlite3.Connection, who: str, now: float) -> None:
    """Note that ``who`` asks for something; somebody with nothing open gets a turn among those who wait."""
    db.execute(
        "INSERT INTO people (who, created, seen) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET seen = excluded.seen",
        (who, now, now),
    )
    busy = dict(db.execute(f"SELECT who, turn FROM people WHERE who IN ({WANTED})").fetchall())
    if who in busy:
        return
    own = float(db.execute("SELECT turn FROM people WHERE who = ?", (who,)).fetchone()[0])
    turn = entry(own, min(map(float, busy.values()), default=None))
    db.execute("UPDATE people SET turn = ? WHERE who = ?", (turn, who))


def entry(own: float, lowest: float | None) -> float:
    """The turn with which somebody enters whose last one was ``own``; ``lowest`` of those who wait, None without any.

    A half is a turn that waits for its first work; both arguments are at least 0.
    """
    if lowest is None:
        return math.floor(own) + 0.5
    return min(max(own, math.ceil(lowest) - 0.5), lowest)


def serve(db: sqlite3.Connection, who: str, now: float) -> None:
    """``who``, who had the lowest turn, is served; those below, who wait for something else, move up to it."""
    db.execute("INSERT OR IGNORE INTO people (who, created, seen) VALUES (?, ?, ?)", (who, now, now))
    turn = float(db.execute("SELECT turn FROM people WHERE who = ?", (who,)).fetchone()[0])
    moved = f"UPDATE people SET turn = ? - (turn != CAST(turn AS INTEGER)) * 0.5 WHERE turn < ? AND who IN ({WANTED})"
    db.execute(moved, (math.ceil(turn), turn))
    db.execute("UPDATE people SET turn = ? WHERE who = ?", (math.floor(turn) + 1, who))


def open_trials(db: sqlite3.Connection, who: str) -> int:
    """How many trials somebody has queued or running: own runs, sweeps, longer runs, not what a run brings with it."""
    counted = f"""SELECT count(DISTINCT w.id) FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL
        WHERE {OPEN} AND r.who = ? AND w.kind = 'trial'
        AND (r.parent = r.id OR r.parent LIKE 'sweep:%' OR r.parent LIKE 'longer:%')"""
    return int(db.execute(counted, (who,)).fetchone()[0])


def check_cap(before: int, after: int, cap: int | None) -> None:
    """Refuse a submit that takes somebody's open trials above the cap. Raises :class:`InputError`."""
    if cap is not None and after > max(before, cap):
        allowed = f"at most {cap} queued or running for one person; wait until some have ended, or cancel some"
        raise InputError("your open trials", after, allowed)


@dataclass
class _Queue:
    """The queue as plain values: what each person waits for (a heap), and what waits for other work to be done."""

    turns: dict[str, float]
    heaps: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list))
    gated: dict[str, list[tuple[str, Item]]] = field(default_factory=lambda: defaultdict(list))
    people: list[tuple[float, Item, str]] = field(default_factory=list)  # a heap; entries may be out of date
    taken: set[str] = field(default_factory=set)

    def offer(self, who: str) -> None:
        """Enter what ``who`` would be served with next, in the form in which people compare."""
        heap = self.heaps[who]
        while heap and heap[0][3] in self.taken:
            heapq.heappop(heap)
        if heap:
            heapq.heappush(self.people, (self.turns.get(who, 0.0), heap[0], who))

    def free(self, waited_for: str, turn: int) -> None:
        """What ``waited_for`` kept back is there; ``turn`` is the one that is served (see :func:`serve`)."""
        for who, item in self.gated.pop(waited_for, []):
            own = self.turns.get(who, 0.0)
            self.turns[who] = max(own, turn - (own != math.floor(own)) * 0.5)
            heapq.heappush(self.heaps[who], item)
            self.offer(who)

    def serve(self) -> str | None:
        """The next work, None for an entry that is out of date."""
        turn, item, who = heapq.heappop(self.people)
        if item[3] in self.taken or turn != self.turns.get(who, 0.0) or self.heaps[who][0] != item:
            self.offer(who)
            return None
        self.taken.add(item[3])
        self.turns[who] = math.floor(turn) + 1
        self.offer(who)
        self.free(item[3], math.ceil(turn))
        self.free(SOON, math.ceil(turn))
        return item[3]


def order(store: Database) -> list[str]:
    """Queued work in the order in which it will start, as far as today's wishes tell.

    What builds on a trial that is queued too counts from that trial's own place. What waits for running work (a trial
    that it builds on, a training that both share) is not the next one; from then on it counts like any other.
    """
    queue, found = _read(store), []
    for who in list(queue.heaps):
        queue.offer(who)
    while queue.people or queue.gated.get(SOON):
        if not queue.people:
            queue.free(SOON, 0)
        if name := queue.serve():
            found.append(name)
    return found


def _read(store: Database) -> _Queue:
    rows = store.rows(
        "SELECT w.id, w.rowid AS n, r.who, min(r.priority) AS priority, min(r.created) AS created, CASE "
        "WHEN EXISTS (SELECT 1 FROM work a WHERE a.id = w.after AND a.state = 'queued') THEN w.after "
        f"WHEN NOT {READY} THEN '{SOON}' END AS gate "
        "FROM work w JOIN requests r ON r.id = w.id AND r.withdrawn IS NULL WHERE w.state = 'queued' "
        "GROUP BY w.id, r.who"
    )
    queue = _Queue({r["who"]: float(r["turn"]) for r in store.rows("SELECT who, turn FROM people")})
    for row in rows:
        item = (row["priority"], row["created"], row["n"], row["id"])
        if row["gate"]:
            queue.gated[row["gate"]].append((row["who"], item))
        else:
            heapq.heappush(queue.heaps[row["who"]], item)
    return queue


# what the order depends on: progress, which changes ten times a second while trials run, is no part of it
_FACTS = """SELECT (SELECT count(*) || ' ' || coalesce(sum(rowid), 0) FROM work WHERE state = 'queued'),
    (SELECT group_concat(id) FROM work WHERE state = 'running'),
    (SELECT count(*) || ' ' || count(withdrawn) || ' ' || total(created) || ' ' || total(priority) FROM requests),
    (SELECT total(turn) FROM people)"""
_lock = threading.Lock()
_known: weakref.WeakKeyDictionary[Database, _Places] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class _Places:
    stamp: tuple[int, int]
    facts: tuple[object, ...]
    places: dict[str, int]


def places(store: Database) -> dict[str, int]:
    """How many works start before each queued one; computed once for each state of the queue, do not alter it."""
    with _lock:  # forty who look at the same moment cost one computation
        stamp, known = store.stamp(), _known.get(store)
        if known is None or known.stamp != stamp:
            facts = tuple(store.rows(_FACTS)[0])
            same = known is not None and known.facts == facts
            found = known.places if known and same else {name: place for place, name in enumerate(order(store))}
            known = _known[store] = _Places(stamp, facts, found)
        return known.places
