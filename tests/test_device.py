"""``--device``: chosen by a process, not by a recipe; refused where it cannot be; and on a card where there is one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runner_tools import end_runner, recipe, runner_of, stub_environment, stub_home, until

from engine import api, catalogue, cli, cli_device, cli_parser, cuda, device, doctor
from engine.errors import InputError
from engine.execution import presence
from engine.execution.slot import Slot
from engine.home import Home
from engine.pipeline import run
from engine.recipe import Recipe
from engine.student import train
from engine.workbench import Bench

__all__ = ["stub_home"]
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SMALL = {
    "task": "fashion_mnist", "student": "plain_1k5", "labels": 200,
    "phases": [
        {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"],
         "stages": [{"name": "prune_magnitude", "sparsity": 0.5, "schedule": "gradual"}]},
        {"epochs": 0, "stages": [{"name": "quantize_linear", "bits": 8}, {"name": "recalibrate"}]},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _unchanged(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The choice is the process's; the next test must not inherit it."""
    monkeypatch.setenv(device.VARIABLE, "")  # so that it is put back as it was
    cuda.problem.cache_clear()
    yield
    cuda.problem.cache_clear()


def without_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.2")


def test_auto_is_the_processor_where_there_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    without_card(monkeypatch)
    for given in ("", "auto", "cpu"):
        monkeypatch.setenv(device.VARIABLE, given)
        assert cuda.resolve() == torch.device("cpu")
    assert cuda.title(torch.device("cpu")) == "cpu"


def test_cuda_without_a_card_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    without_card(monkeypatch)
    monkeypatch.setenv(device.VARIABLE, "cuda")
    with pytest.raises(InputError, match=r"'cuda' is not allowed; allowed: auto or cpu.*finds no CUDA card"):
        cuda.resolve()
    cuda.problem.cache_clear()
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(InputError, match="built without CUDA"):
        cuda.resolve()


def test_auto_does_without_a_card_that_cannot_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no kernel image is available\nmore")

    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda.torch, "zeros", broken)
    assert cuda.problem() == "no kernel image is available"
    assert cuda.resolve() == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_command_line_refuses_cuda_before_it_asks_for_anything(home: Home, capsys: Any) -> None:
    assert cli.main(["run", "--task", "fashion_mnist", "--device", "cuda"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("stillhouse: --device: 'cuda' is not allowed; allowed: auto or cpu")
    assert said.count("\n") == 1
    assert api.active(home) == []
    assert not presence.runner_lives(home)


@pytest.mark.parametrize(
    "command", [["run"], ["sweep", "s.json"], ["longer"], ["sensitivity", "a"], ["app"], ["runner"]]
)
def test_what_trains_takes_the_option(command: list[str], capsys: Any) -> None:
    assert cli_parser.parse([*command, "--device", "cpu"]).device == "cpu"
    assert cli_parser.parse(command).device is None
    assert cli.main([*command, "--device", "cpuu"]) == 2
    assert "did you mean 'cpu'?" in capsys.readouterr().err


def test_a_wrong_word_in_the_environment_is_named(home: Home, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv(device.VARIABLE, "gpu")
    assert cli.main(["run", "--task", "fashion_mnist"]) == 2
    assert device.VARIABLE in capsys.readouterr().err


def test_the_key_does_not_depend_on_it_and_the_result_names_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Recipe.from_json(SMALL)
    monkeypatch.setenv(device.VARIABLE, "cpu")
    assert Recipe.from_json(SMALL).key == wanted.key
    result = run(wanted, home, lambda _e: None, Slot(home)).result
    assert result.environment["device"] == "cpu"
    resumed = Bench(wanted, home)
    assert train(resumed).device == "cpu"


def test_where_a_kept_training_ran_stays_known(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(Recipe.from_json(SMALL), home)
    monkeypatch.setattr(cuda, "title", lambda _where: "cuda (a card)")
    assert train(bench).device == "cuda (a card)"
    monkeypatch.undo()
    assert train(Bench(bench.recipe, home)).device == "cuda (a card)"  # its phase was kept, only the last one is new


def choose(home: Home, name: str) -> None:
    cli_device.choose(cli_parser.parse(["run", "--device", name]), home)


def test_an_idle_runner_elsewhere_makes_way_and_a_busy_one_stays(
    stub_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = runner_of(stub_home)
    until((stub_home.lock("runner").with_suffix(".json")).exists)
    choose(stub_home, "auto")  # as it is
    assert presence.runner_lives(stub_home)
    choose(stub_home, "cpu")
    assert not presence.runner_lives(stub_home)
    assert first.wait(5) in (0, None)
    assert os.environ[device.VARIABLE] == "cpu"
    second = runner_of(stub_home)
    until(lambda: str(second.pid) in stub_home.lock("runner").with_suffix(".json").read_text())
    choose(stub_home, "cpu")
    stub_environment(monkeypatch, seconds=5.0)
    api.submit(stub_home, recipe(), companions=False)
    monkeypatch.setattr(device, "check_cuda", lambda _where: None)
    with pytest.raises(InputError, match="allowed: cpu while this home's runner is at work"):
        choose(stub_home, "cuda")
    assert presence.runner_lives(stub_home)
    end_runner(stub_home)


def test_doctor_says_who_uses_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    class Said:
        stdout = "NVIDIA H200\n"

    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: Said())
    monkeypatch.setattr(doctor.machine, "version", lambda _: "2.15.0+cu132")
    assert doctor.gpu().state == "ok"
    assert doctor.gpu().text.startswith("NVIDIA H200: students train on it")
    monkeypatch.setattr(doctor.machine, "version", lambda _: "2.15.0+cpu")
    assert doctor.gpu().state == "note"


@pytest.mark.gpu
@GPU
def test_a_whole_trial_on_a_card(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(device.VARIABLE, "cuda")
    done = run(Recipe.from_json(SMALL), home, lambda _e: None, Slot(home))
    assert done.result.environment["device"].startswith("cuda (")
    trained = train(Bench(Recipe.from_json(SMALL), home))
    assert {p.device.type for p in trained.model.state_dict().values()} == {"cpu"}
    again = run(Recipe.from_json(SMALL), Home.locate(tmp_path / "other"), lambda _e: None, Slot(home))
    assert np.array_equal(done.predictions, again.predictions)  # same recipe and seed, same weights on one machine
    monkeypatch.setenv(device.VARIABLE, "cpu")
    other = run(Recipe.from_json(SMALL), Home.locate(tmp_path / "cpu"), lambda _e: None, Slot(home))
    assert other.result.key == done.result.key
    assert abs(other.result.quality.value - done.result.quality.value) < 0.05


def every(kind: str) -> list[str]:
    """The names of all plug-ins of a kind."""
    return [str(name) for name in catalogue.current().names(kind)]


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("stage", every("stages"))
def test_every_stage_on_a_card(stage: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.VARIABLE, "cuda")
    first = {"epochs": 1, "loss": {"name": "kd"}, "teachers": ["teacher"], "stages": [{"name": stage}]}
    trained = train(Bench(Recipe.from_json(SMALL | {"phases": [first]}), home))
    assert trained.device.startswith("cuda (")
    assert {t.device.type for t in trained.model.state_dict().values()} == {"cpu"}


def taught_by(loss: str) -> Recipe:
    """An epoch under one loss, with as many teachers as it needs."""
    row = catalogue.current().row("losses", loss)
    teachers = ["teacher"] * int(row.get("least_teachers", 1)) if row["needs_teacher"] else []
    return Recipe.from_json(SMALL | {"phases": [{"epochs": 1, "loss": {"name": loss}, "teachers": teachers}]})


@pytest.mark.gpu
@GPU
@pytest.mark.parametrize("loss", every("losses"))
def test_every_loss_on_a_card(loss: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.VARIABLE, "cuda")
    assert train(Bench(taught_by(loss), home)).curve
