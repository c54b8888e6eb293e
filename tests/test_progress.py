"""The panel of what runs on Explore: one's place and wait, who else asked, whose wish a button withdraws."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import streamlit
from runner_tools import recipe
from store_tools import point
from streamlit.testing.v1 import AppTest

from engine import api, api_people
from engine.api_home import store_of
from engine.home import Home
from pages.parts import progress, who
from pages.parts.words import say

TASK = "fashion_mnist"


def _page() -> None:
    from pages import explore
    from pages.parts import frame

    frame.guarded(explore.draw)()


@pytest.fixture
def app(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """Explore in an empty home without a runner, as ``ann``, a guest of a workshop."""
    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    be(monkeypatch, "ann")
    streamlit.cache_resource.clear()
    yield AppTest.from_function(_page, default_timeout=60)
    streamlit.cache_resource.clear()


def be(monkeypatch: pytest.MonkeyPatch, name: str, host: bool = False) -> None:
    """From here on this person looks at the page."""
    monkeypatch.setattr(who, "who", lambda: name)
    monkeypatch.setattr(who, "is_host", lambda: host)


def bar(app: AppTest) -> str:
    """The words on the bar of the run that matters most."""
    (found,) = app.get("progress")
    return str(found.proto.text)


def text(app: AppTest) -> str:
    return "\n".join(str(c.value) for c in app.caption)


def buttons(app: AppTest) -> list[str]:
    return [str(b.key).partition("_")[0] for b in app.button if str(b.key).startswith(("cancel_", "stop_"))]


def default_key() -> str:
    return api.check(api.default_recipe(TASK)).key


def timed(home: Home, seconds: float) -> None:
    """One finished trial that took so long."""
    store, key = store_of(home), api.submit(home, recipe(5), "old", companions=False)["key"]
    store.claim()
    with store.change() as db:
        db.execute("UPDATE attempts SET started = started - ?", (seconds,))
    store.finish(key, 1, point(key))


def test_somebody_who_waits_sees_the_place_and_the_wait(
    app: AppTest, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_WORKERS", "1")
    timed(home, 40.0)
    for seed in range(10, 13):
        api.submit(home, recipe(seed), f"guest{seed}", companions=False)
    assert store_of(home).claim() is not None
    app.run()
    app.button(key="run").click().run()
    assert not app.exception
    words = bar(app)
    assert say("progress.queued", place=2) in words  # two guests whose first has not started
    assert "starts in about 2 min 0 s" in words or "starts in about 1 min" in words
    assert say("progress.crowd", people=3, works=3) in text(app)
    assert buttons(app) == ["cancel"]


def test_a_shared_run_says_so_and_cancel_withdraws_ones_own_wish(app: AppTest, home: Home) -> None:
    key = api.submit(home, api.default_recipe(TASK), "bob")["key"]
    app.run()
    assert say("progress.theirs_one") in bar(app)
    assert buttons(app) == [], "it is not ann's to cancel"
    app.button(key="run").click().run()
    assert say("progress.shared_one") in bar(app)
    assert api_people.wanted_by(home, key) == ["bob", "ann"]
    app.button(key=f"cancel_{key}").click().run()
    assert api_people.wanted_by(home, key) == ["bob"]
    assert api.status(home, key)["state"] == "queued"
    assert say("progress.theirs_one") in bar(app)
    api.submit(home, api.default_recipe(TASK), "cem")
    app.run()
    assert say("progress.theirs", count=2) in bar(app)


def test_the_host_may_stop_what_others_asked_for(app: AppTest, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    key = api.submit(home, api.default_recipe(TASK), "bob")["key"]
    be(monkeypatch, "host", host=True)
    app.run()
    assert buttons(app) == ["stop"]
    app.button(key=f"stop_{key}").click().run()
    assert not app.exception
    assert api.status(home, key)["state"] == "cancelled"


def test_above_the_cap_the_page_says_how_many_are_allowed(
    app: AppTest, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_CAP", "2")
    for seed in (1, 2):
        api.submit(home, recipe(seed), "ann", companions=False)
    app.run()
    app.button(key="run").click().run()
    assert not app.exception
    assert any("at most 2 queued or running" in str(e.value) for e in app.error)
    assert api_people.wanted_by(home, default_key()) == []
    be(monkeypatch, "ann", host=True)
    app.button(key="run").click().run()
    assert api_people.wanted_by(home, default_key()) == ["ann"]


def test_a_sweep_of_hundreds_shows_a_few_lines(app: AppTest, home: Home) -> None:
    for seed in range(30):
        api.submit(home, recipe(seed), "ann", companions=False)
    app.run()
    assert not app.exception
    assert text(app).count(say("progress.other_run", student="plain 1k5")) == progress.MOST - 1


def test_others_at_work_leave_a_quiet_page_quiet(app: AppTest, home: Home) -> None:
    api.submit(home, recipe(1), "bob")
    app.run()
    assert not app.exception
    assert not app.get("progress")


def test_an_inspection_is_named_by_its_student() -> None:
    status: dict[str, Any] = {
        "role": "other", "state": "queued", "place": 0, "recipe": {"recipe": recipe(), "key": "x"}
    }  # fmt: skip
    assert progress.describe(status).startswith(say("progress.other_run", student="plain 1k5"))
