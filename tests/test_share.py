"""The dialog that makes a teacher's link: what the link locks and hides, and that opening it does just that."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest
import streamlit as st
from hypothesis import given
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

from engine import api
from engine.home import Home
from pages.parts import carried, share_link, words
from pages.parts.control import Control, covers
from pages.parts.share_link import FREE, HIDDEN, LOCKED, STATES, Rules

NAMES = ("bits", "run", "temperature", "what_if")
KNOWN = [Control(name, name, "slider") for name in NAMES]


def test_a_link_holds_the_pages_own_state_and_what_is_chosen() -> None:
    rules = Rules().put("bits", LOCKED).put("what_if", HIDDEN)
    made = share_link.link("http://x/front", {"task": "text_spam"}, rules, {"present": "1", "lang": ""})
    assert made == "http://x/front?task=text_spam&hide=what_if&lock=bits&present=1"


def test_everything_but_two_is_short() -> None:
    rules = Rules(LOCKED).put("temperature", FREE).put("run", FREE)
    assert share_link.parameters(rules) == {"lock": "all.-temperature.-run"}
    assert share_link.parameters(Rules()) == {}


@given(some.sampled_from((FREE, LOCKED)), some.dictionaries(some.sampled_from(NAMES), some.sampled_from(STATES)))
def test_what_a_link_says_is_what_the_controls_then_do(everything: str, single: dict[str, str]) -> None:
    rules = Rules(everything, single)
    made = share_link.parameters(rules)
    hide, lock = (carried.split(made.get(name, "")) for name in carried.LISTS)
    again = share_link.read(hide, lock, KNOWN)
    for name in NAMES:
        assert again.of(name) == rules.of(name)
        assert covers(hide, name) == (rules.of(name) == HIDDEN)
        assert covers(lock, name) == (rules.of(name) == LOCKED) or rules.of(name) == HIDDEN


def test_a_name_that_is_nearly_right_is_told_and_another_pages_is_not() -> None:
    here = ["temperature", "bits", "run"]
    assert share_link.mistaken({"temprature", "-bitz", "zzz"}, here, ()) == [("temprature", "temperature")]
    assert share_link.mistaken({"temprature"}, here, ["temprature"]) == []
    assert share_link.mistaken({"all", "bits"}, here, ()) == []


def _page() -> None:
    """What app.py does around a page: Streamlit's driver runs a page of st.navigation only once."""
    from pages import explore
    from pages.parts import control, frame, language, theme

    language.sync()
    theme.apply()
    control.begin()
    frame.guarded(explore.draw)()
    frame.finish()


@pytest.fixture(autouse=True)
def quiet(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty home without a runner."""
    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def _open(**address: str) -> AppTest:
    app = AppTest.from_function(_page, default_timeout=60)
    app.query_params.update(address)
    return app.run()


def _made(app: AppTest) -> dict[str, str]:
    """The parameters of the link in the dialog."""
    return dict(parse_qsl(urlsplit(str(app.code[-1].value)).query))


def test_the_dialogs_link_follows_each_choice_and_opens_the_same_page_with_these_locks() -> None:
    app = _open(temperature="8")
    app.button(key="share").click().run()
    assert _made(app) == {"temperature": "8"}
    app.segmented_control(key="share_everything").set_value(LOCKED).run()
    app.segmented_control(key="share_temperature").set_value(FREE).run()
    app.segmented_control(key="share_what_if").set_value(HIDDEN).run()
    app.toggle(key="share_present").set_value(True).run()
    app.segmented_control(key="share_lang").set_value("en").run()
    made = _made(app)
    assert made == {"temperature": "8", "hide": "what_if", "lock": "all.-temperature", "present": "1", "lang": "en"}
    other = _open(**{name: text for name, text in made.items() if name != "present"})
    assert other.select_slider(key="temperature").value == 8.0
    assert not other.select_slider(key="temperature").disabled
    assert other.button(key="run").disabled
    assert not app.button(key="run").disabled, "the page with the dialog stays as it was"


def test_the_list_can_be_searched_and_says_when_nothing_fits() -> None:
    app = _open()
    app.button(key="share").click().run()
    app.text_input(key="share_find").set_value("temper").run()
    assert app.segmented_control(key="share_temperature")
    assert "share_bits" not in {s.key for s in app.segmented_control}
    app.text_input(key="share_find").set_value("nothing like this").run()
    assert words.say("share.nothing") in [c.value for c in app.caption]


def test_every_control_of_the_page_is_offered_but_not_the_dialogs_own() -> None:
    app = _open()
    shown = {e.key for e in [*app.button, *app.slider, *app.select_slider, *app.selectbox, *app.toggle]}
    app.button(key="share").click().run()
    offered = {s.key.removeprefix("share_") for s in app.segmented_control if s.key.startswith("share_")}
    assert shown - offered == {"share", "language_zh", "visit_next", "visit_skip"}, "what stands in the heading"


def test_a_mistyped_name_is_one_line_and_a_strange_one_none() -> None:
    app = _open(lock="temprature.front_cost.zzz")
    assert [w.value for w in app.warning] == [words.say("share.mistaken", name="temprature", meant="temperature")]


def test_the_button_can_be_hidden() -> None:
    assert _open(hide="share").button(key="share").disabled
