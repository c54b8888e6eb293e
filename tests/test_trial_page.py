"""The page Trial without a browser: what it draws of a point, of none, and of what is not finished."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser.seeded import seed
from streamlit.testing.v1 import AppTest

from engine import api, api_trial
from engine.errors import InputError, NotFoundError
from engine.home import Home
from pages.parts import trial_pick, words

TASK = "fashion_mnist"
INSIDE: dict[str, Any] = {
    "phases": [
        {"name": "dense student", "kind": "dense", "phase": 0, "epochs": 3, "stages": [], "quality": 0.9,
         "quality_low": 0.89, "quality_high": 0.91, "packed_bytes": 36_000, "onnx_bytes": 42_000, "latency_ms": 0.04,
         "latency_low_ms": 0.039, "latency_high_ms": 0.041, "simulated": False, "nonzero": 10_174, "macs": 848_880},
        {"name": "quantize_linear", "kind": "apply", "phase": 1, "epochs": 0,
         "stages": [{"name": "quantize_linear", "bits": 4}], "quality": 0.88, "quality_low": 0.87,
         "quality_high": 0.89, "packed_bytes": 6_000, "onnx_bytes": 42_000, "latency_ms": 0.04,
         "latency_low_ms": 0.039, "latency_high_ms": 0.041, "simulated": True, "nonzero": 9_000, "macs": 848_880},
    ],
    "layers": [{"name": "blocks.0.conv", "kind": "convolution", "shape": [12, 1, 3, 3], "parameters": 120,
                "nonzero": 110, "zeros": 0.05, "bits": 4, "packed_bytes": 90, "macs": 84_672},
               {"name": "head", "kind": "linear", "shape": [10, 64], "parameters": 650, "nonzero": 600, "zeros": None,
                "bits": 4, "packed_bytes": 400, "macs": 640}],
    "packed": {"total": 600, "layers": 490, "other": 50, "graph": 60},
    "histograms": {"blocks.0.conv": {"edges": [-1.0, 0.0, 1.0], "before": [60, 48], "after": [50, 58]},
                   "head": {"edges": [-1.0, 0.0, 1.0], "before": [320, 320], "after": [300, 340]}},
    "filters": {"layer": "blocks.0.conv", "before": [[[0.5, -0.5]]], "after": [[[0.5, 0.0]]]},
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home full of made-up results; tests only read it."""
    home = Home.locate(tmp_path_factory.mktemp("trial"))
    seed(home)
    return home


@pytest.fixture
def app(filled: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The page on that home, without a runner; every point has the inspection INSIDE."""
    monkeypatch.setenv("STILLHOUSE_HOME", str(filled.root))
    monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
    done = {"state": "done", "progress": {}, "error": None, "data": INSIDE}
    monkeypatch.setattr(api_trial, "inspection", lambda *_: done)
    yield from _opened()


def _opened() -> Iterator[AppTest]:
    import streamlit

    streamlit.cache_resource.clear()
    streamlit.cache_data.clear()
    yield AppTest.from_function(_page, default_timeout=60)
    streamlit.cache_resource.clear()


def _page() -> None:
    from pages import trial
    from pages.parts import frame

    frame.guarded(trial.draw)()


def _key(home: Home) -> str:
    return str(api.check(api.default_recipe(TASK)).key)


def _html(app: AppTest) -> str:
    return "\n".join(str(e.proto.body) for e in app.get("html"))


def _show(app: AppTest, home: Home, **address: str) -> str:
    for name, value in {"key": _key(home)[:12], **address}.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert not app.error
    return _html(app)


def test_steps_are_the_inspections_and_the_sentence_is_the_points(app: AppTest, filled: Home) -> None:
    shown = _show(app, filled)
    assert "rounded to 4 bits" in shown
    assert "42 kB" in shown
    assert "right in" in shown
    assert not app.warning


def test_layers(app: AppTest, filled: Home) -> None:
    shown = _show(app, filled, view="layers", layer="head")
    assert "490 B are weights of layers, 110 B the graph" in shown
    assert "10 × 64" in shown
    assert app.selectbox(key="trial_layer").value == "head"
    app.selectbox(key="trial_layer").set_value("blocks.0.conv").run()
    assert app.query_params["layer"] == ["blocks.0.conv"] or app.query_params["layer"] == "blocks.0.conv"


def test_an_unknown_layer_is_said_and_the_first_one_shown(app: AppTest, filled: Home) -> None:
    _show(app, filled, view="layers", layer="nothing")
    assert "none of this network's layers" in str(app.warning[0].value)
    assert app.selectbox(key="trial_layer").value == "blocks.0.conv"


def test_mistakes_follow_the_chosen_cell(app: AppTest, filled: Home) -> None:
    plain = _show(app, filled, view="mistakes")
    total = api_trial.view(filled, _key(filled))["mistakes_total"]
    assert f"{total:,} images that the teacher answers right" in plain
    assert plain.count("<article") == 12
    app.selectbox(key="trial_label").set_value(0).run()
    app.selectbox(key="trial_answer").set_value(1).run()
    shown = _html(app)
    count = api_trial.view(filled, _key(filled))["confusion"]["matrix"][0][1]
    assert f"{count:,} images with label T-shirt/top and answer Trouser." in shown
    app.button(key="mistakes_next").click().run()
    assert "13 to" in " ".join(str(c.value) for c in app.caption)
    app.selectbox(key="trial_label").set_value("").run()
    assert "1 to" in " ".join(str(c.value) for c in app.caption), "another filter starts at its first image"


def test_classes_that_are_none_are_left_out_with_a_line(app: AppTest, filled: Home) -> None:
    _show(app, filled, view="mistakes", label="77")
    assert "class numbers from 0 to 9" in str(app.warning[0].value)


def test_an_image_is_answered_by_each_network(app: AppTest, filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def answer(home: Home, key: str, image: Any, index: int | None = None) -> dict[str, Any]:
        asked.append(image)
        shares = [0.0] * 9 + [1.0]
        names = [f"class {i}" for i in range(10)]
        models = [{"role": r, "name": r, "probabilities": shares, "milliseconds": 0.05, "bytes": 8000}
                  for r in ("teacher", "student")]  # fmt: skip
        return {"classes": names, "models": models, "missing": ["dense"]}

    monkeypatch.setattr(api_trial, "answers", answer)
    shown = _show(app, filled, view="try", image="7")
    assert np.array_equal(asked[0], api_trial.images(TASK, [7])[0])
    assert "50 µs, 8 kB" in shown
    assert "class 9: wrong" in shown, "image 7 is a bag"
    assert "Still being made by the look inside: Dense student" in " ".join(str(c.value) for c in app.caption)
    app.number_input(key="trial_image").set_value(8).run()
    assert np.array_equal(asked[1], api_trial.images(TASK, [8])[0])
    app.run()
    assert len(asked) == 2, "a rerun does not ask again"


def test_an_image_that_there_is_not(app: AppTest, filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = {"classes": [], "models": [], "missing": ["teacher"]}
    monkeypatch.setattr(api_trial, "answers", lambda *_: empty)
    _show(app, filled, view="try", image="5000")
    assert "allowed: 0 to 4999" in str(app.warning[0].value)
    assert "No network can answer yet" in str(app.info[0].value)


def test_an_upload_that_is_no_picture_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from pages.parts import trial_try

    said: list[str] = []
    monkeypatch.setattr(trial_try.st, "error", said.append)
    assert trial_try._uploaded(b"this is no picture") is None
    (line,) = said
    assert "PNG or JPEG" in line
    with pytest.raises(InputError):
        api_trial.prepare_image(b"this is no picture")


def test_the_record_has_recipe_machine_and_the_command(app: AppTest, filled: Home) -> None:
    shown = _show(app, filled, view="record")
    assert "a made-up machine" in shown
    code = " ".join(str(c.value) for c in app.code)
    assert '"student": "plain_10k"' in code
    assert f"stillhouse export {_key(filled)[:12]}" in code


def test_a_bad_address_is_said_and_the_rest_stands(app: AppTest, filled: Home) -> None:
    _show(app, filled, view="everything")
    assert "allowed: steps" in str(app.warning[0].value)
    assert app.button_group(key="trial_view").value == "steps"


def test_an_unknown_key_leads_to_the_choice(app: AppTest) -> None:
    app.query_params["key"] = "ffffffffffff"
    app.run()
    assert not app.exception
    assert "no trial starts with it" in str(app.warning[0].value)
    assert words.say("trial_pick.title") in _html(app)


def test_without_a_key_the_newest_trials_and_a_field(app: AppTest, filled: Home) -> None:
    app.run()
    assert words.say("trial_pick.sub") in _html(app)
    assert len(trial_pick.newest(filled)) == trial_pick.NEWEST
    app.text_input(key="trial_typed").set_value(_key(filled)[:10]).run()
    assert not app.exception
    assert "right in" in _html(app)
    assert str(_key(filled)[:10]) in str(dict(app.query_params))


@pytest.mark.usefixtures("app")
def test_in_an_empty_home_the_shipped_points_are_offered(tmp_path: Path) -> None:
    rows = trial_pick.newest(Home.locate(tmp_path / "empty"))
    assert rows
    assert all(r["origin"] == "shipped" for r in rows)


class TestInspectionIsAskedFor:
    @pytest.fixture
    def states(self, filled: Home, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        monkeypatch.setenv("STILLHOUSE_HOME", str(filled.root))
        now: dict[str, Any] = {"asked": [], "state": "none", "error": None, "refuse": None}

        def inspect(home: Home, key: str, who: str) -> str:
            if now["refuse"]:
                raise now["refuse"]
            now["asked"].append((key, who))
            now["state"] = "queued"
            return key

        def inspection(home: Home, key: str) -> dict[str, Any]:
            return {"state": now["state"], "progress": {"place": 2}, "error": now["error"], "data": None}

        monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
        monkeypatch.setattr(api_trial, "inspect", inspect)
        monkeypatch.setattr(api_trial, "inspection", inspection)
        return now

    @pytest.fixture
    def page(self) -> Iterator[AppTest]:
        yield from _opened()

    def test_once_by_the_page_itself_and_the_two_ends_are_shown(
        self, states: dict[str, Any], page: AppTest, filled: Home
    ) -> None:
        shown = _show(page, filled)
        assert states["asked"] == [(_key(filled), "local")]
        assert words.say("trial_steps.ends") in shown
        page.run()
        assert len(states["asked"]) == 1

    def test_what_failed_is_not_asked_for_again_by_itself(
        self, states: dict[str, Any], page: AppTest, filled: Home
    ) -> None:
        states.update(state="failed", error="it was measured by an earlier version")
        _show(page, filled)
        assert states["asked"] == []
        assert "earlier version" in str(page.warning[0].value)
        page.button(key="inspect_again").click().run()
        assert len(states["asked"]) == 1

    def test_a_refusal_is_one_line_and_the_page_stays(
        self, states: dict[str, Any], page: AppTest, filled: Home
    ) -> None:
        states["refuse"] = NotFoundError("trial x: nothing can be inspected")
        assert "right in" in _show(page, filled)
        assert "nothing can be inspected" in str(page.warning[0].value)


class TestUnfinished:
    @pytest.fixture
    def page(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
        monkeypatch.setattr(api, "ensure_runner", lambda *_: None)
        yield from _opened()

    def test_a_queued_trial_shows_its_place_and_can_be_cancelled_and_run_again(self, page: AppTest, home: Home) -> None:
        key = api.submit(home, {**api.default_recipe(TASK), "seed": 77})["key"]
        page.query_params["key"] = key[:12]
        page.run()
        assert not page.exception
        assert not page.error
        assert "plain 10k · soft targets, T = 4 · 50 % zeros gradually · 8 bits" in _html(page)
        page.button(key="trial_cancel").click().run()
        assert api.status(home, key)["state"] == "cancelled"
        page.run()
        assert "cancelled" in str(page.warning[0].value)
        page.button(key="trial_again").click().run()
        assert api.status(home, key)["state"] == "queued"

    def test_a_shipped_point_that_is_being_run_here_shows_both(self, page: AppTest, home: Home) -> None:
        key = api.submit(home, api.default_recipe(TASK))["key"]
        page.query_params["key"] = key[:12]
        page.run()
        assert not page.exception
        assert "right in" in _html(page)
        page.button(key="trial_cancel").click().run()
        assert api.status(home, key)["state"] != "queued"
        assert not [b for b in page.button if b.key == "trial_cancel"]
