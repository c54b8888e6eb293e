"""The first visit to Explore: who is shown around, step by step, and that it is remembered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import api, api_people
from engine.home import Home
from pages.parts import visit, words

ROOT = Path(__file__).resolve().parent.parent


def _page() -> None:
    from pages import explore
    from pages.parts import frame

    frame.guarded(explore.draw)()


@pytest.fixture
def app(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """Explore in an empty home, without a runner."""
    import streamlit

    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    streamlit.cache_resource.clear()
    yield AppTest.from_function(_page, default_timeout=60)
    streamlit.cache_resource.clear()


def step(app: AppTest) -> int:
    """The step that is shown; 0 for none."""
    assert not app.exception
    shown = [str(h.proto.body) for h in app.get("html") if "sh-visit" in str(h.proto.body) and "role=" in h.proto.body]
    if not shown:
        return 0
    (number,) = (
        i for i, name in enumerate(visit.STEPS, 1) if words.say(f"visit.{name}")[:30].split("'")[0] in shown[0]
    )
    assert words.say("visit.count", step=number, last=len(visit.STEPS)) in shown[0]
    return number


def press(app: AppTest, key: str) -> int:
    app.button(key=key).click().run()
    return step(app)


def test_somebody_new_is_shown_around_and_the_address_stays_bare(app: AppTest, home: Home) -> None:
    app.run()
    assert step(app) == 1
    assert not any(b.key in ("visit_back", "visit_again") for b in app.button)
    walked = [press(app, "visit_next") for _ in visit.STEPS]
    assert walked == [2, 3, 4, 5, 6, 0]
    assert dict(app.query_params) == {}
    assert api_people.has_visited(home, "local")
    assert words.say("app.lead") in "".join(str(h.proto.body) for h in app.get("html"))


def test_back_and_skip(app: AppTest, home: Home) -> None:
    app.run()
    press(app, "visit_next")
    assert press(app, "visit_back") == 1
    assert not api_people.has_visited(home, "local"), "who leaves in between comes back to it"
    assert press(app, "visit_skip") == 0
    assert api_people.has_visited(home, "local")


def test_who_has_seen_it_or_skipped_it_is_left_alone_and_may_ask_for_it_again(app: AppTest, home: Home) -> None:
    api_people.note_visit(home, "local")
    app.run()
    assert step(app) == 0
    assert press(app, "visit_again") == 1
    assert dict(app.query_params) == {}


@pytest.mark.parametrize(
    "link",
    [{"point": "0123"}, {"lock": "bits", "lesson": "temperature"}, {"hide": "soft"}, {"present": "1", "visit": "2"}],
)
def test_a_link_that_shows_something_already_is_not_interrupted(app: AppTest, link: dict[str, str]) -> None:
    for name, value in link.items():
        app.query_params[name] = value
    app.run()
    assert step(app) == 0


def test_settings_in_a_link_do_not_keep_it_away(app: AppTest) -> None:
    app.query_params["temperature"] = "8"
    app.run()
    assert step(app) == 1
    assert app.select_slider(key="temperature").value == 8.0


@pytest.mark.parametrize("number", [1, len(visit.STEPS)])
def test_the_address_opens_a_step_for_anybody_and_follows(app: AppTest, home: Home, number: int) -> None:
    api_people.note_visit(home, "local")
    app.query_params["visit"] = str(number)
    app.query_params["sparsity"] = "0.8"
    app.run()
    assert step(app) == number
    assert not app.warning
    assert app.slider(key="sparsity").value == 0.8
    after = press(app, "visit_next")
    assert after == (number + 1) % (len(visit.STEPS) + 1)
    shown = {"visit": str(after)} if after else {}
    assert dict(app.query_params) == {"sparsity": "0.8", **shown}


def test_what_an_address_may_say() -> None:
    assert [visit.read(str(n)) for n in range(1, 7)] == [1, 2, 3, 4, 5, 6]
    assert {visit.read(bad) for bad in ("", "0", "7", "-1", "two", "9" * 9999, "²", "1.0", " 1")} == {0}


def test_a_step_that_is_none_is_said_and_the_usual_happens(app: AppTest, home: Home) -> None:
    api_people.note_visit(home, "local")
    app.query_params["visit"] = "seven"
    app.run()
    assert step(app) == 0
    (told,) = app.warning
    assert "from 1 to 6" in str(told.value)
    assert "visit" not in app.query_params


def test_a_slow_browser_does_not_undo_a_step(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    app.query_params["visit"] = "2"
    app.run()
    monkeypatch.setattr(visit, "LAG_SECONDS", 60.0)
    app.button(key="visit_next").click()
    app.query_params["visit"] = "2"  # as it still was when the press was sent
    app.run()
    assert step(app) == 3


def test_in_a_workshop_each_person_has_their_own(app: AppTest, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit.who, "who", lambda: "ann")
    app.run()
    press(app, "visit_skip")
    assert (api_people.has_visited(home, "ann"), api_people.has_visited(home, "bob")) == (True, False)


def test_every_place_that_is_outlined_is_a_key_of_the_page(app: AppTest) -> None:
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "pages").rglob("*.py") if p.stem != "visit")
    fields = {"teacher", "student", "temperature", "sparsity", "bits"}
    app.run()
    drawn = {str(w.key) for kind in ("selectbox", "select_slider", "slider") for w in app.get(kind)}
    assert fields <= drawn
    for key in {key for keys in visit.PLACES.values() for key in keys} - fields:
        found = f'key="{key}"' in sources or (key.startswith("chart_") and re.search(r'key=f"chart_\{cost\}"', sources))
        assert found, key


def test_a_step_is_a_sentence_or_two(app: Any) -> None:
    for name in visit.STEPS:
        assert len(words.say(f"visit.{name}")) <= 105, name
