"""The page Explore run by Streamlit's own test driver: what is said when something is wrong, and in the quiet state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import api
from engine.errors import StoreError
from engine.home import Home
from pages.parts import words

APP = Path(__file__).resolve().parent.parent / "app.py"


def _page() -> None:
    """What app.py does with the page; Streamlit's driver runs a page of st.navigation only once."""
    from pages import explore
    from pages.parts import frame

    frame.guarded(explore.draw)()


@pytest.fixture
def app(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app in an empty home, without a runner."""
    import streamlit

    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    streamlit.cache_resource.clear()
    yield AppTest.from_function(_page, default_timeout=60)
    streamlit.cache_resource.clear()


def _text(found: Any) -> str:
    return "\n".join(str(e.value) for e in found)


@pytest.mark.usefixtures("app")
def test_the_app_itself_draws_the_page() -> None:
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    assert any(b.label == words.say("run.button") for b in app.button)


def test_the_first_page_is_complete_and_says_nothing_is_wrong(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert not app.error
    assert not app.warning
    assert any(b.label == words.say("run.button") for b in app.button)
    assert app.select_slider(key="temperature").value == 4.0
    assert app.slider(key="sparsity").value == 0.5


def test_bad_values_in_the_url_are_one_line_each_and_the_defaults_stand(app: AppTest) -> None:
    app.query_params["student"] = "plain_10"
    app.query_params["sparsity"] = "lots"
    app.query_params["weight"] = "0.5"
    app.run()
    assert not app.exception
    said = [str(w.value) for w in app.warning]
    assert len(said) == 2
    assert all("\n" not in line for line in said)
    assert "plain_10k" in said[0]
    assert app.selectbox(key="student").value == "plain_10k"
    assert app.slider(key="weight").value == 0.5
    app.slider(key="weight").set_value(0.6).run()
    assert not app.warning, "once something is changed the complaint has been read"


def test_the_url_follows_the_controls_and_leaves_defaults_out(app: AppTest) -> None:
    app.run()
    assert dict(app.query_params) == {}
    app.slider(key="sparsity").set_value(0.8)
    app.selectbox(key="student").set_value("plain_29k").run()
    assert dict(app.query_params) == {"student": "plain_29k", "sparsity": "0.8"}
    app.slider(key="sparsity").set_value(0.5).run()
    assert dict(app.query_params) == {"student": "plain_29k"}


def test_a_hidden_setting_is_kept_until_it_is_shown_again(app: AppTest) -> None:
    app.run()
    app.slider(key="sparsity").set_value(0.7).run()
    app.button_group(key="pruning").set_value("none").run()
    assert "sparsity" not in [s.key for s in app.slider]
    app.button_group(key="pruning").set_value("magnitude").run()
    assert app.slider(key="sparsity").value == 0.7


def test_few_labels_come_with_the_plain_statement_that_the_teacher_saw_all(app: AppTest) -> None:
    app.run()
    app.select_slider(key="labels").set_value(200).run()
    assert "The teacher saw all labels" in _text(app.caption)


def test_a_corrupt_store_is_one_line_and_no_traceback(app: AppTest, home: Home) -> None:
    home.store.write_bytes(b"this is no database " * 500)
    app.run()
    assert not app.exception
    assert len(app.error) == 1
    assert "\n" not in str(app.error[0].value)
    assert "store" in str(app.error[0].value)


def test_a_full_disk_at_run_is_said_and_the_page_stays(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise StoreError("the store cannot be written: the disk is full; free some space and run again")

    app.run()
    monkeypatch.setattr(api, "submit", full)
    app.button(key="run").click().run()
    assert not app.exception
    assert "disk is full" in _text(app.error)
    app.run()
    assert not app.error, "said once"


def test_a_mistake_of_ours_is_one_line_too(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(api, "rows", broken)
    app.run()
    assert not app.exception
    assert _text(app.error) == words.say("error.unexpected")


def test_run_submits_the_recipe_of_the_controls(app: AppTest, home: Home) -> None:
    app.run()
    app.slider(key="sparsity").set_value(0.6).run()
    app.button(key="run").click().run()
    assert not app.exception
    (mine, *others) = api.active(home)
    assert mine["recipe"]["phases"][0]["stages"][0]["sparsity"] == 0.6
    assert {"dense", "grid", "trial"} >= {o["kind"] for o in others}
    assert dict(app.query_params)["point"] == mine["key"][:12]
    app.button(key=f"cancel_{mine['key']}").click().run()
    assert not app.exception
    assert not [s for s in api.active(home) if s["key"] == mine["key"]]


def test_a_clicked_point_stays_until_a_setting_moves(app: AppTest) -> None:
    app.query_params["point"] = "abc"
    app.run()
    app.button(key="image_next").click().run()
    assert dict(app.query_params) == {"point": "abc", "image": "1"}
    app.slider(key="sparsity").set_value(0.7).run()
    assert dict(app.query_params) == {"image": "1", "sparsity": "0.7"}
