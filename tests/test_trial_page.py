"""The page Trial without a browser: its address, its words for steps and images, and what it draws in each state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser.seeded import seed
from streamlit.testing.v1 import AppTest

from engine import api, api_trial
from engine.errors import InputError, NotFoundError
from engine.home import Home
from pages.parts import trial_html, trial_layers, trial_pick, trial_record, trial_state, trial_steps, trial_wait, words
from pages.parts.trial_state import Asked

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


class TestAddress:
    def test_an_empty_address_asks_for_nothing_special(self) -> None:
        assert trial_state.read({}) == Asked()
        assert trial_state.write(Asked()) == {}

    def test_there_and_back(self) -> None:
        asked = Asked("4ca270d59c40", "mistakes", "head", "change", 6, 0, 16, 4999)
        address = trial_state.write(asked)
        assert address == {
            "key": "4ca270d59c40", "view": "mistakes", "layer": "head", "shown": "change", "label": "6", "answer": "0",
            "start": "16", "image": "4999",
        }  # fmt: skip
        assert trial_state.read(address) == asked

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [
            ("view", "everything", "allowed: steps, layers, mistakes, try, record"),
            ("shown", "all", "allowed: answers, change"),
            ("label", "-1", "a whole number from 0"),
            ("image", "1e9", "a whole number from 0"),
            ("start", "999999", "a whole number from 0"),
            ("key", "<script>", "no key of a trial"),
        ],
    )
    def test_an_impossible_value_falls_back_with_one_line(self, name: str, value: str, said: str) -> None:
        asked = trial_state.read({name: value})
        assert len(asked.problems) == 1
        assert said in asked.problems[0]
        assert replace(asked, problems=()) == Asked()

    def test_a_long_value_is_not_repeated_whole(self) -> None:
        (problem,) = trial_state.read({"view": "x" * 500}).problems
        assert len(problem) < 200


class TestWordsOfSteps:
    def step(self, kind: str, epochs: int, *stages: dict[str, Any]) -> str:
        return trial_steps.name_of({"name": "raw", "kind": kind, "epochs": epochs, "stages": list(stages)})

    def test_each_kind_of_step(self) -> None:
        prune = {"name": "prune_magnitude", "sparsity": 0.5}
        assert self.step("dense", 3) == "Dense student"
        assert self.step("train", 1) == "trained one epoch"
        assert self.step("train", 3, prune) == "trained 3 epochs with zeros 50 %"
        assert self.step("apply", 0, {"name": "quantize_linear", "bits": 4}) == "rounded to 4 bits"
        assert self.step("apply", 0, prune, {"name": "recalibrate"}) == "zeros 50 %, then norms measured again"

    def test_a_stage_that_nobody_described_reads_as_its_name(self) -> None:
        assert self.step("apply", 0, {"name": "share_weights"}) == "share weights"
        assert trial_steps.name_of({"name": "something", "kind": "apply", "stages": []}) == "something"

    def test_without_an_inspection_the_two_ends_are_the_steps(self) -> None:
        def side(key: str, size: int) -> dict[str, Any]:
            latency = {"median_ms": 0.05, "low_ms": 0.04, "high_ms": 0.06, "simulated": True}
            quality = {"value": 0.9, "low": 0.8, "high": 0.95, "metric": "accuracy"}
            costs = {"packed_bytes": size, "onnx_bytes": 2 * size, "macs": 5, "nonzero": 4, "latency": latency}
            return {"key": key, "quality": quality, "cost": costs}

        first, last = trial_steps.ends({**side("b", 100), "dense": side("a", 400)})
        assert (first["name"], first["packed_bytes"], last["packed_bytes"]) == ("Dense student", 400, 100)
        assert last["simulated"]
        assert len(trial_steps.ends({**side("a", 400), "dense": side("a", 400)})) == 1, "a dense student is one end"
        assert len(trial_steps.ends({**side("b", 100), "dense": None})) == 1


class TestPieces:
    def example(self, **changed: Any) -> dict[str, Any]:
        teacher = [0.0, 0.02, 0.9, 0.08]
        return {"index": 12, "label": 2, "answer": 0, "teacher": teacher, "student": [0.7, 0.1, 0.15, 0.05],
                "dense": None, **changed}  # fmt: skip

    def test_a_card_shows_the_label_first_and_both_answers(self) -> None:
        names = ["<Shirt>", "Coat", "Dress", "Bag"]
        assert trial_html.main_classes(self.example())[0] == 2
        card = trial_html.card(self.example(), np.zeros((28, 28), np.uint8), names)
        assert "&lt;Shirt&gt;" in card
        assert "<Shirt>" not in card
        assert "90.0 %" in card
        assert "70.0 %" in card
        assert card.count("sh-teacher") == card.count("sh-student") == 4
        assert 'alt="A picture with the label Dress, answered &lt;Shirt&gt;."' in card

    def test_a_card_without_a_teacher_and_with_the_dense_students_answer(self) -> None:
        example = self.example(teacher=None, dense=[0.0, 1.0, 0.0, 0.0])
        card = trial_html.card(example, np.zeros((28, 28), np.uint8), ["a", "b", "c", "d"])
        assert "sh-teacher" not in card
        assert "Dense student: b 100.0 %" in card

    def test_at_most_four_classes_and_always_the_label(self) -> None:
        shares = [0.5, 0.3, 0.1, 0.05, 0.05, 0.0]
        found = trial_html.main_classes({"label": 5, "answer": 0, "teacher": shares, "student": shares[::-1]})
        assert len(found) == 4
        assert 5 in found

    def test_tables_are_escaped_and_aligned(self) -> None:
        table = trial_html.table(["a", "b"], [["<x>", "1"], ["y", "2"]], numbers=1, strong=1)
        assert "&lt;x&gt;" in table
        assert table.count("sh-number") == 3
        assert table.index("sh-strong") > table.index("&lt;x&gt;")

    def test_pictures_stay_on_the_page(self) -> None:
        assert trial_html.picture(np.eye(28, dtype=np.uint8)).startswith("data:image/png;base64,iVBOR")

    def test_environment_leaves_out_what_is_not_known(self) -> None:
        rows = trial_record.environment({"environment": {"torch": "2", "features": ["avx2", "vnni"], "numpy": None}})
        assert rows == [["torch", "2"], ["features", "avx2, vnni"]]
        assert trial_record.environment({"environment": None}) == []

    def test_a_layer_that_is_not_there_falls_back(self) -> None:
        assert trial_layers.chosen(["a", "b"], "b") == "b"
        assert trial_layers.chosen(["a", "b"], "zz") == "a"

    @pytest.mark.parametrize(
        ("state", "progress", "said"),
        [
            ("queued", {"place": 3}, "waiting, 3 in front"),
            ("queued", {"place": 0}, "next in line"),
            ("running", {"doing": "training", "epoch": 2, "epochs": 3}, "training, epoch 2 of 3"),
            ("running", {"doing": "looking inside", "seconds_left": 6.2}, "reading its layers, about 6 s left"),
            ("running", {"doing": "something new"}, "something new"),
        ],
    )
    def test_progress_of_an_inspection(self, state: str, progress: dict[str, Any], said: str) -> None:
        assert said in trial_wait.describe({"state": state, "progress": progress})


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
    assert plain.count("sh-card") >= 8
    app.selectbox(key="trial_label").set_value(0).run()
    app.selectbox(key="trial_answer").set_value(1).run()
    shown = _html(app)
    count = api_trial.view(filled, _key(filled))["confusion"]["matrix"][0][1]
    assert f"{count:,} images with label T-shirt/top and answer Trouser." in shown
    app.button(key="mistakes_next").click().run()
    assert "9 to" in " ".join(str(c.value) for c in app.caption)
    app.selectbox(key="trial_label").set_value("").run()
    assert "1 to" in " ".join(str(c.value) for c in app.caption), "another filter starts at its first image"


def test_classes_that_are_none_are_left_out_with_a_line(app: AppTest, filled: Home) -> None:
    _show(app, filled, view="mistakes", label="77")
    assert "class numbers from 0 to 9" in str(app.warning[0].value)


def test_an_image_is_answered_by_each_network(app: AppTest, filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def answer(home: Home, key: str, image: Any) -> dict[str, Any]:
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
