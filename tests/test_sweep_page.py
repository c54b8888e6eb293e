"""The page Sweep by Streamlit's own test driver: edits become the sweep's JSON, refusals stand where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import api, api_sweeps
from engine.errors import StoreError
from engine.home import Home
from pages.parts import sweep_link, words

TASK = "fashion_mnist"


def _page() -> None:
    """What app.py does with the page; Streamlit's driver runs a page of st.navigation only once."""
    import streamlit as st

    from pages import sweep
    from pages.parts import frame, state

    frame.guarded(sweep.draw)()
    st.session_state[state.LAST_PAGE] = "sweep"


@pytest.fixture
def app(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The page in an empty home, without a runner."""
    import streamlit

    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    streamlit.cache_resource.clear()
    streamlit.cache_data.clear()
    yield AppTest.from_function(_page, default_timeout=60)
    streamlit.cache_resource.clear()
    streamlit.cache_data.clear()


def text(found: Any) -> str:
    return "\n".join(str(e.value) for e in found)


def page(app: AppTest) -> str:
    """Everything drawn as HTML."""
    return "\n".join(str(e.proto.body) for e in app.get("html"))


def spec(app: AppTest) -> Any:
    """The sweep that the page shows, from its address."""
    address = dict(app.query_params)
    packed = address.get("spec")
    return sweep_link.unpack(packed[0] if isinstance(packed, list) else packed) if packed else None


def start(app: AppTest) -> Any:
    return app.button(key="sweep_start")


def test_the_first_page_is_the_usual_recipe_and_says_what_to_do(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert not app.error
    assert not app.warning
    assert not start(app).disabled
    assert start(app).label == words.say("sweep_plan.start_one")
    assert words.say("sweep_list.none") in page(app).replace("&quot;", '"')
    assert dict(app.query_params) == {}


def test_every_ready_made_sweep_can_be_started_as_it_is(app: AppTest) -> None:
    app.run()
    for row in api_sweeps.ready(TASK):
        app.button(key=f"ready_{row['name']}").click().run()
        assert not app.exception
        assert not app.error, row["name"]
        assert dict(app.query_params)["ready"] in (row["name"], [row["name"]])
        planned = api_sweeps.plan(Home.locate(), row["spec"])
        assert start(app).label == words.say("sweep_plan.start", count=planned["trials"]), row["name"]


def test_a_setting_gets_a_list_and_a_range(app: AppTest) -> None:
    app.run()
    app.selectbox(key="sw1_seed_mode").set_value("list").run()
    app.multiselect(key="sw1_seed_list").set_value([0, 1, 2]).run()
    assert spec(app)["seed"] == [0, 1, 2]
    assert start(app).label == words.say("sweep_plan.start", count=3)
    app.selectbox(key="sw1_seed_mode").set_value("range").run()
    app.number_input(key="sw1_seed_high").set_value(8).run()
    app.number_input(key="sw1_seed_count").set_value(5).run()
    assert spec(app)["seed"] == {"low": 0.0, "high": 8.0, "count": 5}
    assert "0, 2, 4, 6, 8" in page(app)
    assert start(app).label == words.say("sweep_plan.start", count=5)


def test_what_cannot_be_read_is_said_below_its_field_and_the_sweep_stays(app: AppTest) -> None:
    app.run()
    before = dict(app.query_params)
    app.number_input(key="sw1_seed_one").set_value(-1).run()
    assert "from 0 to" in page(app)
    assert dict(app.query_params) == before
    app.number_input(key="sw1_seed_one").set_value(7).run()
    assert "sh-bad" not in page(app)
    assert spec(app)["seed"] == 7


def numbers(app: AppTest) -> dict[str, int]:
    """The numbers of the stages by name, as the form has them."""
    draft = app.session_state["_sweep_draft"]
    return {s.name: s.uid for p in draft.root.nodes[0].nodes for s in p.nodes if s.kind == "stages"}


def test_an_impossible_order_is_refused_where_it_stands_and_can_be_put_right(app: AppTest) -> None:
    app.run()
    stage = numbers(app)["quantize_linear"]
    app.button(key=f"down_{stage}").click().run()
    assert not app.exception
    assert "would undo it" in page(app)
    assert start(app).disabled
    app.button(key=f"up_{stage}").click().run()
    assert "sh-bad" not in page(app)
    assert not start(app).disabled
    assert list(numbers(app)) == ["prune_magnitude", "quantize_linear", "recalibrate"]


def test_phases_stages_and_losses_are_added_and_removed(app: AppTest) -> None:
    app.run()
    app.button(key="add_plain").click().run()
    phases = spec(app)["phases"]
    assert [p["epochs"] for p in phases] == [3, 0, 1]
    phase = app.session_state["_sweep_draft"].root.nodes[0].nodes[0].uid
    app.selectbox(key=f"sw{phase}_add_losses").set_value("logit_mse").run()
    assert [p["name"] for p in spec(app)["phases"][0]["loss"]] == ["kd", "logit_mse"]
    app.button_group(key=f"sw{phase}_losses_how").set_value("each").run()
    assert len(spec(app)["phases"][0]["loss"]["values"]) == 2
    app.button(key=f"remove_{numbers(app)['prune_magnitude']}").click().run()
    assert spec(app)["phases"][0]["stages"] == []
    assert not app.exception


def test_another_order_is_compared(app: AppTest) -> None:
    app.run()
    app.button(key="order_add").click().run()
    assert "same trial as another" in page(app), "a copy is no other trial yet"
    orders = app.session_state["_sweep_draft"].root.nodes
    app.number_input(key=f"sw{orders[1].nodes[0].uid}_epochs_one").set_value(5).run()
    assert [o[0]["epochs"] for o in spec(app)["phases"]["values"]] == [3, 5]
    assert start(app).label == words.say("sweep_plan.start", count=2)


def test_the_address_brings_back_the_same_sweep(app: AppTest) -> None:
    sweep = {**api.default_recipe(TASK), "seed": [3, 4], "sweep": {"name": "mine", "trials": 1}}
    app.query_params["spec"] = sweep_link.pack(sweep) or ""
    app.run()
    assert not app.exception
    assert not app.warning
    assert app.text_input(key="sweep_option_name").value == "mine"
    assert app.multiselect(key="sw1_seed_list").value == [3, 4]
    assert start(app).label == words.say("sweep_plan.start_one")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ready", "order", "orders"),
        ("spec", "rubbish", "link"),
        ("sweep", "abc123", "no sweep"),
        ("colour", "red", "URL"),
    ],
)
def test_bad_values_in_the_address_are_one_line_and_the_usual_page_stands(
    app: AppTest, name: str, value: str, said: str
) -> None:
    app.query_params[name] = value
    app.run()
    assert not app.exception
    (line,) = [str(w.value) for w in app.warning]
    assert said in line
    assert "\n" not in line
    assert not start(app).disabled


def test_json_is_pasted_and_refused(app: AppTest) -> None:
    app.run()
    app.text_area(key="sweep_pasted").set_value("{nothing}").run()
    app.button(key="sweep_use").click().run()
    assert "line 1" in text(app.error)
    app.text_area(key="sweep_pasted").set_value('{"task": "fashion_mnist", "student": ["plain_1k5", "plain_5k"]}').run()
    app.button(key="sweep_use").click().run()
    assert not app.error
    assert spec(app)["student"] == ["plain_1k5", "plain_5k"]


def test_what_the_form_cannot_show_still_runs(app: AppTest) -> None:
    sweep = {**api.default_recipe(TASK)}
    sweep["phases"] = [{"epochs": 1, "loss": {"name": "cross_entropy"},
                        "stages": {"values": [[], [{"name": "recalibrate"}]]}}]  # fmt: skip
    app.query_params["spec"] = sweep_link.pack(sweep) or ""
    app.run()
    assert not app.exception
    assert "JSON" in text(app.info)
    assert start(app).label == words.say("sweep_plan.start", count=2)
    app.button(key="ready_plain").click().run()
    assert not app.info


def test_start_pause_resume_extend_rename_cancel_forget(app: AppTest, home: Home) -> None:
    sweep = {**api.default_recipe(TASK), "seed": [3, 4, 5], "sweep": {"name": "mine", "trials": 2}}
    app.query_params["spec"] = sweep_link.pack(sweep) or ""
    app.run()
    start(app).click().run()
    assert not app.exception
    (status,) = api_sweeps.sweeps(home)
    assert (status["name"], status["trials"], status["queued"]) == ("mine", 2, 2)
    assert dict(app.query_params)["sweep"] in (status["id"], [status["id"]])
    app.button(key="sweep_pause").click().run()
    assert api_sweeps.status(home, status["id"])["state"] == "paused"
    app.button(key="sweep_resume").click().run()
    assert api_sweeps.status(home, status["id"])["state"] == "running"
    app.number_input(key="sweep_further").set_value(1).run()
    app.button(key="sweep_extend_go").click().run()
    assert api_sweeps.status(home, status["id"])["trials"] == 3
    app.text_input(key=f"sweep_new_name_{status['id']}").set_value("other").run()
    app.button(key="sweep_rename_go").click().run()
    assert api_sweeps.status(home, status["id"])["name"] == "other"
    app.button(key="sweep_cancel").click().run()
    assert api_sweeps.status(home, status["id"])["state"] == "cancelled"
    app.button(key="sweep_back").click().run()
    assert "other" in page(app)
    app.button(key=f"sweep_open_{status['id']}").click().run()
    app.button(key="sweep_forget").click().run()
    assert api_sweeps.sweeps(home) == []
    assert not app.exception
    assert not app.error


def test_somebody_elses_sweep_can_be_copied_and_not_cancelled(
    app: AppTest, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pages.parts import who

    theirs = api_sweeps.start(home, {**api.default_recipe(TASK), "seed": [1, 2]}, "somebody")
    monkeypatch.setattr(who, "is_host", lambda: False)
    app.query_params["sweep"] = theirs["id"]
    app.run()
    shown = {b.key for b in app.button}
    assert not {"sweep_pause", "sweep_cancel", "sweep_rename_go"} & shown
    app.button(key="sweep_copy").click().run()
    assert spec(app)["seed"] == [1, 2]


def test_a_full_disk_at_the_start_is_said_and_the_page_stays(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise StoreError("the store cannot be written: the disk is full; free some space and run again")

    app.run()
    monkeypatch.setattr(api_sweeps, "start", full)
    start(app).click().run()
    assert not app.exception
    assert "disk is full" in text(app.error)
    app.run()
    assert not app.error, "said once"


def test_limits_and_companions_become_options(app: AppTest) -> None:
    app.run()
    app.number_input(key="sweep_option_trials").set_value(3).run()
    app.number_input(key="sweep_option_minutes").set_value(2.0).run()
    for name in ("grids", "baselines", "random"):
        app.toggle(key=f"sweep_option_{name}").set_value(True).run()
    assert spec(app)["sweep"] == {
        "trials": 3, "budget_seconds": 120.0, "grids": True, "baselines": True, "order": "random"
    }  # fmt: skip
    app.number_input(key="sweep_option_minutes").set_value(None).run()
    assert "budget_seconds" not in spec(app)["sweep"]
