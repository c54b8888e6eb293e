"""The panel of a live figure on a page: controls, what moves them, what they tell the page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine.errors import InputError
from engine.live import FIGURES
from pages.parts import live


def page() -> None:
    """A page with one panel; settings and what has moved lie in the session."""
    import streamlit as st

    from pages.parts import live

    st.session_state.setdefault("moved", [])
    live.panel(st.session_state["figure"], st.session_state["settings"], "light", st.session_state["moved"].append)


def opened(figure: str, **settings: Any) -> AppTest:
    app = AppTest.from_function(page, default_timeout=30)
    app.session_state["figure"], app.session_state["settings"] = figure, settings
    app.run()
    assert not app.exception
    assert not app.error
    return app


def picture(app: AppTest) -> str:
    return next(m.value for m in app.markdown if "sh-live" in m.value)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_with_its_controls(name: str) -> None:
    app = opened(name)
    keys = {w.key for kind in ("slider", "select_slider", "selectbox", "toggle") for w in app.get(kind)}
    keys |= {w.key for w in app.get("button_group")}
    assert {live.PREFIX + k.name for k in FIGURES[name].knobs} <= keys
    assert "<svg" in picture(app)


def test_a_slider_changes_the_figure_and_tells_the_page() -> None:
    app = opened("softmax", image=26)
    before = picture(app)
    app.slider(key="live_temperature").set_value(9.0).run()
    assert picture(app) != before
    assert 'aria-label="At temperature 9' in picture(app)
    assert app.session_state["moved"] == [{"image": 26, "temperature": 9.0}]
    app.run()
    assert app.session_state["moved"] == [{"image": 26, "temperature": 9.0}], "told once"
    assert app.slider(key="live_temperature").value == 9.0, "the page has not asked for anything else"


def test_other_settings_replace_what_was_moved() -> None:
    app = opened("softmax", temperature=2.0)
    app.slider(key="live_temperature").set_value(9.0).run()
    app.session_state["settings"] = {"temperature": 3.0}
    app.run()
    assert app.slider(key="live_temperature").value == 3.0
    app.session_state["figure"], app.session_state["settings"] = "masks", {"sparsity": 0.9}
    app.run()
    assert app.slider(key="live_sparsity").value == 0.9
    assert "90 %" in picture(app)


def test_a_logarithmic_slider_holds_a_value_between_its_steps() -> None:
    app = opened("pareto", size=12_345.0)
    assert app.select_slider(key="live_size").value == 12_345.0
    assert re.search(r"12\.3 kB", picture(app))


def test_bad_settings_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="99"):
        live.panel("softmax", {"temperature": 99.0}, "light")
