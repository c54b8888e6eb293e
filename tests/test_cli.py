"""The command line: recipes from options, tables, the app and the other servants."""

from __future__ import annotations

import argparse
import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from figure_rows import many, row

from engine import api, cli, cli_parser, cli_serve
from engine.cli_recipe import recipe_of
from engine.recipe import Recipe

TASK = "fashion_mnist"
DEFAULT = {"name": "prune_magnitude", "schedule": "gradual", "sparsity": 0.5}


def recipe(*options: str) -> dict[str, Any]:
    """The recipe that ``run --task fashion_mnist OPTIONS`` means."""
    return recipe_of(cli_parser.parse(["run", "--task", TASK, *options]))


def stages(phase: dict[str, Any]) -> list[str]:
    return [s["name"] for s in phase["stages"]]


class TestRecipe:
    def test_without_options_it_is_the_default_run(self) -> None:
        assert Recipe.from_json(recipe()).key == api.check(api.default_recipe(TASK)).key

    def test_simple_options_replace_single_values(self) -> None:
        made = recipe("--student", "plain_5k", "--epochs", "1", "--seed", "7", "--labels", "200", "--data", "full")
        assert (made["student"], made["seed"], made["labels"], made["data"]) == ("plain_5k", 7, 200, "full")
        assert made["phases"][0]["epochs"] == 1
        assert stages(made["phases"][0]) == ["prune_magnitude"]
        assert Recipe.from_json(made)

    def test_loss_takes_the_default_runs_other_settings(self) -> None:
        assert recipe("--loss", "kd:temperature=2")["phases"][0]["loss"] == {
            "name": "kd", "temperature": 2.0, "weight": 0.9}  # fmt: skip

    def test_a_loss_without_teacher_drops_it(self) -> None:
        made = recipe("--loss", "cross_entropy")
        assert made["phases"][0]["teachers"] == []
        assert Recipe.from_json(made)

    def test_stages_replace_the_default_and_gradual_ones_join_the_training(self) -> None:
        made = recipe("--stage", "prune_magnitude:sparsity=0.8,schedule=gradual", "--stage", "quantize_linear:bits=4")
        first, second = made["phases"]
        assert first["stages"] == [{"name": "prune_magnitude", "sparsity": 0.8, "schedule": "gradual"}]
        assert second == {"epochs": 0, "stages": [{"name": "quantize_linear", "bits": 4}, {"name": "recalibrate"}]}
        assert Recipe.from_json(made)

    def test_one_shot_stages_follow_and_are_finetuned(self) -> None:
        first, second = recipe("--stage", "prune_channels:sparsity=0.5", "--finetune-epochs", "2")["phases"]
        assert stages(first) == []
        assert stages(second) == ["prune_channels", "recalibrate"]
        assert (second["epochs"], second["loss"], second["teachers"]) == (2, first["loss"], first["teachers"])

    def test_what_must_come_before_a_training_stage_joins_it(self) -> None:
        made = recipe("--stage", "prune_channels", "--stage", "quantize_linear:bits=3,training=qat")
        assert stages(made["phases"][0]) == ["prune_channels", "quantize_linear"]
        assert Recipe.from_json(made)

    def test_joint_puts_all_into_the_training(self) -> None:
        made = recipe("--stage", "prune_magnitude", "--stage", "quantize_linear", "--joint")
        assert [stages(p) for p in made["phases"]] == [["prune_magnitude", "quantize_linear", "recalibrate"]]
        assert Recipe.from_json(made)

    def test_recalibration_is_left_out_when_asked_or_given(self) -> None:
        bare = recipe("--stage", "quantize_linear", "--no-recalibrate")
        assert stages(bare["phases"][1]) == ["quantize_linear"]
        assert stages(recipe("--no-recalibrate")["phases"][1]) == ["quantize_linear"]
        twice = recipe("--stage", "quantize_linear", "--stage", "recalibrate")
        assert stages(twice["phases"][1]) == ["quantize_linear", "recalibrate"]

    def test_no_stages_is_the_dense_student(self) -> None:
        made = Recipe.from_json(recipe("--stage", "none"))
        assert made.key == Recipe.from_json(recipe()).dense().key

    def test_a_file_is_taken_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "r.json"
        path.write_text(json.dumps(api.default_recipe(TASK)))
        assert recipe_of(cli_parser.parse(["run", str(path), "--test", "--json"])) == api.default_recipe(TASK)


def test_home_may_stand_before_or_after_the_command(tmp_path: Path) -> None:
    for words in (["--home", "x", "doctor"], ["doctor", "--home", "x"]):
        assert cli_parser.parse(words).home == "x"
    assert cli_parser.parse(["doctor"]).home is None


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, home: Any) -> list[dict[str, Any]]:
    """Forty made-up points instead of a store's, two of them special."""
    found = [*many(40), row(900, quality=0.99, packed_bytes=10, preview=True)]
    found.append(row(901, quality=0.9301, packed_bytes=90_000, latency_ms=3.0, origin="shipped", role="teacher"))
    monkeypatch.setattr(api, "rows", lambda *_: found)
    return found


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """The object that a command prints with --json, and nothing else on stdout."""
    assert cli.main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


class TestTables:
    def test_list_names_everything_with_its_knobs(self, capsys: pytest.CaptureFixture[str]) -> None:
        known = printed(capsys, "list")
        assert set(known) == {"tasks", "models", "losses", "stages"}
        kd = next(r for r in known["losses"] if r["name"] == "kd")
        assert {k["name"] for k in kd["knobs"]} == {"temperature", "weight", "temperature_schedule"}
        assert set(printed(capsys, "list", "stages")) == {"stages"}
        assert cli.main(["list", "losses"]) == 0
        assert "temperature=4.0 (a number from" in capsys.readouterr().out

    def test_results_are_sorted_by_the_cost(self, rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
        found = printed(capsys, "results", "--task", TASK, "--cost", "latency_ms")["results"]
        assert len(found) == len(rows)
        assert [r["latency_ms"] for r in found] == sorted(r["latency_ms"] for r in rows)

    def test_a_line_names_what_is_shipped_whatever_its_role(self, rows: Any, capsys: Any) -> None:
        rows.append(row(902, sparsity=0.0, pruning="none", bits=4))
        assert cli.main(["results", "--task", TASK]) == 0
        lines = capsys.readouterr().out.splitlines()
        (teacher,) = [line for line in lines if " teacher " in line]
        assert teacher.endswith(", shipped")
        assert sum("unpruned, 4 bits" in line for line in lines) == 1
        assert not any(" dense, " in line for line in lines), "a quantized student is no dense one"

    def test_front_holds_no_beaten_point(self, rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
        found = printed(capsys, "front", "--task", TASK)
        line = found["front"]
        measured = [r for r in rows if not r["preview"]]
        for point in line:
            beaten = [
                r for r in measured if r["packed_bytes"] <= point["packed_bytes"] and r["quality"] > point["quality"]
            ]
            assert not beaten
        assert found["knee"] in {r["key"] for r in line}
        assert cli.main(["front", "--task", TASK]) == 0
        assert capsys.readouterr().out.count("knee") == 1

    def test_csv_can_be_read_back(self, rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["results", "--task", TASK, "--csv"]) == 0
        found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert len(found) == len(rows)
        assert {float(r["quality"]) for r in found} == {r["quality"] for r in rows}
        assert found[0]["key"] == rows[-2]["key"], "cheapest first"

    def test_recommend_keeps_to_the_budget(self, rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
        found = printed(capsys, "recommend", "--task", TASK, "--max-bytes", "10kB", "--max-latency", "100us")
        chosen = found["recommendation"]
        assert found["budget"]["max_bytes"] == 10_000
        fits = [r for r in rows if r["packed_bytes"] <= 10_000 and r["latency_ms"] <= 0.1 and not r["preview"]]
        assert chosen["quality"] == max(r["quality"] for r in fits)
        smallest = printed(capsys, "recommend", "--task", TASK, "--min-quality", "80%")["recommendation"]
        enough = [r for r in rows if r["quality"] >= 0.8 and not r["preview"]]
        assert smallest["packed_bytes"] == min(r["packed_bytes"] for r in enough)

    def test_recommend_names_a_shipped_result_as_such(self, rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["recommend", "--task", TASK, "--min-quality", "0.93"]) == 0
        assert "shipped result; time measured on here" in capsys.readouterr().out

    def test_nothing_within_the_budget_is_status_1(self, rows: Any, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["recommend", "--task", TASK, "--max-bytes", "11", "--json"]) == 1
        out, err = capsys.readouterr()
        assert json.loads(out)["recommendation"] is None
        assert "the smallest packed_bytes is" in err

    def test_no_points_yet_is_status_1(self, home: Any, monkeypatch: Any, capsys: Any) -> None:
        monkeypatch.setattr(api, "rows", lambda *_: [])
        assert cli.main(["front", "--task", TASK]) == 1
        assert "stillhouse run --task fashion_mnist" in capsys.readouterr().err


class TestServants:
    def test_catalogue_is_written_as_it_is_committed(self, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
        monkeypatch.setattr(cli_serve, "CATALOGUE", tmp_path / "catalogue.json")
        answer = subprocess.CompletedProcess([], 0, '{"tasks": []}\n', "")
        monkeypatch.setattr(cli_serve.subprocess, "run", lambda *a, **k: answer)
        assert cli.main(["catalogue"]) == 0
        assert (tmp_path / "catalogue.json").read_text() == '{"tasks": []}\n'
        monkeypatch.setattr(
            cli_serve.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess([], 1, "", "no\nX: bad")
        )
        assert cli.main(["catalogue"]) == 1
        assert capsys.readouterr().err == "stillhouse: a plug-in cannot be described: X: bad\n"

    def test_the_servers_settings_come_from_the_options(self) -> None:
        options = argparse.Namespace(host="127.0.0.1", port=8777)
        command = cli_serve._command(options)
        assert command[1:] == ["-m", "pages.serve", "--address", "127.0.0.1", "--port", "8777"]

    def test_module_and_script_say_the_version(self) -> None:
        done = subprocess.run([sys.executable, "-m", "engine", "--version"], capture_output=True, text=True, cwd=ROOT)
        assert done.stdout.startswith("stillhouse 0.")

    def test_parsing_imports_no_torch(self) -> None:
        code = "import sys, engine.cli; engine.cli.main(['list']); print({'torch', 'onnxruntime'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
        assert done.stdout.splitlines()[-1] == "set()", done.stderr

    def test_app_says_its_address_when_it_answers_and_stops_with_its_server(self, tmp_path: Path) -> None:
        port = cli_serve.free_port("127.0.0.1", 18500)
        command = [sys.executable, "-m", "engine", "--home", str(tmp_path), "app", "--port", str(port), "--no-browser"]
        served = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert served.stdout is not None
            lines = iter(served.stdout.readline, "")
            assert next(line for line in lines if "Stillhouse is at" in line).split()[3] == f"http://127.0.0.1:{port}"
            assert cli_serve._healthy("127.0.0.1", port or 0)
            served.send_signal(signal.SIGINT)
            assert served.wait(20) == 130
            assert not cli_serve._healthy("127.0.0.1", port or 0)
        finally:
            served.kill()
