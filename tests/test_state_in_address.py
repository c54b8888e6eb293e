"""Every page: what somebody chose is in the address, a fresh session shows the same, what cannot be is one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import streamlit as st
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from engine import api
from engine.home import Home
from engine.knobs import Knob
from pages.parts import extras
from pages.parts.extras import Extra

# parameters of each page that take only some values; the others are texts
CHECKED = {
    "explore": ("task", "student", "temperature", "bits", "image", "figure", "seeds"),
    "sweep": ("ready", "spec", "task", "grid", "order"),
    "front": ("task", "cost", "view", "origins", "max_bytes", "picture", "target", "rule", "count", "times", "step"),
    "trial": ("key", "view", "batch", "label", "text", "temperature", "top", "tokens", "draw"),
    "results": ("task", "whose", "columns", "sort", "page", "chosen", "beside"),
    "methods": ("method", "image"),
}
JUNK = ("☃", "-1", "nan", "<script>", "1e999", "a" * 3000, "0x10", "true;drop")


def _draw(name: str) -> None:
    import importlib

    from pages.parts import control, frame, language, theme

    language.sync()
    theme.apply()
    control.begin()
    frame.guarded(importlib.import_module(f"pages.{name}").draw)()
    frame.finish()


@pytest.fixture(autouse=True)
def quiet(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty home without a runner."""
    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def _open(page: str, address: Mapping[str, str] | None = None) -> AppTest:
    app = AppTest.from_function(_draw, default_timeout=60, args=(page,))
    app.query_params.update(address or {})
    app.run()
    assert not app.exception
    assert not app.error
    return app


def _address(app: AppTest) -> dict[str, str]:
    return {name: text if isinstance(text, str) else text[0] for name, text in app.query_params.items()}


def _shown(app: AppTest) -> dict[str, Any]:
    """What every control of a page stands at."""
    kinds = (app.selectbox, app.slider, app.select_slider, app.toggle, app.text_input, app.number_input, app.text_area,
             app.multiselect, app.segmented_control, app.pills)  # fmt: skip
    return {w.key: w.value for kind in kinds for w in kind}


def _by_key(app: AppTest, key: str) -> Any:
    kinds = (app.selectbox, app.slider, app.select_slider, app.toggle, app.text_input, app.multiselect,
             app.segmented_control, app.pills, app.number_input)  # fmt: skip
    return next(w for kind in kinds for w in kind if w.key == key)


CHANGES: list[tuple[str, dict[str, str], dict[str, Any], dict[str, str]]] = [
    ("explore", {}, {"temperature": 8.0, "bits": 4, "seeds": True, "loss": "logit_mse"}, {"seeds": "true"}),
    ("explore", {"present": "1"}, {"figure": "what_if"}, {"figure": "what_if", "present": "1"}),
    ("methods", {"method": "kd"}, {"methods_image": 2, "methods_knob": "weight", "methods_search": "soft"},
     {"method": "kd", "image": "2", "knob": "weight", "find": "soft"}),
    ("front", {}, {"front_cost": "macs", "front_picture": "svg", "front_origins": ["trial"]},
     {"cost": "macs", "picture": "svg", "origins": "trial"}),
    ("front", {"task": "text_spam"}, {"front_max_bytes": "10 kB"}, {"task": "text_spam", "max_bytes": "10000"}),
    ("results", {}, {"results_find": "plain", "results_whose": "starred"}, {"find": "plain", "whose": "starred"}),
    ("sweep", {}, {"sweep_seeds": True}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("page", "start", "changes", "said"), CHANGES)
def test_what_is_chosen_is_in_the_address_and_comes_back(
    page: str, start: dict[str, str], changes: dict[str, Any], said: dict[str, str]
) -> None:
    app = _open(page, start)
    for key, value in changes.items():
        _by_key(app, key).set_value(value)
        app.run()
    app.run()
    address = _address(app)
    assert said.items() <= address.items()
    other = _open(page, address)
    assert not other.warning
    assert _shown(other) == _shown(app)
    assert _address(other) == address


def test_a_value_of_a_method_comes_back_and_another_setting_begins_at_its_own() -> None:
    app = _open("methods", {"method": "kd", "knob": "temperature"})
    slider = app.select_slider(key="methods_value")
    last = slider.options[-1]
    slider.set_value(last).run()
    app.run()
    assert _address(app)["value"] == last
    assert _open("methods", _address(app)).select_slider(key="methods_value").value == last
    app.selectbox(key="methods_knob").set_value("weight").run()
    app.run()
    assert "value" not in _address(app)


@pytest.mark.parametrize("page", CHECKED)
def test_the_bare_address_stays_bare_and_says_nothing(page: str) -> None:
    app = _open(page)
    app.run()
    assert _address(app) == {}
    assert not app.warning


@pytest.mark.parametrize("page", CHECKED)
@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data())
def test_a_bad_address_never_breaks_a_page_and_is_always_told(page: str, data: some.DataObject) -> None:
    names = some.sampled_from((*CHECKED[page], "no_such_setting"))
    address = data.draw(some.dictionaries(names, some.sampled_from(JUNK), min_size=1, max_size=3))
    app = _open(page, address)
    told = [str(w.value) for w in app.warning]
    assert told, address
    assert all("\n" not in line for line in told)
    assert any(line.startswith("The default is used.") for line in told), told


def _small() -> None:
    import streamlit as st

    from engine.knobs import Knob
    from pages.parts import carried, extras
    from pages.parts.extras import Extra

    known = (Extra(Knob("share", "float", 0.5, "", 0.0, 1.0), "w_share"), extras.word("word", "w_word", "a"))
    carried.write(extras.sync("test", known, carried.own()))
    for problem in extras.problems("test"):
        st.warning(problem)
    extras.settle("test", known[1], ("a", "b"), "a")
    st.session_state["drawn"] = (st.session_state["w_share"], st.session_state["w_word"])


def test_small_choices_are_checked_by_their_knob_and_by_what_there_is() -> None:
    for address, drawn, told in (
        ({}, (0.5, "a"), 0),
        ({"share": "0.25", "word": "b"}, (0.25, "b"), 0),
        ({"share": "7"}, (0.5, "a"), 1),
        ({"word": "z"}, (0.5, "a"), 1),
    ):
        app = AppTest.from_function(_small)
        app.query_params.update(address)
        app.run()
        assert app.session_state["drawn"] == drawn
        assert len(app.warning) == told, address


def test_a_text_that_is_too_long_for_an_address_is_left_out_of_it() -> None:
    app = AppTest.from_function(_small)
    app.run()
    app.session_state["w_word"] = "x" * (extras.LONGEST + 1)
    app.run()
    assert "word" not in app.query_params


def test_an_extra_is_a_knob_and_a_key() -> None:
    assert extras.whole("n", "key", 1, 0, 5) == Extra(Knob("n", "int", 1, "", 0, 5), "key")
