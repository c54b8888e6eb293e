"""The grid: every point equals the ordinary trial of its recipe, and previews come first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.execution.base import Outcome
from engine.execution.slot import Slot
from engine.home import Home
from engine.pipeline import run
from engine.recipe import Recipe
from engine.search import grid

FIVE = [(0.0, 8), (0.5, 4), (0.9, 2), (0.7, 1), (0.4, 8)]
ROW = {"task": "fashion_mnist", "student": "plain_1k5", "seed": 3, "phases": [{"epochs": 1}]}


class Grid:
    def __init__(self, folder: Path) -> None:
        self.home, self.dense = Home.locate(folder), Recipe.from_json(ROW)
        self.batches: list[list[Outcome]] = []
        slot = Slot(self.home)
        grid.run(self.dense, self.home, lambda event: None, slot, self.batches.append)
        self.points = {o.result.key: o for batch in self.batches for o in batch}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    return Grid(tmp_path_factory.mktemp("grid"))


def test_at_least_seventy_points_from_none_to_95_percent_and_1_to_8_bits() -> None:
    points = grid.settings()
    assert len(points) == len(set(points)) >= 70
    assert {b for _, b in points} == set(range(1, 9))
    assert min(s for s, _ in points) == 0.0
    assert max(s for s, _ in points) == 0.95


def test_parts_share_the_points_out() -> None:
    shared = grid.settings(0, 2) + grid.settings(1, 2)
    assert sorted(shared) == sorted(grid.settings())


def test_a_preview_of_everything_comes_before_the_whole_split(measured: Grid) -> None:
    flags = [o.result.preview for batch in measured.batches for o in batch]
    half = len(flags) // 2
    assert flags == [True] * half + [False] * half
    assert len(measured.points) == half == len(grid.settings())
    sizes = {o.result.preview: len(o.predictions) for batch in measured.batches for o in batch}
    assert sizes == {True: grid.PREVIEW_EXAMPLES, False: 5000}


@pytest.mark.parametrize(("sparsity", "bits"), FIVE)
def test_a_point_equals_the_ordinary_trial(measured: Grid, sparsity: float, bits: int) -> None:
    recipe = measured.dense.with_one_shot(sparsity, bits)
    point = measured.points[recipe.key]
    trial = run(recipe, measured.home, lambda event: None, Slot(measured.home))
    assert point.result.quality == trial.result.quality
    gaps = {n: v for n, v in trial.result.metrics.items() if n.startswith("artifact_")}
    assert gaps, "the ordinary trial also asks its training graph"
    assert {**point.result.metrics, **gaps} == trial.result.metrics
    assert np.array_equal(point.predictions, trial.predictions)
    for name in ("packed_bytes", "onnx_bytes", "parameters", "nonzero", "macs"):
        assert getattr(point.result.cost, name) == getattr(trial.result.cost, name)
    assert point.result.origin == "grid"
    assert trial.result.origin == "trial"


def test_fewer_bits_and_more_zeros_take_fewer_bytes(measured: Grid) -> None:
    def packed(sparsity: float, bits: int) -> int:
        return measured.points[measured.dense.with_one_shot(sparsity, bits).key].result.cost.packed_bytes

    assert packed(0.0, 8) > packed(0.0, 4) > packed(0.0, 2)
    assert packed(0.0, 4) > packed(0.5, 4) > packed(0.95, 4)


def test_only_eight_bits_run_in_integers(measured: Grid) -> None:
    for sparsity, bits in grid.settings():
        latency = measured.points[measured.dense.with_one_shot(sparsity, bits).key].result.cost.latency
        assert latency is not None
        assert latency.simulated is (bits != 8)
