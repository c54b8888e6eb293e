"""The artifact answers as the trained graph: to the near tie for weights alone, within half a point at int8."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import artifact, metrics, pipeline, registry
from engine.execution.slot import Slot
from engine.home import Home
from engine.prefix import Trained
from engine.recipe import Recipe
from engine.result import Result
from engine.student import advance, copy_of, train
from engine.tasks._base import Split
from engine.workbench import Bench

STUDENTS = ("plain_1k5", "depthwise_10k", "plain_10k")
NEAR_TIE = 1e-4
SIZES = {"train": 2000, "validation": 2000}
TRAIN = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"]}
LAST = [{"name": "recalibrate"}]


@pytest.fixture(scope="module", autouse=True)
def little() -> Iterator[None]:
    """A tenth of the data."""
    task = type(registry.get("tasks", "fashion_mnist"))
    whole = task.split

    def split(self: Any, data: str, name: str) -> Split:
        found = whole(self, data, name)
        return Split(found.inputs[: SIZES[name]], found.labels[: SIZES[name]])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "split", split)
        yield


@pytest.fixture(scope="module", params=STUDENTS)
def student(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Trained]:
    """A trained dense student; what is tested applies stages to copies of it."""
    row = {"task": "fashion_mnist", "student": request.param, "phases": [TRAIN]}
    bench = Bench(Recipe.from_json(row), Home.locate(tmp_path_factory.mktemp("gap")))
    return bench, train(bench)


def compared(student: tuple[Bench, Trained], *stages: dict[str, Any]) -> tuple[artifact.Built, dict[str, float]]:
    """The artifact after ``stages``, and how it differs from its graph."""
    bench, dense = student
    recipe = Recipe.from_json({**bench.recipe.to_json(), "phases": [TRAIN, {"stages": list(stages)}]})
    bench = Bench(recipe, bench.home)
    trained = advance(bench, copy_of(dense), 1) if stages else dense
    built = artifact.build(trained.model, bench.example)
    return built, pipeline.against_graph(bench, trained, pipeline.predict(built, bench.inputs("validation")))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7])
def test_weights_alone_change_near_ties_only(student: tuple[Bench, Trained], bits: int) -> None:
    built, gap = compared(student, {"name": "quantize_linear", "bits": bits}, *LAST)
    assert not built.rounds_inputs
    assert gap["artifact_margin"] <= NEAR_TIE
    assert gap["artifact_changed"] <= 2 / SIZES["validation"]
    assert abs(gap["artifact_gap"]) <= gap["artifact_changed"]


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9])
def test_pruned_and_dense_students_in_float_too(student: tuple[Bench, Trained], sparsity: float) -> None:
    stages = [{"name": "prune_magnitude", "sparsity": sparsity}] if sparsity else []
    gap = compared(student, *stages)[1]
    assert gap["artifact_margin"] <= NEAR_TIE


@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_int8_is_within_half_a_point(student: tuple[Bench, Trained], sparsity: float) -> None:
    stages = [{"name": "prune_magnitude", "sparsity": sparsity}] if sparsity else []
    built, gap = compared(student, *stages, {"name": "quantize_linear", "bits": 8}, *LAST)
    assert built.rounds_inputs
    assert abs(gap["artifact_gap"]) <= metrics.GAP
    assert gap["artifact_changed"] < 0.05


def test_other_weights_in_the_file_would_be_seen(student: tuple[Bench, Trained]) -> None:
    bench, dense = student
    other = copy.deepcopy(dense.model)
    last = [p for p in other.parameters() if p.ndim == 2][-1]
    last.data[0] += 0.5
    answers = pipeline.predict(artifact.build(other, bench.example), bench.inputs("validation"))
    gap = pipeline.against_graph(bench, dense, answers)
    assert gap["artifact_changed"] > 0.02
    assert gap["artifact_margin"] > NEAR_TIE


def test_how_it_is_counted() -> None:
    graph = np.array([[3.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.5, 0.4], [5.0, 0.0, 0.0]])
    answers = np.array([[3.0, 1.0, 0.0], [2.5, 2.0, 0.0], [0.0, 0.4, 0.5], [5.0, 0.0, 0.0]])
    found = metrics.artifact_changes(answers, graph)
    assert found == {"artifact_changed": 0.5, "artifact_margin": pytest.approx(1.0)}
    assert metrics.artifact_changes(graph, graph) == {"artifact_changed": 0.0, "artifact_margin": 0.0}
    with pytest.raises(ValueError, match="equal shapes"):
        metrics.artifact_changes(graph, graph[:2])


def test_a_trial_keeps_it_and_older_results_are_read_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "timed_cost", lambda bench, trained, built, _: pipeline.cost_of(
        trained.model, bench.example, built))  # fmt: skip
    home = Home.locate(tmp_path)
    stages = [{"name": "quantize_linear", "bits": 4}]
    row = {"task": "fashion_mnist", "student": "plain_1k5", "phases": [TRAIN, {"stages": stages}]}
    result = pipeline.run(Recipe.from_json(row), home, lambda _: None, Slot(home)).result
    assert result.metrics["artifact_margin"] <= NEAR_TIE
    assert {"artifact_gap", "artifact_changed", "accuracy", "agreement"} <= result.metrics.keys()
    old = result.to_json()
    old["metrics"] = {n: v for n, v in old["metrics"].items() if not n.startswith("artifact_")}
    assert Result.from_json(old).metrics == old["metrics"]
