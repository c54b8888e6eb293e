"""The fair queue under random people: Hypothesis comes, goes, shares and withdraws; workers end or die."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from store_tools import claims, point, trial

from engine import store_queue as queue
from engine import store_read as read
from engine.store import Ask, Store

PEOPLE = ("ann", "bob", "cem", "dag", "eva")


@given(own=st.integers(0, 50).map(lambda n: n / 2), lowest=st.none() | st.integers(0, 50).map(lambda n: n / 2))
def test_where_somebody_enters(own: float, lowest: float | None) -> None:
    turn = queue.entry(own, lowest)
    if lowest is None:
        assert turn % 1 == 0.5
    else:
        assert lowest - 0.5 <= turn <= lowest
        assert turn >= min(own, lowest), "nobody gains by leaving and coming back"


class Fairness(RuleBasedStateMachine):
    """People come and go, trials with grids that wait and with trainings in common, workers that end or die."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "store.sqlite")
        self.count = 0
        self.running: list[tuple[str, int]] = []
        self.served: set[str] = set()
        self.since: dict[str, Counter[str]] = {}  # services of others since one's own, while one's work was claimable

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(who=st.sampled_from(PEOPLE), many=st.integers(1, 4), grid=st.booleans(), shared=st.booleans())
    def submit(self, who: str, many: int, grid: bool, shared: bool) -> None:
        for _ in range(many):
            self.count += 1
            key = f"k{self.count}"
            asks = [trial(key, prefix="common" if shared else "")]
            if grid:
                asks.append(Ask(f"grid:{key}", "grid", "shapes", {}, key, 2, after=key))
            self.store.submit(asks, who, key)

    @rule(who=st.sampled_from(PEOPLE), number=st.integers(1, 40))
    def join(self, who: str, number: int) -> None:
        if read.work(self.store, f"k{number}"):
            self.store.submit([trial(f"k{number}")], who, f"k{number}")

    @rule(who=st.sampled_from(PEOPLE), number=st.integers(1, 40))
    def withdraw(self, who: str, number: int) -> None:
        self.store.withdraw(f"k{number}", who)

    def claimable(self) -> set[str]:
        return {r["served"] for r in self.store.rows(queue.NEXT.replace(" LIMIT 1", ""))}

    @rule()
    def claim(self) -> None:
        before, ready = self.turns(), self.claimable()
        work = self.store.claim()
        assert (work is not None) == bool(ready)
        if work is None:
            return
        (who,) = [w for w, turn in self.turns().items() if turn == int(before[w]) + 1 and self.wants(w, work.id)
                  and before[w] == min(before[p] for p in ready)][:1]  # fmt: skip
        waiting_first = {p for p in ready if p not in self.served}
        assert who in waiting_first or not waiting_first, "a second work before somebody's first"
        for other in ready - {who}:
            counted = self.since.setdefault(other, Counter())
            counted[who] += 1
            assert counted[who] <= 3, "one person was served again and again while another waited"
        for other in set(self.since) - ready | {who}:
            self.since.pop(other, None)
        self.served.add(who)
        self.running.append((work.id, work.attempt))

    def wants(self, who: str, name: str) -> bool:
        sql = "SELECT 1 FROM requests WHERE id = ? AND who = ? AND withdrawn IS NULL"
        return self.store.row(sql, name, who) is not None

    @rule(data=st.data(), how=st.sampled_from(["finish", "finish", "died", "fail"]))
    def end(self, data: st.DataObject, how: str) -> None:
        if self.running:
            name, attempt = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
            if how == "finish":
                self.store.finish(name, attempt, None if name.startswith("grid") else point(name))
            else:
                getattr(self.store, how)(name, attempt, "reason")

    def turns(self) -> dict[str, float]:
        return {r["who"]: float(r["turn"]) for r in self.store.rows("SELECT who, turn FROM people")}

    @invariant()
    def whole_turns_lie_above_halves(self) -> None:
        open_people = {r[0] for r in self.store.rows(queue.WANTED)}
        turns = [turn for who, turn in self.turns().items() if who in open_people]
        halves, wholes = [t for t in turns if t % 1], [t for t in turns if not t % 1]
        assert len(set(halves)) <= 1
        assert not (halves and wholes) or max(halves) < min(wholes)

    @invariant()
    def the_next_one_told_is_the_next_one_claimed(self) -> None:
        rows = self.store.rows(queue.NEXT.replace(" LIMIT 1", ""))
        order = queue.order(self.store)
        assert len(order) == len(set(order))
        ready = {r["id"] for r in rows}
        assert ready <= set(order)
        if rows:
            assert next(name for name in order if name in ready) == rows[0]["id"]


TestFairness = Fairness.TestCase
TestFairness.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PEOPLE), st.integers(1, 3), st.booleans()), min_size=1, max_size=8))
def test_the_order_that_is_told_is_the_order_of_the_claims(asked: list[tuple[str, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store.sqlite")
        number = 0
        for who, many, grid in asked:
            for _ in range(many):
                number += 1
                extra = [Ask(f"grid:{number}", "grid", "shapes", {}, str(number), 2, after=str(number))] if grid else []
                store.submit([trial(str(number)), *extra], who, str(number))
        told = queue.order(store)
        assert claims(store) == told  # one worker, nothing new asked for meanwhile
        store.close()
