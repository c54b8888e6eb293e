"""``stillhouse export``: a folder from which a network runs without this project."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from engine import api, cli, cli_export

TASK = "fashion_mnist"


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Any) -> dict[str, Any]:
    """A finished trial of the default recipe with a real small ONNX file (the mean of each image, ten times)."""
    from onnx import TensorProto, helper

    mean = helper.make_node("ReduceMean", ["input"], ["m"], axes=[1, 2, 3], keepdims=0)
    column, product = (("Unsqueeze", ["m", "one"], ["u"]), ("Mul", ["u", "w"], ["logits"]))
    nodes = [mean, helper.make_node(*column), helper.make_node(*product)]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 28, 28])
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    held = [helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            helper.make_tensor("w", TensorProto.FLOAT, [10], [float(i) for i in range(10)])]  # fmt: skip
    graph = helper.make_graph(nodes, "small", [given], [gives], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "made").mkdir()
    onnx.save(model, tmp_path / "made" / "model.onnx")
    digest = hashlib.sha256((tmp_path / "made" / "model.onnx").read_bytes()).digest()
    (tmp_path / "made" / "model.packed").write_bytes(b"SHPK\x02" + digest)
    quality = {"metric": "accuracy", "value": 0.9, "low": 0.89, "high": 0.91, "direction": "maximize"}
    latency = {"median_ms": 0.05, "runtime": "onnxruntime 1.32", "threads": 1, "simulated": True, "slower_here": False}
    cost = {"packed_bytes": 6, "onnx_bytes": 400, "parameters": 10174, "nonzero": 5000, "macs": 7, "latency": latency}
    files = {name: str(tmp_path / "made" / f"model.{name}") for name in ("onnx", "packed")}
    run = {"key": "a" * 32, "state": "done", "origin": "trial", "recipe": api.default_recipe(TASK), "quality": quality,
           "test": None, "cost": cost, "artifact": files, "environment": {"machine": "A chip, 2 cores"}}  # fmt: skip
    monkeypatch.setattr(api, "resolve", lambda _home, prefix: run["key"])
    monkeypatch.setattr(api, "result", lambda _home, _key: run)
    monkeypatch.setattr(api, "rows", lambda _home, _task: [{"key": run["key"], "created": 1_790_000_000.0}])
    return run


class TestExport:
    FILES = {"model.onnx", "model.packed", "decoder.py", "recipe.json", "result.json", "README.md", "run_example.py",
             "bench.py"}  # fmt: skip

    def test_folder_holds_all_and_the_example_runs_outside_the_project(self, finished: Any, tmp_path: Path) -> None:
        folder = tmp_path / "out"
        assert cli.main(["export", "aaaa", str(folder)]) == 0
        assert {p.name for p in folder.iterdir()} == self.FILES
        np.save(tmp_path / "white.npy", np.full((28, 28), 255, np.uint8))
        command = [sys.executable, "-I", str(folder / "run_example.py"), str(tmp_path / "white.npy")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        # white is (1 - 0.286) / 0.353 = 2.02, so the last class has the largest logit
        assert done.stdout.split("0.")[0].strip() == "Ankle boot"
        assert json.loads((folder / "recipe.json").read_text()) == finished["recipe"]
        assert json.loads((folder / "result.json").read_text())["artifact"] == {
            "onnx": "model.onnx", "packed": "model.packed"}  # fmt: skip

    def test_readme_says_how_to_prepare_an_input_and_what_was_measured(self, finished: Any, tmp_path: Path) -> None:
        assert cli.main(["export", "aaaa", str(tmp_path / "out")]) == 0
        text = (tmp_path / "out" / "README.md").read_text()
        for part in ("minus 0.286, divided by 0.353", "float32 [batch, 1 x 28 x 28]", "9. Ankle boot",
                     "on A chip, 2 cores, 2026-09-21", "0.9000 (95 % interval 0.8900 to 0.9100)",
                     "python decoder.py model.packed rebuilt.onnx", "simulated: no kernel ran"):  # fmt: skip
            assert part in text
        assert str(tmp_path) not in text + (tmp_path / "out" / "result.json").read_text()

    def test_a_folder_with_files_is_left_alone_unless_forced(self, finished: Any, tmp_path: Path, capsys: Any) -> None:
        (tmp_path / "mine.txt").write_text("precious")
        assert cli.main(["export", "aaaa", str(tmp_path)]) == 2
        assert "--force" in capsys.readouterr().err
        assert cli.main(["export", "aaaa", str(tmp_path), "--force"]) == 0
        assert (tmp_path / "mine.txt").read_text() == "precious"

    def test_a_grid_point_is_run_again_as_a_trial(
        self, finished: Any, tmp_path: Path, monkeypatch: Any, capsys: Any
    ) -> None:
        made, grid = finished["artifact"], {**finished, "origin": "grid", "artifact": {}}
        homes: list[Path] = []

        def result(where: Any, _key: str) -> dict[str, Any]:
            return {**finished, "artifact": made} if where.root in homes else grid

        def submit(where: Any, recipe: Any, companions: bool) -> dict[str, Any]:
            assert (recipe, companions) == (finished["recipe"], False)
            known = "export-" not in where.root.name
            homes.extend([] if known else [where.root])
            return {"key": finished["key"], "known": known}

        monkeypatch.setattr(api, "result", result)
        monkeypatch.setattr(api, "submit", submit)
        monkeypatch.setattr(cli_export, "_finish", lambda where, key: None)
        assert cli.main(["export", "aaaa", str(tmp_path / "out")]) == 0
        assert "running it as an ordinary trial" in capsys.readouterr().err
        assert {p.name for p in (tmp_path / "out").iterdir()} == self.FILES
        assert json.loads((tmp_path / "out" / "result.json").read_text())["origin"] == "grid"
        assert not homes[0].exists(), "the home beside it vanishes"

    def test_an_unfinished_trial_cannot_be_exported(self, finished: Any, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(api, "result", lambda *_: {**finished, "quality": None, "state": "running", "artifact": {}})
        assert cli.main(["export", "aaaa", str(tmp_path / "out")]) == 1
        assert not (tmp_path / "out").exists()
