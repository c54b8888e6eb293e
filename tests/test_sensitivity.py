"""Layer by layer: a cell is what the ordinary recipe gives; a recommended recipe does to each layer what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine import api_sensitivity, artifact, metrics, registry, sensitivity, sensitivity_files
from engine.execution.slot import Slot
from engine.home import Home
from engine.pipeline import BATCH
from engine.prefix import Trained
from engine.recipe import Recipe
from engine.student import advance, copy_of, train
from engine.tasks._base import Split
from engine.weights.code import masks, weight_codes
from engine.workbench import Bench

REPAIR = {"name": "recalibrate"}
SIZES = {"train": 2000, "validation": 500}
DENSE = Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": [{"epochs": 1}]})


@pytest.fixture(scope="module")
def little() -> Any:
    """A tenth of the data."""
    with pytest.MonkeyPatch.context() as patch:
        task = type(registry.get("tasks", "fashion_mnist"))
        whole = task.split

        def split(self: Any, data: str, name: str) -> Split:
            found = whole(self, data, name)
            return Split(found.inputs[: SIZES[name]], found.labels[: SIZES[name]])

        patch.setattr(task, "split", split)
        yield


@pytest.fixture(scope="module")
def measured(little: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, Any], list[float]]:
    home, told = Home.locate(tmp_path_factory.mktemp("home")), []
    sensitivity.sense({"dense": DENSE.to_json()}, home, lambda e: told.append(e.get("fraction") or 0.0), Slot(home))
    data = sensitivity_files.load(home, DENSE.key)
    assert data is not None
    return home, data, told


def applied(home: Home, recipe: Recipe) -> Trained:
    bench = Bench(recipe, home)
    return advance(bench, copy_of(train(replace(bench, recipe=DENSE))), len(recipe.phases) - 1)


def written(home: Home, recipe: Recipe) -> tuple[artifact.Built, float]:
    bench = Bench(recipe, home)
    built = artifact.build(applied(home, recipe).model, bench.example)
    logits = artifact.predict(artifact.session(built.onnx), bench.inputs("validation"), BATCH)
    labels = bench.task.split("sample", "validation").labels.numpy()
    return built, float(metrics.correct(logits, labels).mean())


def with_stages(stages: list[dict[str, Any]]) -> Recipe:
    row = DENSE.to_json()
    return Recipe.from_json({**row, "phases": [*row["phases"], {"epochs": 0, "stages": stages}]})


def test_every_layer_at_every_level(measured: Any) -> None:
    home, data, told = measured
    layers = [row["name"] for row in data["layers"]]
    assert len(layers) >= 3
    assert sum(row["weights"] for row in data["layers"]) < 1536
    wanted = {(n, kind, level) for n in layers for kind, level in sensitivity.levels()}
    assert {(c["layer"], c["kind"], c["level"]) for c in data["cells"]} == wanted
    assert all(c["loss_low"] <= c["loss"] <= c["loss_high"] and c["shift"] >= 0 for c in data["cells"])
    assert all(c["loss"] == pytest.approx(data["quality"] - c["quality"]) for c in data["cells"])
    assert told == sorted(told)
    assert data["repaired_loss"] == pytest.approx(data["quality"] - written(home, with_stages([REPAIR]))[1])
    assert 0.5 < told[-1] < 1


@pytest.mark.parametrize(("kind", "level"), [("sparsity", 0.9), ("bits", 8), ("bits", 2)])
def test_a_cell_is_what_the_ordinary_recipe_gives(measured: Any, kind: str, level: float) -> None:
    home, data, _ = measured
    layer = data["layers"][1]
    cell = next(c for c in data["cells"] if (c["layer"], c["kind"], c["level"]) == (layer["name"], kind, level))
    built, quality = written(home, with_stages(sensitivity.stages_for(layer["name"], kind, level)))
    assert quality == cell["quality"]
    assert len(built.packed()) - data["packed_bytes"] == cell["packed_bytes"] - layer["packed_bytes"]


def test_harsher_settings_take_fewer_bytes(measured: Any) -> None:
    _, data, _ = measured
    for row in data["layers"]:
        table = np.array(data["sizes"][row["name"]])
        assert table.shape == (1 + len(data["sparsities"]), 1 + len(data["bits"]))
        assert table[0, 0] == row["packed_bytes"]
        if row["weights"] > 300:
            assert (table[-1] < table[0]).all()
            assert (table[:, -1] < table[:, 0]).all()


def test_a_recommended_recipe_does_to_each_layer_what_it_says(measured: Any) -> None:
    home, data, _ = measured
    settings = [(0.5, 4), (0.0, 8), (0.7, 32), (0.9, 2), (0.0, 32)]
    layers = [
        {"layer": r["name"], "sparsity": s, "bits": b} for r, (s, b) in zip(data["layers"], settings, strict=False)
    ]
    recipe = api_sensitivity.recipe_for(DENSE, layers)
    assert Recipe.from_json(recipe.to_json()) == recipe
    model = applied(home, recipe).model
    codes, zeros = weight_codes(model), masks(model)
    for row in layers:
        name = row["layer"]
        assert (codes[name].bits if name in codes else 32) == row["bits"]
        share = 1 - float(zeros[name].float().mean()) if name in zeros else 0.0
        assert share == pytest.approx(row["sparsity"], abs=1 / zeros[name].numel() if name in zeros else 0)


def test_predicted_bytes_hold(measured: Any) -> None:
    home, data, _ = measured
    low, high = api_sensitivity.limits(data)
    for budget in np.linspace(low, (low + high) / 2, 4).astype(int):
        found = api_sensitivity.choose(data, int(budget))
        size = len(written(home, api_sensitivity.recipe_for(DENSE, found["layers"]))[0].packed())
        assert found["packed_bytes"] <= budget
        assert size <= budget
        assert found["packed_bytes"] - size <= 30 * len(found["layers"])


def test_equal_settings_are_one_part() -> None:
    rows = [{"layer": name, "sparsity": 0.0, "bits": 4} for name in ("a", "b")]
    stages = api_sensitivity.recipe_for(DENSE, rows).phases[-1].stages
    assert [(s.name, s.get("layers")) for s in stages] == [("quantize_linear", "*"), ("recalibrate", "*")]
    untouched = [row | {"bits": 32} for row in rows]
    assert api_sensitivity.recipe_for(DENSE, untouched) == DENSE


def test_a_damaged_file_is_measured_again(measured: Any, tmp_path: Path) -> None:
    _, data, _ = measured
    home = Home.locate(tmp_path)
    sensitivity_files.save(home, "k", data)
    assert sensitivity_files.load(home, "k") == data
    path = sensitivity_files.path(home, "k")
    path.write_text(path.read_text().replace("0", "1", 1))
    assert sensitivity_files.load(home, "k") is None
    assert sensitivity_files.load(home, "unknown") is None


def test_sizes_need_no_whole_file_for_pairs() -> None:
    weight = torch.randn(40, 50, generator=torch.Generator().manual_seed(1))
    cells = [{"kind": kind, "level": level, "packed_bytes": 2500} for kind, level in sensitivity.levels()]
    table = sensitivity.sizes(weight, 8000, cells)
    column = [row[1] for row in table]
    assert column == sorted(column, reverse=True)
    assert column[-1] < 1000 < column[0]
