"""Any order of calls keeps the store's invariants: Hypothesis plays users, a runner, workers and their deaths."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from store_tools import point, trial

from engine import store_read as read
from engine.store import Ask, Store

KEYS = st.sampled_from("abc")
USERS = st.sampled_from(["me", "you"])
LEGAL = {
    ("queued", "running"), ("running", "done"), ("running", "failed"), ("running", "cancelled"), ("running", "queued"),
    ("queued", "cancelled"), ("failed", "queued"), ("cancelled", "queued"), ("done", "queued"),
    # two steps that one call may take: a reading asked for again and withdrawn, or one that is there by now
    ("queued", "done"), ("failed", "done"), ("cancelled", "done"), ("queued", "failed"),
    ("done", "cancelled"),  # its result was deleted
}  # fmt: skip


class Machine(RuleBasedStateMachine):
    """Random calls; ``held`` are attempts that a worker still believes in, stale ones included."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "store.sqlite")
        self.held: list[tuple[str, int]] = []
        self.kept: dict[str, Any] = {}
        self.before: dict[str, tuple[str, int]] = {}
        self.deaths: dict[str, int] = {}

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(key=KEYS, who=USERS, test=st.booleans(), companions=st.booleans())
    def submit(self, key: str, who: str, test: bool, companions: bool) -> None:
        asks = [trial(key, test=test)]
        if companions:
            asks += [trial("d", priority=1), Ask("grid:d", "grid", "shapes", {}, "d", 2, after="d")]
        self.store.submit(asks, who, key)
        found = read.work(self.store, key)
        assert found is not None
        assert found.state in ("queued", "running", "done")

    @rule(key=KEYS, who=USERS)
    def withdraw(self, key: str, who: str) -> None:
        self.store.withdraw(key, who)

    @rule(key=KEYS)
    def cancel_all(self, key: str) -> None:
        self.store.cancel_all(key)
        wanted = self.store.row("SELECT 1 FROM requests WHERE id = ? AND withdrawn IS NULL", key)
        assert wanted is None
        assert key not in {w.id for w in read.unfinished(self.store)}

    @rule(key=st.sampled_from("abcd"))
    def remove(self, key: str) -> None:
        """What is not open is gone with all that hangs on it; what is open stays."""
        known = read.result(self.store, key)
        busy = {w.id for w in read.unfinished(self.store)} & ({key, "grid:d"} if key == "d" else {key})
        before = read.last_change(self.store)
        removed = self.store.remove([key])
        assert removed == ([key] if known and not busy else [])
        if removed:
            assert read.result(self.store, key) is None
            assert read.removed_since(self.store, "shapes", before) == [key]
            self.kept.pop(key, None)

    @rule()
    def claim(self) -> None:
        work = self.store.claim()
        if work:
            assert (work.id, work.attempt) not in self.held
            self.held.append((work.id, work.attempt))

    @rule(data=st.data(), how=st.sampled_from(["finish", "fail", "died", "points"]), value=st.floats(0, 1))
    def end(self, data: st.DataObject, how: str, value: float) -> None:
        if not self.held:
            return
        name, attempt = data.draw(st.sampled_from(self.held))
        current = read.running(self.store).get(name) == attempt
        if how == "points":
            found = point("b", value, preview=value < 0.5, origin="grid")
            assert self.store.add_points(name, attempt, "d", [found]) == current
        elif how == "finish":
            answer = point(name, value, test={"value": value}) if not name.startswith("grid") else None
            assert self.store.finish(name, attempt, answer) == current
        else:
            assert bool(getattr(self.store, how)(name, attempt, "reason")) == current

    @rule()
    def restart(self) -> None:
        self.store.recover("killed")
        assert not read.running(self.store)

    @invariant()
    def a_full_result_never_changes(self) -> None:
        for found in read.results_since(self.store, "shapes", 0):
            if not found.preview:
                value = self.kept.setdefault(found.key, found.body["value"])
                assert found.body["value"] == value
        for key in self.kept:
            assert read.result(self.store, key) is not None
            assert key not in read.removed_since(self.store, "shapes", 0)

    @invariant()
    def states_change_as_they_may(self) -> None:
        now = {r["id"]: (r["state"], r["attempt"]) for r in self.store.rows("SELECT id, state, attempt FROM work")}
        for name, (state, attempt) in now.items():
            old, last = self.before.get(name, (state, attempt))
            assert old == state or (old, state) in LEGAL
            assert attempt >= last
            if state == "running":
                open_tries = [t for t in read.attempts(self.store, name) if t["ended"] is None]
                assert [t["attempt"] for t in open_tries] == [attempt]
            else:
                assert all(t["ended"] is not None for t in read.attempts(self.store, name))
            if state == "done" and name in ("a", "c", "d"):
                assert name in self.kept
        self.before = now

    @invariant()
    def what_nobody_wants_does_not_run(self) -> None:
        wanted = {r["id"] for r in self.store.rows("SELECT id FROM requests WHERE withdrawn IS NULL")}
        assert {w.id for w in read.unfinished(self.store)} <= wanted


TestStore = Machine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
