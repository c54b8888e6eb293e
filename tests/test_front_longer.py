"""Short runs against long ones as figures and on the page Front."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go
import pytest
from api_tools import TASK
from longer_tools import home, measured, no_atlas, none_shipped, ten
from runner_tools import recipe
from streamlit.testing.v1 import AppTest

from engine import api, api_longer, figures
from engine.figures.labels import ENGLISH
from engine.home import Home
from pages.parts import front_longer, front_state

pytestmark = pytest.mark.usefixtures("none_shipped", "no_atlas")
__all__ = ["home", "no_atlas", "none_shipped"]


class TestFigures:
    def step(self, home: Home) -> dict[str, Any]:
        ten(home)
        return dict(api_longer.short_and_long(home, TASK)["steps"][0])

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_pairs_are_drawn_with_the_winner_and_the_best(self, home: Home, theme: str) -> None:
        step = self.step(home)
        step["points"] = [*step["points"], {**step["points"][0], "short": 0.99, "long": 0.61, "here": False}]
        info = figures.longer_info(step)
        assert info.winner == len(info.xs) - 1
        assert info.ys[info.best or 0] == max(info.ys)
        drawn = figures.longer_figure(info, theme)
        go.Figure(drawn)
        json.dumps(drawn, allow_nan=False)
        names = [t["name"] for t in drawn["data"]]
        assert names == ["came with the project", "of this home", "best long run", "best short run"]
        assert "customdata" not in drawn["data"][0]
        assert len(drawn["data"][1]["customdata"]) == 10
        assert "1 epochs" in drawn["layout"]["xaxis"]["title"]["text"]
        alt = figures.alt_longer(info)
        assert "11 recipes" in alt
        assert "61.0 %" in alt

    def test_directions(self, home: Home) -> None:
        info = figures.longer_info(self.step(home), "cross_entropy", "minimize")
        assert info.xs[info.winner or 0] == min(info.xs)

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_trust_is_filled_where_it_is_given(self, home: Home, theme: str) -> None:
        step = self.step(home)
        weak = {**step["whole"], "knob": "weight", "values": [], "spearman": 0.2, "low": -0.1, "high": 0.4,
                "advised": False}  # fmt: skip
        few = {**weak, "knob": "bits", "spearman": None, "low": None, "high": None, "pairs": 3}
        info = figures.trust_info({**step, "knobs": [weak, few]}, 0.6)
        assert [line.name for line in info.lines] == ["all settings", "one student's runs", "teacher's weight", "bits"]
        drawn = figures.trust_figure(info, theme)
        go.Figure(drawn)
        json.dumps(drawn, allow_nan=False)
        places, dots = drawn["data"]
        assert places["y"] == [line.name for line in info.lines]
        assert dots["marker"]["symbol"][-1] == "circle-open"
        assert dots["marker"]["symbol"][0] == "circle"
        assert [n["y"] for n in drawn["layout"]["annotations"]] == ["bits"]
        assert "teacher's weight 0.20, -0.10 to 0.40" in figures.alt_trust(info)

    def test_nothing_to_draw(self) -> None:
        empty = {"short": 1, "long": 8, "points": []}
        info = figures.longer_info(empty)
        assert figures.longer_figure(info)["data"] == []
        assert figures.alt_longer(info) == ENGLISH["alt_longer_empty"]

    def test_words_are_filled(self) -> None:
        for name in ("longer_x", "longer_hover", "trust_hover", "alt_longer", "alt_trust_line"):
            assert [f for _, f, _, _ in string.Formatter().parse(ENGLISH[name]) if f]


class TestPage:
    @pytest.fixture
    def app(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
        import streamlit

        monkeypatch.setenv("STILLHOUSE_HOME", str(home.root))
        monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
        streamlit.cache_resource.clear()
        app = AppTest.from_function(_page, default_timeout=60)
        app.query_params["view"] = "longer"
        yield app
        streamlit.cache_resource.clear()

    def words(self, app: AppTest) -> str:
        return "\n".join([*(str(e.proto.body) for e in app.get("html")), *(c.value for c in app.caption)])

    def test_it_says_what_short_runs_are_worth(self, home: Home, app: AppTest) -> None:
        ten(home)
        app.run()
        assert not app.exception
        said = self.words(app)
        assert "<b>Yes.</b>" in said or "<strong>Yes.</strong>" in said
        assert "0.00 points" in said
        assert app.dataframe[-1].value["spearman"][0] == pytest.approx(1)

    def test_pressing_the_button_queues_the_long_runs(self, home: Home, app: AppTest) -> None:
        measured(home, recipe(1), 0.8)
        app.run()
        app.button(key="front_longer_start").click().run()
        assert not app.exception
        (work,) = api.active(home)
        assert work["recipe"]["phases"][0]["epochs"] == front_longer.USUAL_TIMES
        assert app.button(key="front_longer_start").disabled
        assert "queued" in app.dataframe[0].value["state"][0]

    def test_nothing_there_yet_is_said(self, app: AppTest) -> None:
        app.run()
        assert not app.exception
        assert "longer" in front_state.VIEWS

    @pytest.mark.parametrize("verdict", ["weak", "unsure"])
    def test_no_advice_has_its_reason(self, verdict: str, home: Home) -> None:
        ten(home)
        step = api_longer.short_and_long(home, TASK)["steps"][0]
        whole = {**step["whole"], "verdict": verdict, "tries": None, "advised": False}
        assert "No advice" in front_longer.advice({**step, "whole": whole}, "accuracy", 0.6)


def _page() -> None:
    from pages import front
    from pages.parts import frame

    frame.guarded(front.draw)()


def test_the_cost_of_a_short_winner_is_told_in_percentage_points() -> None:
    assert front_longer._points(0.0123, "accuracy").startswith("1.23")
    assert float(front_longer._points(0.0123, "cross_entropy")) == pytest.approx(0.0123)
