"""A class at one server: the points that somebody asked for since the host cleared the chart, and what each predicted.

People are ids as everywhere (:mod:`engine.api_people`); what pages show of them are the names that they typed.
Predictions are counted, never shown with a name. Plain data, no torch.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import api_home, api_lessons, api_people, store_class
from engine import catalogue as catalogues
from engine.errors import InputError, unknown_name
from engine.home import Home
from engine.recipe import MAX_SEED
from engine.store import Store

Row = Mapping[str, Any]
FRESH_SECONDS = 1.0  # for so long what another process has changed counts as new, whoever looks
ORIGINS = ("trial", "grid")  # a run whose settings the grid has measured already is that very point


@dataclass(frozen=True)
class Asked:
    """One measured point and who asked for it, the first one first."""

    row: Row
    people: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """What a class has measured: ``points`` (newest last), ``waiting`` trials without a result, typed ``names`` by id.

    ``people`` have asked for something; ``since``: when the chart was cleared (seconds since 1970, 0 for never).
    ``stamp`` is equal exactly for equal boards.
    """

    points: tuple[Asked, ...]
    waiting: int
    people: int
    since: float
    names: Mapping[str, str]
    stamp: int


@dataclass(frozen=True)
class _Known:
    change: tuple[int, int]
    at: float
    board: Board


_lock = threading.Lock()
_boards: weakref.WeakKeyDictionary[Store, dict[str, _Known]] = weakref.WeakKeyDictionary()


def board(home: Home, task: str) -> Board:
    """The points of a task that count now; found once for everybody who looks within a second.

    Thirty people who ran one recipe are one point. Raises :class:`InputError` for an unknown task.
    """
    catalogues.current().row("tasks", task, "task")
    store = api_home.store_of(home)
    with _lock:
        known, (other, own), now = _boards.setdefault(store, {}), store.stamp(), time.monotonic()
        found = known.get(task)
        still = found is not None and found.change[1] == own and now - found.at < FRESH_SECONDS
        if found is None or not (still or found.change == (other, own)):
            found = known[task] = _Known((other, own), now, _board(home, store, task))
        return found.board


def _board(home: Home, store: Store, task: str) -> Board:
    asked: dict[str, list[str]] = {}
    open_now, everybody = set(), set()
    for wish in store_class.wishes(store, task):
        asked.setdefault(wish.key, []).append(wish.who)
        everybody.add(wish.who)
        if wish.state in ("queued", "running"):
            open_now.add(wish.key)
    rows = {row["key"]: row for row in api_home.rows_of(home, task, ORIGINS) if row["key"] in asked}
    points = tuple(Asked(rows[key], tuple(who)) for key, who in asked.items() if key in rows and _whole(rows[key]))
    names = {who: name for who, name in api_people.names(home).items() if who in everybody}
    measured = tuple((p.row["key"], p.row["quality"], p.row.get("latency_ms"), p.people) for p in points)
    since, waiting = store_class.cleared(store), len(open_now - {p.row["key"] for p in points})
    stamp = (task, since, waiting, measured, tuple(sorted(names.items())))
    return Board(points, waiting, len(everybody), since, names, hash(stamp))


def _whole(row: Row) -> bool:
    return not row.get("preview") and row.get("state", "done") == "done"


def clear(home: Home, host: bool) -> None:
    """Begin the chart and the predictions anew; nothing is forgotten. Raises :class:`InputError` unless ``host``."""
    if not host:
        raise InputError("clearing the class chart", "a participant", "the host alone")
    store_class.clear(api_home.store_of(home))


def predict(home: Home, who: str, lesson: str, seed: int, choice: str) -> None:
    """Keep what ``who`` predicts in a lesson; the latest counts.

    Raises :class:`InputError` for an unknown lesson, a seed that no run can have, or a choice that it does not offer.
    """
    answers = api_lessons.find(lesson).check.answers
    if choice not in answers:
        raise unknown_name("prediction", choice, answers)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise InputError("seed", seed, f"a whole number from 0 to {MAX_SEED}")
    store_class.predict(api_home.store_of(home), who, lesson, seed, choice)


def prediction(home: Home, who: str, lesson: str) -> str | None:
    """What ``who`` predicted in a lesson since the chart was cleared; None for nothing that it still offers."""
    found = store_class.predicted(api_home.store_of(home), lesson).get(who)
    return found if found in api_lessons.find(lesson).check.answers else None


def tally(home: Home, lesson: str) -> dict[str, int]:
    """How many people predicted each choice of a lesson since the chart was cleared, in the lesson's own order."""
    answers = api_lessons.find(lesson).check.answers
    chosen = list(store_class.predicted(api_home.store_of(home), lesson).values())
    return {choice: chosen.count(choice) for choice in answers}
