"""The store: who wants what, what runs, what came out. Kill any process at any time, nothing is lost.

Work moves ``queued -> running -> done | failed | cancelled``. Every try has an attempt number; events and results of
any but the current attempt are refused, so a worker that outlives its runner changes nothing. A result is written once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from engine import store_queue as queue
from engine import store_rules as rules
from engine.store_rules import ENDED, Ask, Point, Work
from engine.store_schema import Database

# a wish that waits keeps its age in the queue; one for what has ended, or that was withdrawn, is a new one
ASKED_AGAIN = """withdrawn = NULL, priority = min(priority, excluded.priority), created = iif(
    withdrawn IS NULL AND EXISTS (SELECT 1 FROM work w WHERE w.id = excluded.id AND w.state IN ('queued', 'running')),
    created, excluded.created)"""

__all__ = ["ENDED", "Ask", "Point", "Store", "Work"]


class Store(Database):
    """All changes of the store, one short transaction each."""

    def submit(self, asks: Sequence[Ask], who: str, parent: str, cap: int | None = None) -> None:
        """Record that ``who`` wants ``asks``, as part of the run ``parent`` (a trial's key, a job's id, sweep:<id>).

        What is done is not run again (unless the test reading is missing); what is queued or running is shared; what
        failed or was cancelled is queued again as a new attempt. Raises :class:`InputError`, and changes nothing, when
        ``who`` would then have more than ``cap`` trials queued or running.
        """
        now = time.time()
        with self.change() as db:
            queue.enter(db, who, now)
            before = queue.open_trials(db, who)
            for ask in asks:
                rules.put_work(db, ask, now)
                db.execute(
                    f"INSERT INTO requests VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET {ASKED_AGAIN}",
                    (ask.id, who, parent, ask.priority, now),
                )
            queue.check_cap(before, queue.open_trials(db, who), cap)

    def withdraw(self, parent: str, who: str) -> bool:
        """Withdraw ``who``'s wish for ``parent`` and its companions; stops what nobody wants. Whether there was one."""
        now = time.time()
        with self.change() as db:
            open_wish = "who = ? AND withdrawn IS NULL AND (parent = ? OR id = ?)"
            found = db.execute(f"SELECT DISTINCT id FROM requests WHERE {open_wish}", (who, parent, parent)).fetchall()
            db.execute(f"UPDATE requests SET withdrawn = ? WHERE {open_wish}", (now, who, parent, parent))
            for (name,) in found:
                rules.stop_if_unwanted(db, name, now)
        return bool(found)

    def cancel_all(self, name: str) -> bool:
        """Withdraw everybody's wish for ``name`` and for what came with it as a run; whether there was one.

        For the host, and for a sweep: ``name`` may be ``sweep:<id>``.
        """
        now = time.time()
        with self.change() as db:
            open_wish = "withdrawn IS NULL AND (parent = ? OR id = ?)"
            found = db.execute(f"SELECT DISTINCT id FROM requests WHERE {open_wish}", (name, name)).fetchall()
            db.execute(f"UPDATE requests SET withdrawn = ? WHERE {open_wish}", (now, name, name))
            for (wanted,) in found:
                rules.stop_if_unwanted(db, wanted, now)
        return bool(found)

    def claim(self) -> Work | None:
        """Take the next work and mark it running: the person with the lowest turn first, then priority, then age.

        Left out: what builds on a trial that is not done, and what would train the same prefix that is being trained.
        """
        with self.change() as db:
            found = db.execute(queue.NEXT).fetchone()
            if found is None:
                return None
            queue.serve(db, found["served"], time.time())
            db.execute("UPDATE work SET state = 'running', error = NULL WHERE id = ?", (found["id"],))
            db.execute(
                "INSERT INTO attempts VALUES (?, ?, ?, NULL, NULL)", (found["id"], found["attempt"], time.time())
            )
            return rules.work_of({**dict(found), "state": "running"})

    def finish(self, name: str, attempt: int, point: Point | None = None) -> bool:
        """The attempt ended well; keep its point (jobs have none). False for an old attempt."""
        now = time.time()
        with self.change() as db:
            work = rules.current(db, name, attempt)
            if work is None:
                return False
            if point is not None:
                tries = db.execute("SELECT count(*) FROM attempts WHERE id = ?", (name,)).fetchone()[0]
                rules.keep(
                    db,
                    work["dense_key"],
                    Point({**point.result, "attempts": tries}, point.shape, point.predictions),
                    now,
                )
            rules.end_attempt(db, name, attempt, "done", now)
            # a test reading asked for while the trial ran without it is one more attempt
            again = work["test"] and not rules.complete(db, name, True) and work["kind"] == "trial"
            db.execute(
                "UPDATE work SET state = ?, attempt = attempt + ?, deaths = 0 WHERE id = ?",
                ("queued" if again else "done", int(again), name),
            )
        return True

    def fail(self, name: str, attempt: int, reason: str) -> bool:
        """The attempt ended badly, for good. False for an old attempt."""
        now = time.time()
        with self.change() as db:
            if rules.current(db, name, attempt) is None:
                return False
            rules.end_attempt(db, name, attempt, reason, now)
            rules.close(db, name, "failed", reason)
        return True

    def died(self, name: str, attempt: int, reason: str) -> str | None:
        """The attempt's process died: queued once more, then failed. The new state, or None for an old attempt."""
        now = time.time()
        with self.change() as db:
            work = rules.current(db, name, attempt)
            if work is None:
                return None
            rules.end_attempt(db, name, attempt, reason, now)
            if work["deaths"] >= rules.TRIES_AFTER_DEATH:
                rules.close(db, name, "failed", f"{reason}; it was tried {work['deaths'] + 1} times")
                return "failed"
            rules.requeue(db, name, "deaths = deaths + 1")
            return "queued"

    def recover(self, reason: str) -> int:
        """Queue again what a runner that is gone left running, without using up a retry; how many."""
        now = time.time()
        with self.change() as db:
            left = db.execute("SELECT id, attempt FROM work WHERE state = 'running'").fetchall()
            for name, attempt in left:
                rules.end_attempt(db, name, attempt, reason, now)
                rules.requeue(db, name)
        return len(left)

    def release(self, name: str, attempt: int, reason: str) -> bool:
        """Queue one running attempt again without using up its retry. False for an old attempt."""
        with self.change() as db:
            if rules.current(db, name, attempt) is None:
                return False
            rules.end_attempt(db, name, attempt, reason, time.time())
            rules.requeue(db, name)
        return True

    def report(
        self, name: str, attempt: int, progress: Mapping[str, Any], events: Sequence[tuple[int, Any]] = ()
    ) -> bool:
        """Keep the latest progress and append events (sequence, JSON). False for an old attempt."""
        with self.change() as db:
            if rules.current(db, name, attempt) is None:
                return False
            body = json.dumps(progress, allow_nan=False)
            db.execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?)", (name, attempt, body, time.time()))
            for number, event in events:
                row = (name, attempt, number, json.dumps(event, allow_nan=False))
                db.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", row)
        return True

    def add_points(self, name: str, attempt: int, dense_key: str, points: Sequence[Point]) -> bool:
        """Keep grid points; a full one replaces its preview, nothing replaces a full one. False for an old attempt."""
        now = time.time()
        with self.change() as db:
            if rules.current(db, name, attempt) is None:
                return False
            for point in points:
                rules.keep(db, dense_key, point, now)
        return True

    def add_readings(self, name: str, attempt: int, task: str, readings: Mapping[str, Any]) -> bool:
        """Keep latencies measured again on this machine, by key; the newest counts. False for an old attempt."""
        with self.change() as db:
            if rules.current(db, name, attempt) is None:
                return False
            for key, body in readings.items():
                row = (key, task, json.dumps(body, allow_nan=False), time.time(), rules.next_change(db))
                db.execute("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?)", row)
        return True

    def remove(self, keys: Sequence[str]) -> list[str]:
        """Delete results with their predictions and marks; the keys that were deleted.

        A result whose trial, inspection or grid is queued or running stays. What is deleted can be run again.
        """
        now = time.time()
        with self.change() as db:
            return [key for key in dict.fromkeys(keys) if rules.remove(db, key, now)]

    def remember(self, who: str, name: str | None = None) -> None:
        """Note that a person was here, and the name that they typed (None leaves the last one)."""
        now = time.time()
        with self.change() as db:
            db.execute(
                "INSERT INTO people (who, name, created, seen) VALUES (?, coalesce(?, ''), ?, ?) "
                "ON CONFLICT DO UPDATE SET name = coalesce(?, name), seen = excluded.seen",
                (who, name, now, now, name),
            )

    def mark(self, key: str, who: str, star: bool | None = None, note: str | None = None) -> None:
        """Change one person's star or note on a result (None leaves it); a mark without both is forgotten."""
        with self.change() as db:
            rules.mark(db, key, who, star, note, time.time())
