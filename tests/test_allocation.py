"""A setting for each layer within a number of bytes: never worse than trying all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.search.allocation import STEPS, Option, allocate, monotone

OPTIONS = st.builds(Option, st.integers(1, 60), st.integers(0, 40).map(float))
LAYERS = st.lists(st.lists(OPTIONS, min_size=1, max_size=5), min_size=1, max_size=4)


def totals(layers: list[list[Option]], places: tuple[int, ...] | list[int]) -> tuple[float, int]:
    chosen = [options[i] for options, i in zip(layers, places, strict=True)]
    return sum(o.loss for o in chosen), sum(o.bytes for o in chosen)


def tried(layers: list[list[Option]], budget: int) -> tuple[float, int] | None:
    every = (totals(layers, places) for places in itertools.product(*(range(len(o)) for o in layers)))
    return min((t for t in every if t[1] <= budget), default=None)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(LAYERS, st.integers(1, 240))
def test_equals_trying_everything(layers: list[list[Option]], budget: int) -> None:
    found = allocate(layers, budget)
    assert (None if found is None else totals(layers, found)) == tried(layers, budget)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(LAYERS, st.integers(0, 240))
def test_a_larger_budget_never_costs_quality(layers: list[list[Option]], budget: int) -> None:
    losses = [float("inf") if f is None else totals(layers, f)[0] for b in (budget, budget + 7) for f in
              [allocate(layers, b)]]  # fmt: skip
    assert losses[1] <= losses[0]


def test_large_budgets_hold_and_come_close_to_the_best() -> None:
    generator = np.random.default_rng(3)
    scale = 40
    layers = [[Option(int(b), float(x)) for b, x in zip(generator.integers(1, 90_000, 6), generator.random(6),
                                                        strict=True)] for _ in range(5)]  # fmt: skip
    budget = STEPS * 10
    found, best = allocate(layers, budget), tried(layers, budget)
    assert found is not None
    assert best is not None
    loss, size = totals(layers, found)
    tighter = tried(layers, budget - scale * len(layers))
    assert size <= budget
    assert tighter is not None
    assert best[0] <= loss <= tighter[0]


def test_many_layers_are_quick_and_fit() -> None:
    generator = np.random.default_rng(1)
    layers = [[Option(int(4000 * s), float(x / s)) for s, x in zip((1, 0.5, 0.2, 0.1), generator.random(4),
                                                                   strict=True)] for _ in range(40)]  # fmt: skip
    found = allocate(layers, 60_000)
    assert found is not None
    assert totals(layers, found)[1] <= 60_000


@pytest.mark.parametrize("budget", [0, 2])
def test_nothing_fits(budget: int) -> None:
    assert allocate([[Option(3, 0.0)]], budget) is None


def test_a_milder_setting_never_counts_as_worse() -> None:
    assert monotone([-0.2, 0.1, 0.05, 0.3]) == [0.0, 0.1, 0.1, 0.3]
