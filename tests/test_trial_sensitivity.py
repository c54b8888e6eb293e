"""The view Layer by layer of the page Trial: a button asks for it, settings for a budget, equal ones beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sensitivity_tools import made_up
from streamlit.testing.v1 import AppTest
from test_trial_page import _key, _show
from test_trial_page import app as app
from test_trial_page import filled as filled

from engine import api_sensitivity, sensitivity_files
from engine.home import Home
from pages.parts import trial_sensitivity, trial_state

ADVICE: dict[str, Any] = {
    "metric": "accuracy", "direction": "maximize", "loss": 0.013, "repaired_loss": 0.001, "quality": 0.888,
    "quality_low": 0.88, "quality_high": 0.896, "packed_bytes": 1990, "measured": None, "equal": None, "layers": [
        {"layer": "first", "sparsity": 0.0, "bits": 32, "dense_bytes": 1000, "bytes": 1000, "loss": 0.0},
        {"layer": "last", "sparsity": 0.5, "bits": 4, "dense_bytes": 9000, "bytes": 490, "loss": 0.012}],
}  # fmt: skip
EQUAL = {"key": "k", "sparsity": 0.5, "bits": 3, "quality": 0.87, "quality_low": 0.86, "quality_high": 0.88,
         "packed_bytes": 1900}  # fmt: skip


@pytest.fixture
def known(filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dense student's layers are measured already."""
    dense = api_sensitivity.dense_of(filled, _key(filled)).key
    monkeypatch.setattr(sensitivity_files, "load", lambda *_: made_up(dense))
    monkeypatch.setattr(sensitivity_files, "path", lambda *_: Path(__file__))


def test_a_line_for_each_layer_and_the_sums() -> None:
    first, last, repaired, whole = trial_sensitivity.rows(ADVICE)
    assert first == ["first", "–", "float", "1 kB", "1 kB", "0.00 points"]
    assert last == ["last", "50 %", "4", "9 kB", "490 B", "1.20 points"]
    assert repaired == ["BatchNorm recalibrated", "", "", "", "", "0.10 points"]
    assert (whole[0], whole[3:]) == ("All together", ["10 kB", "1.49 kB", "1.30 points"])


def test_measured_and_equal_settings_stand_beside_the_prediction() -> None:
    assert [row[0] for row in trial_sensitivity.compared(ADVICE)] == ["predicted"]
    queued = ADVICE | {"measured": {"state": "queued", "error": None}, "equal": EQUAL}
    assert [row[1] for row in trial_sensitivity.compared(queued)] == ["88.8 %", "87.0 %"]
    done = ADVICE | {"measured": {**EQUAL, "state": "done", "quality": 0.86}, "equal": EQUAL}
    assert [row[1] for row in trial_sensitivity.compared(done)] == ["88.8 %", "86.0 %", "87.0 %"]
    said = trial_sensitivity.beside_equal
    far = ADVICE | {"equal": EQUAL | {"quality": 0.9}}
    inside = ADVICE | {"equal": EQUAL | {"quality": 0.895}}
    assert [said(a) for a in (ADVICE, queued, inside, far)] == ["", "", "equal_alike", "equal_better"]
    assert said(done) == "equal_alike"
    assert said(done | {"measured": {**done["measured"], "quality_high": 0.865}}) == "equal_better"
    errors = {"direction": "minimize", "quality": 0.2, "quality_low": 0.19, "quality_high": 0.21}
    assert [said(ADVICE | errors | {"equal": EQUAL | {"quality": q}}) for q in (0.1, 0.3)] == ["equal_better", ""]


def test_a_button_asks_for_it(app: AppTest, filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(api_sensitivity, "ask", lambda _home, key, _who: asked.append(key))
    _show(app, filled, view="sensitivity")
    app.button(key="sense_measure").click().run()
    assert asked == [_key(filled)]


def test_maps_settings_and_a_budget(known: None, app: AppTest, filled: Home) -> None:
    shown = _show(app, filled, view="sensitivity", budget="2000")
    assert "What each layer can bear" in shown
    assert "A setting for each layer" in shown
    assert len(app.get("plotly_chart")) == 2
    assert app.number_input(key=trial_state.widget("budget")).value == 2.0
    assert app.button(key="sense_run")
    app.number_input(key=trial_state.widget("budget")).set_value(3.0).run()
    assert app.query_params["budget"] == "3000"


def test_an_impossible_budget_is_said(known: None, app: AppTest, filled: Home) -> None:
    _show(app, filled, view="sensitivity", budget="7")
    assert any("out of reach" in w.value for w in app.warning)
