"""What the store keeps of a class: everybody's latest predictions, when the host cleared the chart, what was seen.

Nothing is ever deleted here: clearing sets a moment, from which on wishes and predictions count.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from engine.store_schema import Database

CLEARED = "class_cleared"
# one's own runs, and the trials of sweeps and of longer runs; not what a run brings along
ASKED = """SELECT r.id, r.who, min(r.created) AS asked, w.state FROM requests r JOIN work w ON w.id = r.id
WHERE r.created > ? AND r.withdrawn IS NULL AND w.kind = 'trial' AND w.task = ?
    AND (r.parent = r.id OR r.parent LIKE 'sweep:%' OR r.parent LIKE 'longer:%')
GROUP BY r.id, r.who ORDER BY asked, r.who"""


class Wish(NamedTuple):
    """That ``who`` asked for the trial ``key``; ``state`` is its work's."""

    key: str
    who: str
    state: str


def clear(store: Database) -> None:
    """From now on counts what is asked and predicted."""
    with store.change() as db:
        db.execute("INSERT OR REPLACE INTO moments VALUES (?, ?)", (CLEARED, time.time()))


def cleared(store: Database) -> float:
    """When the chart was last cleared (seconds since 1970); 0 for never."""
    found = store.row("SELECT at FROM moments WHERE name = ?", CLEARED)
    return float(found["at"]) if found else 0.0


def wishes(store: Database, task: str) -> list[Wish]:
    """Who has asked for which trial of a task since then, in the order in which they asked."""
    return [Wish(r["id"], r["who"], r["state"]) for r in store.rows(ASKED, cleared(store), task)]


def predict(store: Database, who: str, lesson: str, seed: int, choice: str) -> None:
    """Keep a prediction in the place of this person's last one in this lesson."""
    with store.change() as db:
        row = (who, lesson, seed, choice, time.time())
        db.execute("INSERT OR REPLACE INTO class_predictions VALUES (?, ?, ?, ?, ?)", row)


def predicted(store: Database, lesson: str) -> dict[str, str]:
    """The choice of each person who has predicted in a lesson since the chart was cleared."""
    sql = "SELECT who, choice FROM class_predictions WHERE lesson = ? AND at > ? ORDER BY at"
    return {r["who"]: r["choice"] for r in store.rows(sql, lesson, cleared(store))}


def show(store: Database, who: str, what: str) -> None:
    """Note that a person has seen something, or does not want to."""
    with store.change() as db:
        db.execute("INSERT OR IGNORE INTO shown VALUES (?, ?, ?)", (who, what, time.time()))


def shown(store: Database, who: str, what: str) -> bool:
    """Whether that was noted."""
    return store.row("SELECT 1 FROM shown WHERE who = ? AND what = ?", who, what) is not None
