"""The comparison of orders: equal effort, every pair, and what counts as better."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ROOT

from benchmarks.claims import orders
from benchmarks.claims.journal import Journal, Run
from benchmarks.claims.running import compare
from engine.home import Home


def right(share: float, seeds: int = 3, count: int = 5000) -> list[Run]:
    rows = np.arange(count) < round(share * count)
    return [Run(np.roll(rows, seed), 1000, 1000, 1000, 1.0) for seed in range(seeds)]


@pytest.mark.parametrize("contest", orders.CONTESTS, ids=lambda c: f"{c.student}-{c.epochs}")
def test_every_order_trains_equally_long_and_ends_alike(contest: orders.Contest) -> None:
    arms = contest.arms()
    assert len(arms) == 4
    assert len(contest.seeds) >= 3
    for recipes in arms.values():
        assert [r.seed for r in recipes] == list(contest.seeds)
        for recipe in recipes:
            last = {s.name: s for s in recipe.stages}
            assert sum(p.epochs for p in recipe.phases) == contest.epochs
            assert last["prune_magnitude"].get("sparsity") == 0.7
            assert last["quantize_linear"].get("bits") == 4
            assert any(p.teachers for p in recipe.phases)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0.9, 0.88, "the first"), (0.85, 0.9, "the second"), (0.9, 0.8975, "neither"), (0.9, 0.9, "neither")],
)
def test_better_needs_size_and_certainty(first: float, second: float, expected: str) -> None:
    assert orders.verdict(compare(right(first), right(second))) == expected


def test_the_page_compares_each_with_each(home: Home) -> None:
    journal, contest = Journal(home), orders.CONTESTS[0]
    assert "Not measured yet" in orders.report([contest], journal, "here")
    for number, recipes in enumerate(contest.arms().values()):
        for recipe, run in zip(recipes, right(0.8 + 0.02 * number, len(recipes)), strict=True):
            journal._add(recipe, orders.MEASURE, run)
    text = orders.report([contest], Journal(home), "here")
    assert text.count("| the second |") == 6
    assert "| jointly | in turns | -2.00 (" in text


def test_the_shipped_page_is_there() -> None:
    assert "First distil" in (ROOT / "docs" / "evidence" / "orders.md").read_text(encoding="utf-8")
