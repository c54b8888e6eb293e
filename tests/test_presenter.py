"""The presenter's view: one figure, larger letters, its own controls, and a way back."""

from __future__ import annotations

from collections.abc import Iterator

import plotly.graph_objects as go
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from engine import api
from engine.home import Home
from pages.parts import carried, choices, theme
from pages.parts.drawing import Drawn, larger


def test_letters_symbols_lines_and_height_grow_and_nothing_else() -> None:
    figure = {
        "data": [{"type": "scatter", "x": [1, 2], "marker": {"size": 10, "line": {"width": 2}}, "line": {"width": 3}}],
        "layout": {"height": 300, "font": {"size": 12}, "xaxis": {"tickfont": {"size": 10}, "range": [0, 5]},
                   "annotations": [{"text": "knee", "x": 2, "font": {"size": 11}}]},
    }  # fmt: skip
    for made in (larger(Drawn(figure), 2), larger(go.Figure(figure), 2)):
        spec = made.to_dict()
        trace, layout = spec["data"][0], spec["layout"]
        assert (trace["marker"]["size"], trace["marker"]["line"]["width"], trace["line"]["width"]) == (20, 4, 6)
        assert list(trace["x"]) == [1, 2]
        assert (layout["height"], layout["font"]["size"], layout["xaxis"]["tickfont"]["size"]) == (600, 24, 20)
        assert layout["annotations"][0]["font"]["size"] == 22
        assert (layout["annotations"][0]["x"], list(layout["xaxis"]["range"])) == (2, [0, 5])


def test_a_figure_is_left_as_it_was() -> None:
    figure = Drawn({"data": [], "layout": {"font": {"size": 12}}})
    larger(figure, 2)
    assert figure.to_dict()["layout"]["font"]["size"] == 12


def _page() -> None:
    """What app.py does around a page: Streamlit's driver runs a page of st.navigation only once."""
    from pages import explore
    from pages.parts import control, frame, theme

    theme.apply()
    control.begin()
    frame.guarded(explore.draw)()
    frame.finish()


@pytest.fixture
def app(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """Explore in an empty home, without a runner, as a presenter sees it."""
    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    st.cache_resource.clear()
    found = AppTest.from_function(_page, default_timeout=60)
    found.query_params["present"] = "1"
    yield found
    st.cache_resource.clear()


def _charts(app: AppTest) -> set[str]:
    return {str(c.proto.id).split("-")[-1] for c in app.get("plotly_chart")}


def test_one_figure_is_shown_and_the_address_says_which(app: AppTest) -> None:
    app.run()
    assert _charts(app) == {"chart_packed_bytes"}
    assert not [b for b in app.button if b.key == "run"]
    app.segmented_control(key="figure").set_value("latency_ms").run()
    assert _charts(app) == {"chart_latency_ms"}
    assert {n: "".join(v) for n, v in app.query_params.items()} == {"present": "1", "figure": "latency_ms"}


def test_what_moves_a_figure_stands_below_it_and_moves_it(app: AppTest) -> None:
    app.query_params["figure"] = "soft"
    app.run()
    assert not [s for s in app.sidebar.select_slider if s.key == "temperature"]
    app.select_slider(key="temperature").set_value(8.0).run()
    assert {n: "".join(v) for n, v in app.query_params.items()} == {
        "present": "1", "figure": "soft", "temperature": "8",
    }  # fmt: skip
    assert not app.exception


def test_leaving_brings_the_settings_back(app: AppTest) -> None:
    app.run()
    app.button(key="leave_presenting").click().run()
    assert not app.query_params
    assert app.button(key="run")
    assert _charts(app) >= {"chart_packed_bytes", "chart_latency_ms"}


@pytest.mark.parametrize("figure", choices.FIGURES)
def test_every_figure_is_drawn(app: AppTest, figure: str) -> None:
    app.query_params["figure"] = figure
    app.run()
    assert not app.exception
    assert not app.error
    assert not app.warning


def test_the_room_has_a_sheet_of_its_own() -> None:
    assert "stSidebar" in theme.PRESENTER
    assert "presenter" not in theme.STYLE
    assert carried.LARGER > 1.3
