"""``bench.py`` of an export: one file, onnxruntime and numpy only, the program of this package word by word."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from engine import cli
from engine.measure import standalone

BLOCKER = """
import runpy, sys, sysconfig

inside = tuple(sysconfig.get_paths()[n] for n in ("stdlib", "platstdlib"))

class Blocker:
    def find_spec(self, name, path=None, target=None):
        # what onnxruntime and numpy import themselves is their affair
        asked = sys._getframe(1)
        while asked and "importlib" in asked.f_code.co_filename:
            asked = asked.f_back
        by = asked.f_globals.get("__name__", "") if asked else ""
        top = name.partition(".")[0]
        ours = by == "__main__"
        if ours and top not in sys.stdlib_module_names | {"onnxruntime", "numpy"} or top in ("engine", "torch", "onnx"):
            raise ImportError(f"blocked: {name}")

sys.meta_path.insert(0, Blocker())
for name in ("engine", "torch"):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} can be imported")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def small_export(folder: Path) -> Path:
    """A folder as ``export`` writes it, as far as bench.py reads it: one matrix product."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Flatten", ["input"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["logits"])]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 4, 4])
    gives = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "small", [given], [gives], [helper.make_tensor("w", 1, [16, 3], [0.5] * 48)])
    folder.mkdir()
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx"
    )
    row = {"key": "a" * 32, "recipe": {"task": "shapes"}, "artifact": {"onnx": "model.onnx"}}
    (folder / "result.json").write_text(json.dumps(row))
    (folder / "bench.py").write_text(standalone.source(), encoding="utf-8")
    return folder


def test_it_runs_where_nothing_of_the_project_can_be_imported(tmp_path: Path) -> None:
    folder = small_export(tmp_path / "out")
    (tmp_path / "blocked.py").write_text(BLOCKER)
    command = [sys.executable, "-I", str(tmp_path / "blocked.py"), str(folder / "bench.py")]
    command += ["--json", "--seconds", "0.1", "--batches", "1,2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["format"], found["version"]) == ("stillhouse bench", 1)
    (model,) = found["models"]
    assert model["key"] == "a" * 32
    assert set(model["batches"]) == {"1", "2"}
    row = model["batches"]["1"]
    assert 0 < row["low_ms"] <= row["median_ms"] <= row["high_ms"]
    assert row["rounds"] >= 3
    assert row["memory_bytes"] >= 0


def test_the_command_measures_as_the_file_does(tmp_path: Path, capsys: Any) -> None:
    first, second = small_export(tmp_path / "a"), small_export(tmp_path / "b")
    words = ["bench", str(first), str(second), "--seconds", "0.1", "--batches", "1", "--json"]
    assert cli.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    one, other = (model["batches"]["1"] for model in found["models"])
    assert one["ratio"] is None
    assert other["ratio_low"] <= other["ratio"] <= other["ratio_high"]


@pytest.mark.parametrize(
    "words", [["--batches", "0"], ["--batches", "1,x"], ["--seconds", "nan"], ["--threads", "999"]]
)
def test_impossible_options_are_refused(words: list[str], tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["bench", str(tmp_path), *words]) == 2
    assert "allowed" in capsys.readouterr().err


def test_a_folder_that_is_no_export(tmp_path: Path, capsys: Any) -> None:
    for text in (None, "{", "[]", '{"artifact": 1}'):
        if text:
            (tmp_path / "result.json").write_text(text)
        assert cli.main(["bench", str(tmp_path)]) == 1
        assert "`stillhouse export` has written" in capsys.readouterr().err


def test_it_holds_every_function_of_its_parts() -> None:
    text = standalone.source()
    assert standalone.joined(standalone.PARTS) == text
    whole = {node.name: ast.dump(node) for node in ast.parse(text).body if hasattr(node, "name")}
    for path in standalone.PARTS:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            assert not hasattr(node, "name") or whole[node.name] == ast.dump(node)
    assert str(ROOT) not in text
    tops = {alias.split(".")[0] for alias in _imported(text)}
    assert tops - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


def _imported(text: str) -> list[str]:
    nodes = list(ast.walk(ast.parse(text)))
    plain = [a.name for n in nodes if isinstance(n, ast.Import) for a in n.names]
    return plain + [str(n.module) for n in nodes if isinstance(n, ast.ImportFrom) and n.module != "__future__"]


def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("A = 1\n")
    (tmp_path / "two.py").write_text("A = 2\n")
    with pytest.raises(ValueError, match="the name A"):
        standalone.joined([tmp_path / "one.py", tmp_path / "two.py"])
    (tmp_path / "two.py").write_text("from engine.home import Home\n")
    with pytest.raises(ValueError, match=r"engine\.home"):
        standalone.joined([tmp_path / "one.py", tmp_path / "two.py"])
