"""What the page is told about layers: asked for once, settings within a budget, measured beside predicted."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import stub_pipeline as stub
from api_tools import finish, none_shipped
from runner_tools import recipe
from sensitivity_tools import made_up

from engine import api, api_sensitivity, sensitivity_files, store_read
from engine.api_home import store_of
from engine.cli import main
from engine.errors import InputError, NotFoundError
from engine.figures.sensitivity import alt_text, sensitivity_figure, sensitivity_info
from engine.home import Home
from engine.result import Quality

__all__ = ["none_shipped"]
BUDGET = 2000


@pytest.fixture
def trial(home: Home, none_shipped: None) -> str:
    return finish(home, recipe(1))


@pytest.fixture
def known(home: Home, trial: str) -> str:
    dense = api_sensitivity.dense_of(home, trial)
    sensitivity_files.save(home, dense.key, made_up(dense.key, dense.student))
    return trial


def test_it_is_asked_for_once_for_a_dense_student(home: Home, trial: str) -> None:
    dense = api_sensitivity.dense_of(home, trial).key
    assert api_sensitivity.sensitivity(home, trial)["state"] == "none"
    assert {api_sensitivity.ask(home, trial[:10], who) for who in ("a", "b", "a")} == {f"sensitivity:{dense}"}
    (work,) = store_read.unfinished(store_of(home))
    assert (work.kind, work.body["dense"]) == ("sensitivity", api_sensitivity.dense_of(home, trial).to_json())
    assert api_sensitivity.sensitivity(home, trial)["state"] == "queued"
    with pytest.raises(NotFoundError):
        api_sensitivity.recommend(home, trial, BUDGET)
    assert api_sensitivity.estimate(home, trial, 8) == pytest.approx(2 * api_sensitivity.estimate(home, trial, 4))


def test_what_is_known_is_not_asked_for(home: Home, known: str) -> None:
    api_sensitivity.ask(home, known)
    assert store_read.unfinished(store_of(home)) == []
    assert api_sensitivity.sensitivity(home, known)["data"]["quality"] == 0.9


def test_the_layer_that_matters_keeps_more(home: Home, known: str) -> None:
    found = api_sensitivity.recommend(home, known, BUDGET)
    first, last = found["layers"]
    assert found["packed_bytes"] <= BUDGET
    assert first["bits"] > last["bits"] or first["sparsity"] < last["sparsity"]
    assert found["loss"] == pytest.approx(first["loss"] + last["loss"])
    assert found["quality"] == pytest.approx(0.9 - found["loss"])
    assert found["quality_low"] <= found["quality"] <= found["quality_high"]
    assert found["measured"] is None
    assert api.check(found["recipe"]).key == found["key"]


def test_more_bytes_never_predict_less(home: Home, known: str) -> None:
    data = api_sensitivity.sensitivity(home, known)["data"]
    low, high = api_sensitivity.limits(data)
    losses = [api_sensitivity.choose(data, size, "loss")["loss"] for size in range(low, high, 500)]
    assert losses == sorted(losses, reverse=True)
    assert low < api_sensitivity.usual_budget(data) < high
    with pytest.raises(InputError, match="at least"):
        api_sensitivity.recommend(home, known, low - 1)


def test_the_measured_result_stands_beside_the_prediction(home: Home, known: str) -> None:
    key = api_sensitivity.run(home, known, BUDGET)
    assert api_sensitivity.recommend(home, known, BUDGET)["measured"]["state"] == "queued"
    found = api_sensitivity.recommend(home, known, BUDGET)
    assert finish(home, found["recipe"]) == key == found["key"]
    measured = api_sensitivity.recommend(home, known, BUDGET)["measured"]
    assert measured["state"] == "done"
    assert measured["quality"] == api.result(home, key)["quality"]["value"]
    assert measured["packed_bytes"] == api.result(home, key)["cost"]["packed_bytes"]
    row = next(r for r in api.rows(home, "fashion_mnist") if r["key"] == key)
    assert row["by_layer"]


def test_the_best_equal_setting_that_is_measured_stands_beside_it(home: Home, known: str) -> None:
    dense = api_sensitivity.dense_of(home, known)
    assert api_sensitivity.recommend(home, known, 12_000)["equal"] is None
    cost = dataclasses.replace(stub.outcome_of(dense, False).result.cost, packed_bytes=1500)
    for bits, quality in ((4, 0.8), (3, 0.85)):
        better = Quality("accuracy", quality, quality - 0.01, quality + 0.01)
        finish(home, dense.with_one_shot(0.5, bits).to_json(), origin="grid", cost=cost, quality=better)
    found = api_sensitivity.recommend(home, known, BUDGET)["equal"]
    assert (found["bits"], found["sparsity"], found["quality"]) == (3, 0.5, 0.85)
    assert api_sensitivity.recommend(home, known, 1400)["equal"] is None


def test_a_teacher_is_refused(home: Home) -> None:
    teacher = next(r["key"] for r in api.rows(home, "fashion_mnist") if r["role"] == "teacher")
    with pytest.raises(InputError, match="student"):
        api_sensitivity.ask(home, teacher)


def test_the_command_says_the_same(home: Home, known: str, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["sensitivity", known[:12], "--home", str(home.root), "--max-bytes", "2kB"]
    assert main([*base, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["recommended"]["key"] == api_sensitivity.recommend(home, known, BUDGET)["key"]
    assert main(base) == 0
    text = capsys.readouterr().out
    assert "predicted" in text
    assert "within 2 kB" in text
    assert main([*base[:-1], "1B"]) == 2


class TestFigure:
    def test_cells_in_order_with_their_losses(self) -> None:
        info = sensitivity_info(made_up("d"), "bits")
        assert (info.layers, info.levels) == (("first", "last"), (8, 6, 4, 3, 2))
        assert len(info.cells) == 10
        worst = info.cells[info.worst or 0]
        assert (info.layers[worst.y], info.levels[worst.x], worst.loss) == ("first", 2, pytest.approx(0.2))
        assert [c.tied for c in info.cells if c.y == 1] == [True, True, True, True, False]
        assert "first with 2 bits: 20.00 points. 5 of 10" in alt_text(info)

    def test_numbers_units_and_one_scale_for_both(self) -> None:
        drawn: dict[str, Any] = {k: sensitivity_figure(sensitivity_info(made_up("d"), k)) for k in ("sparsity", "bits")}
        ends = {kind: d["data"][0]["zmax"] for kind, d in drawn.items()}
        assert ends["sparsity"] == ends["bits"] == pytest.approx(15)
        assert drawn["bits"]["data"][1]["text"].count("≈ 0") == 5
        assert "20.0" in drawn["bits"]["data"][1]["text"]
        assert drawn["sparsity"]["layout"]["xaxis"]["ticktext"][0] == "30 %"
        assert drawn["bits"]["data"][0]["colorbar"]["title"]["text"] == "points lost"

    def test_names_are_escaped(self) -> None:
        data = made_up("d")
        text = json.dumps(data).replace('"first"', '"<b>first"')
        drawn = sensitivity_figure(sensitivity_info(json.loads(text), "bits"), "dark")
        assert "<b>first" not in json.dumps(drawn["layout"])

    def test_nothing_measured(self) -> None:
        empty = made_up("d") | {"cells": [], "layers": []}
        info = sensitivity_info(empty, "bits")
        assert "No layer" in alt_text(info)
        assert sensitivity_figure(info)["data"]
