"""``stillhouse longer``: what short runs are worth, a plan, and long runs with a runner that trains nothing."""

from __future__ import annotations

import json

import pytest
from api_tools import TASK
from longer_tools import measured, no_atlas, none_shipped, ten
from runner_tools import recipe
from runner_tools import stub_home as stub_home

from engine import api, cli
from engine.home import Home

pytestmark = pytest.mark.usefixtures("none_shipped", "no_atlas")
__all__ = ["no_atlas", "none_shipped"]


def call(home: Home, *words: str) -> int:
    return cli.main(["--home", str(home.root), "longer", *words])


def test_what_short_runs_are_worth(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(home, "--task", TASK) == 1
    assert "nothing was run both short and long" in capsys.readouterr().out
    ten(home)
    assert call(home, "--task", TASK) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "1 against 4 epochs: 10 recipes, 10 of this home"
    assert "rank  1.00" in said[1]
    assert said[1].endswith("trust: yes")
    assert call(home, "--task", TASK, "--json") == 0
    assert json.loads(capsys.readouterr().out)["steps"][0]["whole"]["verdict"] == "clear"


def test_a_plan_runs_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    key = measured(home, recipe(1), 0.8)
    assert call(home, key[:8], "--times", "8", "--plan") == 0
    assert "1 long runs, 0 known" in capsys.readouterr().out
    assert api.active(home) == []


def test_long_runs_are_waited_for_and_told(stub_home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [measured(stub_home, recipe(seed), 0.8) for seed in (11, 12)]
    assert call(stub_home, *(key[:12] for key in keys), "--json") == 0
    rows = json.loads(capsys.readouterr().out)["trials"]
    assert [(row["short"]["epochs"], row["long"]["epochs"]) for row in rows] == [(1, 4), (1, 4)]
    assert [row["short"]["key"] for row in rows] == keys
    assert call(stub_home, keys[0][:12]) == 0, "what is known is told at once"
    assert "80.0 % after 1 epochs ->" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"), [([], "--task NAME"), (["abc"], "no trial starts with it"), (["x", "--times", "1"], "--times")]
)
def test_bad_input_is_one_line(home: Home, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = call(home, *words)
    except SystemExit as end:
        status = int(str(end.code))
    assert status in (1, 2)
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
