"""Building blocks for tests of the store and the runner."""

from __future__ import annotations

from typing import Any

from engine import store_read as read
from engine.store import Ask, Point, Store

TASK = "shapes"


def trial(key: str, **more: Any) -> Ask:
    return Ask(key, "trial", TASK, {"task": TASK, "seed": 1}, **more)


def point(key: str, value: float = 0.9, preview: bool = False, origin: str = "trial", **more: Any) -> Point:
    result = {"key": key, "recipe": {"task": TASK}, "origin": origin, "value": value, "preview": preview, **more}
    return Point(result, (2, 1), b"abcd")


def state(store: Store, name: str) -> str:
    found = read.work(store, name)
    assert found is not None
    return found.state


def claims(store: Store) -> list[str]:
    """Everything that can be claimed, in order, each finished before the next."""
    found = []
    while (work := store.claim()) is not None:
        found.append(work.id)
        store.finish(work.id, work.attempt, point(work.id) if work.kind == "trial" else None)
    return found
