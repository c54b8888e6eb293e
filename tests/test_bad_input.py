"""Bad input on the command line: one line that says what is wrong and what is allowed, status 2 or 1, no traceback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from engine import api, api_home, cli, store_read

TASK = ("run", "--task", "fashion_mnist")

# words -> status, what the line must contain
CASES: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "no command": ((), 2, ("a command is missing", "run")),
    "unknown command": (("lisst",), 2, ("'list'",)),
    "unknown option": ((*TASK, "--epoch", "3"), 2, ("'--epoch'", "'--epochs'")),
    "one word too many": (("list", "stages", "now"), 2, ("'now'",)),
    "option without value": ((*TASK, "--epochs"), 2, ("--epochs", "expected one argument")),
    "no task": (("run",), 2, ("fashion_mnist", "recipe file")),
    "no task for a table": (("front",), 2, ("--task",)),
    "unknown task": (("run", "--task", "fashion_mnst"), 2, ("'fashion_mnst'", "'fashion_mnist'")),
    "unknown task in a table": (("results", "--task", "fashion"), 2, ("fashion_mnist",)),
    "unknown student": ((*TASK, "--student", "plain10k"), 2, ("'plain10k'", "'plain_10k'")),
    "student that is a teacher": ((*TASK, "--student", "teacher"), 2, ("student", "'teacher'")),
    "unknown teacher": ((*TASK, "--teacher", "techer"), 2, ("'techer'", "'teacher'")),
    "teacher that is a student": ((*TASK, "--teacher", "plain_10k"), 2, ("teacher",)),
    "teacher without use": ((*TASK, "--loss", "cross_entropy", "--teacher", "teacher"), 2, ("--teacher",)),
    "unknown loss": ((*TASK, "--loss", "kdd"), 2, ("'kdd'", "'kd'")),
    "unknown loss knob": ((*TASK, "--loss", "kd:temprature=3"), 2, ("temprature", "'temperature'")),
    "loss out of range": ((*TASK, "--loss", "kd:weight=1.5"), 2, ("weight", "from 0 to 1", "'1.0'")),
    "loss not a number": ((*TASK, "--loss", "kd:temperature=warm"), 2, ("'warm'", "a number")),
    "loss NaN": ((*TASK, "--loss", "kd:temperature=nan"), 2, ("nan", "a number")),
    "loss infinite": ((*TASK, "--loss", "kd:temperature=inf"), 2, ("inf", "a number")),
    "knob without value": ((*TASK, "--loss", "kd:temperature"), 2, ("knob=value",)),
    "knob twice": ((*TASK, "--loss", "kd:weight=0.1,weight=0.2"), 2, ("each setting once",)),
    "name as a knob": ((*TASK, "--loss", "kd:name=x"), 2, ("each setting once",)),
    "unknown stage": ((*TASK, "--stage", "prune_magnitud"), 2, ("'prune_magnitude'",)),
    "stage out of range": ((*TASK, "--stage", "quantize_linear:bits=9"), 2, ("bits", "from 1 to 8", "'8'")),
    "stage wrong type": ((*TASK, "--stage", "quantize_linear:bits=4.5"), 2, ("bits", "whole number")),
    "stage unknown word": ((*TASK, "--stage", "prune_magnitude:schedule=gradul"), 2, ("'gradual'",)),
    "stages in an impossible order": ((*TASK, "--stage", "quantize_linear", "--stage", "prune_channels"), 2,
                                      ("shape before mask before quantizer", "move prune_channels in front")),
    "none and a stage": ((*TASK, "--stage", "none", "--stage", "quantize_linear"), 2, ("either none or stages",)),
    "epochs zero": ((*TASK, "--epochs", "0"), 2, ("--epochs", "1 to 200")),
    "epochs not whole": ((*TASK, "--epochs", "2.5"), 2, ("--epochs", "whole number")),
    "epochs NaN": ((*TASK, "--epochs", "nan"), 2, ("--epochs",)),
    "seed negative": ((*TASK, "--seed", "-1"), 2, ("--seed", "4294967295")),
    "seed too large": ((*TASK, "--seed", "4294967296"), 2, ("--seed",)),
    "fewer labels than classes": ((*TASK, "--labels", "3"), 2, ("labels", "10 to 20000")),
    "unknown data": ((*TASK, "--data", "ful"), 2, ("'full'",)),
    "file and options": (("run", "r.json", "--epochs", "2"), 2, ("not both",)),
    "missing file": (("run", "no_such_recipe.json"), 2, ("no_such_recipe.json", "cannot be read")),
    "budget without number": (("recommend", "--task", "fashion_mnist", "--max-bytes", "small"), 2, ("100kB",)),
    "budget of nothing": (("recommend", "--task", "fashion_mnist", "--max-bytes", "0"), 2, ("above 0",)),
    "budget with another unit": (("recommend", "--task", "fashion_mnist", "--max-latency", "3kB"), 2, ("500us",)),
    "quality in percent": (("recommend", "--task", "fashion_mnist", "--min-quality", "88"), 2, ("'0.88'",)),
    "no budget": (("recommend", "--task", "fashion_mnist"), 2, ("at least one of",)),
    "unknown cost": (("front", "--task", "fashion_mnist", "--cost", "latency"), 2, ("'latency_ms'",)),
    "unknown kind": (("list", "model"), 2, ("'models'",)),
    "unknown trial": (("export", "feedbeef", "out"), 1, ("'feedbeef'", "no trial starts with it")),
    "empty trial": (("export", "", "out"), 1, ("no trial starts with it",)),
    "another host": (("app", "--host", "0.0.0.0"), 2, ("--host", "--join-code", "--i-know")),
    "no host": (("app", "--host", "my laptop"), 2, ("--host", "127.0.0.1")),
    "port too high": (("app", "--port", "70000"), 2, ("--port", "65535")),
}  # fmt: skip


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr; nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("stillhouse: ")
    return err


@pytest.mark.parametrize("name", CASES)
def test_refused_with_one_line(name: str, home: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    words, status, parts = CASES[name]
    monkeypatch.setattr(api, "ensure_runner", lambda _home: pytest.fail("a runner was started"))
    if "--task" in words and words[0] == "recommend":
        monkeypatch.setattr(api, "rows", lambda *_: [])
    assert cli.main(words) == status
    line = told(capsys)
    for part in parts:
        assert part in line
    assert not home.store.exists() or not store_read.unfinished(api_home.store_of(home)), "nothing was queued"


# file content -> what the line must contain
FILES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "not JSON": ('{"task": "fashion_mnist",', ("line 1 column", "a recipe in JSON")),
    "not text": (b"\xff\xfe\x00\x01", ("UTF-8",)),
    "nested without end": ("[" * 100_000, ("a recipe",)),
    "a number without end": ('{"seed": ' + "9" * 5000 + "}", ("a recipe",)),
    "a list": ([], ("an object",)),
    "nothing in it": ({}, ("recipe.task",)),
    "unknown field": ({"epoch": 3}, ("'epoch'",)),
    "unknown phase field": ({"phases": [{"epoch": 3}]}, ("'epoch'", "'epochs'")),
    "phases no list": ({"phases": "many"}, ("phases", "a list")),
    "no phases": ({"phases": []}, ("1 to 20",)),
    "NaN": ('{"task": "fashion_mnist", "student": "plain_10k", "seed": NaN, "phases": [{"epochs": 1}]}', ("seed",)),
    "true as a number": ({"seed": True}, ("seed", "True")),
    "text as a number": ({"phases": [{"epochs": "3"}]}, ("epochs", "'3'")),
    "gradual without epochs": ({"phases": [{"epochs": 1}, {"epochs": 0, "stages": [
        {"name": "prune_magnitude", "schedule": "gradual"}]}]}, ("epochs", "acts while training")),
    "qat without epochs": ({"phases": [{"epochs": 1}, {"stages": [{"name": "quantize_linear", "training": "qat"}]}]},
                           ("training=qat",)),
    "masks after quantizers": ({"phases": [{"epochs": 1}, {"stages": ["quantize_linear", "prune_magnitude"]}]},
                               ("prune_magnitude in front of quantize_linear",)),
    "distillation without teacher": ({"phases": [{"epochs": 1, "loss": "kd"}]}, ("at least one teacher",)),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_broken_recipe_file_is_refused(name: str, home: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    content, parts = FILES[name]
    if isinstance(content, dict) and content:
        content = {"task": "fashion_mnist", "student": "plain_10k", "phases": [{"epochs": 1}]} | content
    path = tmp_path / "recipe.json"
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.setattr(api, "ensure_runner", lambda _home: pytest.fail("a runner was started"))
    assert cli.main(["run", str(path)]) == 2
    line = told(capsys)
    for part in parts:
        assert part in line


def test_a_huge_recipe_file_is_not_read(home: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "big.json").open("wb") as file:
        file.truncate(10**10)
    assert cli.main(["run", str(tmp_path / "big.json")]) == 2
    assert "at most 1 MB" in told(capsys)


def test_a_folder_as_recipe(home: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(tmp_path)]) == 2
    assert "cannot be read" in told(capsys)


def test_a_file_as_home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["--home", str(tmp_path / "file"), "doctor"]) == 2
    assert "--home" in told(capsys)


def test_an_ambiguous_trial_names_its_candidates(home: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    found = ["ab" + "0" * 30, "ab" + "1" * 30]
    monkeypatch.setattr(store_read, "keys_starting", lambda *_: found)
    assert cli.main(["export", "ab", str(tmp_path / "out")]) == 1
    line = told(capsys)
    assert all(key in line for key in found)
    assert "type more of it" in line


def test_a_corrupt_store_is_told_in_one_line(home: Any, capsys: pytest.CaptureFixture[str]) -> None:
    home.store.write_bytes(b"not a database at all, though long enough to look like one " * 50)
    assert cli.main(["results", "--task", "fashion_mnist"]) == 1
    assert str(home.store) in told(capsys)


def test_a_taken_port_names_a_free_one(home: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(api, "ensure_runner", lambda _home: pytest.fail("a runner was started"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["app", "--port", str(port)]) == 2
        line = told(capsys)
    assert f"{port} is not allowed" in line
    free = int(line.rsplit("did you mean '")[1].split("'")[0])
    assert port < free < port + 100


@pytest.mark.parametrize(
    ("words", "status"), [(("run", "--task", "nothing"), 2), (("export", "feed", "out"), 1), (("frnt",), 2)]
)
def test_as_a_process_too(words: tuple[str, ...], status: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine", "--home", str(tmp_path / "home"), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == status
    assert done.stdout == ""
    assert done.stderr.startswith("stillhouse: ")
    assert done.stderr.count("\n") == 1
