"""What is known of one trial or job: its state and progress, its stored result, or why there is none. No torch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine import api_home, api_rows, store_queue, store_read
from engine.errors import NotFoundError
from engine.home import Home
from engine.store import ENDED, Store, Work

ENOUGH = 0.1  # share done from which a rest is told: before it the start alone makes seconds look like many minutes


def status(home: Home, key: str) -> dict[str, Any]:
    """One trial or job: state, attempts, progress, curve so far, place in the queue, seconds left, error.

    ``place`` counts those in front while queued; ``seconds_left`` is None until enough has run to tell. Raises
    :class:`NotFoundError` for a key that nothing is known of.
    """
    found = store_read.work(api_home.store_of(home), key)
    return statuses(home, [found])[0] if found else _finished_status(home, key)


def active(home: Home, who: str | None, most: int | None, also: Sequence[str]) -> list[dict[str, Any]]:
    """See :func:`engine.api.active`."""
    store = api_home.store_of(home)
    wanted = store_read.open_ids(store, who)[:most]
    found = store_read.works(store, [*wanted, *also])
    return statuses(home, [w for w in found if w.state not in ENDED])


def statuses(home: Home, works: Iterable[Work]) -> list[dict[str, Any]]:
    """The status of each piece of work; one that waits for its first try costs no further query."""
    store = api_home.store_of(home)
    places = store_queue.places(store)
    return [_of(store, work, places.get(work.id)) for work in works]


def _of(store: Store, work: Work, place: int | None) -> dict[str, Any]:
    tried = work.state != "queued" or work.attempt > 1
    tries = store_read.attempts(store, work.id) if tried else []
    progress = store_read.progress(store, work.id, work.attempt) if work.state != "queued" else {}
    curve = store_read.events(store, work.id, work.attempt) if work.state != "queued" else []
    return {
        "key": work.id, "kind": work.kind, "task": work.task, "state": work.state, "attempt": work.attempt,
        "attempts": tries, "progress": progress, "curve": curve, "place": place,
        "seconds_left": _seconds_left(work.state, tries, progress), "error": work.error, "recipe": dict(work.body),
    }  # fmt: skip


def body(home: Home, key: str) -> dict[str, Any] | None:
    """The JSON of a result that is stored in this home or shipped."""
    found = store_read.result(api_home.store_of(home), key)
    if found:
        return found.body
    return next(({**e["result"], "origin": "shipped"} for e in api_rows.shipped() if e["result"]["key"] == key), None)


def without_result(home: Home, key: str) -> dict[str, Any]:
    """The run object of a trial that has no result: its state and error, None for what was never measured."""
    now = status(home, key)
    empty = dict.fromkeys(("quality", "test", "cost", "baseline", "dense", "teacher"))
    return {
        "key": key, "state": now["state"], "recipe": now["recipe"], "origin": "trial", "error": now["error"],
        "attempts": len(now["attempts"]), "seconds": None, "environment": {}, "artifact": {}, "metrics": {},
        "phases": [], "curve": now["curve"], **empty,
    }  # fmt: skip


def _finished_status(home: Home, key: str) -> dict[str, Any]:
    found = body(home, key)
    if found is None:
        raise NotFoundError(f"trial {key}: nothing is known of it in {home.root}")
    return {
        "key": key, "kind": "trial", "task": found["recipe"]["task"], "state": "done", "attempt": found["attempts"],
        "attempts": [], "progress": {}, "curve": found.get("curve", []), "place": None, "seconds_left": 0.0,
        "error": None, "recipe": found["recipe"],
    }  # fmt: skip


def _seconds_left(state: str, tries: list[dict[str, Any]], progress: Mapping[str, Any]) -> float | None:
    share = float(progress.get("fraction") or 0.0)
    if state in ENDED:
        return 0.0
    if state != "running" or share < ENOUGH or not tries:
        return None
    passed = time.time() - float(tries[-1]["started"])
    return max(0.0, passed * (1 - share) / share)
