"""``stillhouse sweep``: plan, run, JSON, budget, failures, Ctrl-C; with a runner that trains nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from runner_tools import check_kept, ran, recipe, stub_environment, until
from runner_tools import stub_home as stub_home

from engine import api_sweeps, cli
from engine.cli_sweep import progress_text
from engine.home import Home
from engine.recipe import Recipe

EXAMPLES = sorted(p for p in (ROOT / "examples").glob("*.json") if "sweep" in json.loads(p.read_text("utf-8")))


def write(tmp_path: Path, row: Any) -> str:
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(row))
    return str(path)


def seeds(*values: int, **options: Any) -> dict[str, Any]:
    return {**recipe(), "seed": list(values), "sweep": {"name": "seeds", **options}}


def call(home: Home, *words: str) -> int:
    return cli.main(["--home", str(home.root), "sweep", *words])


def test_plan_says_what_would_run_and_runs_nothing(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, {**seeds(0, 1), "phases": [{**recipe()["phases"][0], "epochs": [0, 1]}]})
    assert call(home, path, "--plan") == 0
    said = capsys.readouterr().out
    assert "2 of 4 combinations" in said
    assert "epochs: 0, 1" in said
    assert "2 combinations left out" in said
    assert call(home, path, "--plan", "--json", "--trials", "1") == 0
    assert json.loads(capsys.readouterr().out)["trials"] == 1
    assert api_sweeps.sweeps(home) == []


def test_a_sweep_runs_and_prints_status_results_and_front(
    stub_home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, seeds(0, 1, 2, grids=True))
    assert call(stub_home, path, "--json") == 0
    out, said = capsys.readouterr()
    told = json.loads(out)
    assert (told["state"], told["done"], told["failed"]) == ("done", 3, 0)
    assert len(told["results"]) == 3 + 3 + 3 * 6  # trials, dense students, grid points
    front = {row["key"] for row in told["front"]}
    best = max(told["results"], key=lambda row: row["quality"])
    assert best["key"] in front
    assert "3 of 3 combinations" in said
    assert "3 of 3 trials done" in said
    assert call(stub_home, path) == 0  # everything is known
    out, said = capsys.readouterr()
    assert "3 known already" in said
    assert "done" in out
    assert set(ran(stub_home).values()) == {1}


def test_failures_are_told_and_the_status_is_1(
    stub_home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import stub_pipeline as stub

    path = write(tmp_path, seeds(0, stub.REFUSES))
    assert call(stub_home, path, "--json") == 1
    out, said = capsys.readouterr()
    told = json.loads(out)
    assert (told["done"], told["failed"]) == (1, 1)
    assert told["errors"][0]["setting"] == {"seed": stub.REFUSES}
    assert "1 of 2 trials failed" in said
    assert "training diverged" in said


def test_a_budget_pauses_the_sweep(
    stub_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUB_SECONDS", "1")
    path = write(tmp_path, seeds(*range(60)))
    assert call(stub_home, path, "--budget-seconds", "2") == 0
    assert "paused (its budget of 2 s is spent)" in capsys.readouterr().out
    now = api_sweeps.sweeps(stub_home)[0]
    assert now["state"] == "paused"
    assert 0 < now["done"] < 20
    assert now["running"] == now["queued"] == 0
    assert 2 <= now["spent_seconds"] < 10


def test_ctrl_c_cancels(stub_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_environment(monkeypatch, seconds=30)
    command = [sys.executable, "-m", "engine", "--home", str(stub_home.root), "sweep", write(tmp_path, seeds(0, 1, 2))]
    # a shell's background job hands an ignored SIGINT on to all its children: the test would wait for nothing
    running = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
                               env=dict(os.environ), text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # fmt: skip
    until(lambda: [s for s in api_sweeps.sweeps(stub_home) if s["running"]])
    running.send_signal(signal.SIGINT)
    out, said = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "was cancelled" in said
    assert json.loads(out)["state"] == "cancelled"
    now = api_sweeps.sweeps(stub_home)[0]
    assert (now["state"], now["running"], now["cancelled"]) == ("cancelled", 0, 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.json"], "cannot be read"),
        (["{path}", "--trials", "0"], "--trials"),
        (["{path}", "--budget-seconds", "soon"], "--budget-seconds"),
        (["{path}", "--plans"], "--plan"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    words: list[str], said: str, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, seeds(0))
    assert call(home, *(word.format(path=path) for word in words)) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_a_file_that_means_nothing_is_bad_input(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for row in ({**seeds(0), "sweep": []}, {**seeds(0), "studnet": "plain_1k5"}, {"task": "fashion_mnist"}):
        assert call(home, write(tmp_path, row), "--trials", "1") == 2
    assert "student" in capsys.readouterr().err


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_the_example_sweeps_can_run(path: Path, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(home, str(path), "--plan", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["left_out"] == 0
    assert told["trials"] >= 4


def test_the_file_in_the_documentation_can_run(home: Home) -> None:
    text = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    files = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    assert [api_sweeps.plan(home, file)["trials"] for file in files] == [16]
    named = re.findall(r"^\| (\w+) \| [A-Z].*\? \|$", text, re.MULTILINE)
    assert named == [r["name"] for r in api_sweeps.ready("fashion_mnist")]


def test_progress_in_one_line() -> None:
    row = {"done": 3, "trials": 9, "grid_points": 72, "failed": 1, "running": 2, "seconds_left": 61.0}
    assert progress_text(row).startswith("3 of 9 trials done, 72 grid points, 1 failed, 2 running, about 1 min")


def test_two_workers_do_every_trial_once(stub_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_environment(monkeypatch, seconds=0.02)
    assert call(stub_home, write(tmp_path, seeds(*range(20)))) == 0
    check_kept(stub_home, [Recipe.from_json(recipe(seed)).key for seed in range(20)])
    assert set(ran(stub_home).values()) == {1}
