"""What the page of one point is told: counts that add up, mistakes in order, inspections asked for once, own images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from api_tools import TASK, finish, none_shipped, shipped  # noqa: F401
from runner_tools import recipe, stub_home, until  # noqa: F401

from engine import answering, api, api_images, api_predictions, api_trial, inspection_files, store_read
from engine.api_home import store_of
from engine.api_predictions import Answers
from engine.errors import InputError, NotFoundError
from engine.home import Home
from engine.recipe import Recipe


@pytest.fixture
def done(home: Home, none_shipped: None) -> tuple[Home, str, str]:  # noqa: F811
    """A home with a trial and its dense student: key of either."""
    dense = finish(home, Recipe.from_json(recipe(1)).dense().to_json())
    return home, finish(home, recipe(1)), dense


def test_everything_is_there_at_once(done: tuple[Home, str, str]) -> None:
    home, key, dense = done
    found = api_trial.view(home, key[:12])
    assert found["run"]["key"] == found["row"]["key"] == key
    assert found["run"]["dense"]["key"] == dense
    assert [a["reason"] for a in found["attempts"]] == ["done"]
    assert found["wanted_by"] == ["local"]
    assert found["sweeps"] == []
    assert found["mistakes_total"] >= len(found["mistakes"]) == api_trial.MISTAKES


def test_confusion_adds_up_and_changes_against_the_dense_student(done: tuple[Home, str, str]) -> None:
    home, key, dense = done
    found = api_trial.view(home, key)["confusion"]
    labels = api_images.validation(TASK).labels
    own = api.predictions(home, key).argmax(1)
    assert found["count"] == len(labels)
    assert np.sum(found["matrix"], axis=1).tolist() == np.bincount(labels).tolist()
    assert found["matrix"][3][7] == int(((labels == 3) & (own == 7)).sum())
    assert np.sum(found["change"]) == 0
    assert (np.array(found["matrix"]) - found["dense_matrix"]).tolist() == found["change"]
    assert api_trial.view(home, dense)["confusion"]["change"] is None
    assert found["labels"][9] == "Ankle boot"


def test_shares_by_class_have_intervals(done: tuple[Home, str, str]) -> None:
    home, key, _ = done
    found = api_trial.view(home, key)
    for number, one in enumerate(found["per_class"]):
        assert one["right"] == found["confusion"]["matrix"][number][number]
        assert one["low"] < one["share"] == one["right"] / one["count"] < one["high"]
        assert one["dense_share"] == found["confusion"]["dense_matrix"][number][number] / one["count"]


def test_mistakes_are_the_teachers_right_answers_surest_first(done: tuple[Home, str, str]) -> None:
    home, key, _ = done
    rows = api_trial.view(home, key)["mistakes"]
    gaps = [r["teacher"][r["label"]] - r["student"][r["label"]] for r in rows]
    assert gaps == sorted(gaps, reverse=True)
    for one in rows:
        assert int(np.argmax(one["teacher"])) == one["label"] != one["answer"] == int(np.argmax(one["student"]))
        for side in ("teacher", "student", "dense"):
            assert sum(one[side]) == pytest.approx(1, abs=1e-5)


def test_a_cell_of_the_confusion_matrix_can_be_opened(done: tuple[Home, str, str]) -> None:
    home, key, _ = done
    matrix = api_trial.view(home, key)["confusion"]["matrix"]
    first = api_trial.examples(home, key, label=2, answer=5, count=3)
    rest = api_trial.examples(home, key, label=2, answer=5, start=3, count=1000)
    assert first["total"] == rest["total"] == matrix[2][5] == len(first["rows"]) + len(rest["rows"])
    assert {(r["label"], r["answer"]) for r in first["rows"] + rest["rows"]} == {(2, 5)}
    assert len({r["index"] for r in first["rows"] + rest["rows"]}) == first["total"]


def test_images_are_those_of_the_rows() -> None:
    pixels = api_images.validation(TASK).pixels
    assert np.array_equal(api_trial.images(TASK, [7, 3]), pixels[[7, 3]])
    assert api_trial.images(TASK, []).shape == (0, 28, 28)
    for wrong in (-1, 5000, True):
        with pytest.raises(InputError, match="0 to 4999"):
            api_trial.images(TASK, [wrong])
    with pytest.raises(InputError):
        api_trial.images("nothing", [0])


def test_what_has_no_result_has_no_answers(home: Home, none_shipped: None) -> None:  # noqa: F811
    key = api.submit(home, recipe(5), companions=False)["key"]
    found = api_trial.view(home, key)
    assert found["row"] is None
    assert found["confusion"] is None
    assert found["mistakes"] == found["per_class"] == found["attempts"] == []
    assert found["run"]["state"] == "queued"
    with pytest.raises(NotFoundError):
        api_trial.view(home, "abc123")
    with pytest.raises(NotFoundError, match="no result yet"):
        api_trial.inspect(home, key)


def test_a_preview_is_compared_on_its_own_examples() -> None:
    generator = np.random.default_rng(0)
    logits = [generator.normal(size=(n, 3)).astype(np.float32) for n in (40, 40, 40)]
    found = Answers(np.arange(40) % 3, *logits)
    assert np.sum(api_predictions.confusion(found, "abc")["matrix"]) == 40  # type: ignore[index]
    assert api_predictions.chosen(Answers(np.arange(40) % 3, logits[0]), teacher_right=True).size == 0
    assert api_predictions.chosen(Answers(np.arange(40) % 3)).size == 0
    rows = api_predictions.rows_of(Answers(np.arange(40) % 3, logits[0]), np.array([4]))
    assert rows[0]["dense"] is rows[0]["teacher"] is None


def test_a_preview_beside_a_whole_dense_student(done: tuple[Home, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    home, key, _ = done
    whole = api_trial.logits
    monkeypatch.setattr(api_trial, "logits", lambda h, k, of=None: whole(h, k, of)[: 1000 if k == key else None])
    found = api_trial.view(home, key)
    assert found["confusion"]["count"] == np.sum(found["confusion"]["dense_matrix"]) == 1000
    assert max(m["index"] for m in found["mistakes"]) < 1000


def test_shipped_points_have_the_teachers_answers_only(home: Home, shipped: list[dict[str, Any]]) -> None:  # noqa: F811
    teacher, trial = (api_trial.view(home, e["result"]["key"]) for e in shipped)
    assert teacher["confusion"]["count"] == 5000
    assert teacher["mistakes_total"] == 0
    assert trial["confusion"] is None
    inspection_files.save(home, trial["run"]["key"], {"dense_key": None}, {"logits": np.eye(10)[np.arange(5000) % 10]})
    assert api_trial.view(home, trial["run"]["key"])["confusion"]["count"] == 5000


def test_answers_of_a_dense_student_that_only_the_inspection_kept(
    home: Home,
    none_shipped: None,  # noqa: F811
) -> None:
    key = finish(home, recipe(1))
    dense = Recipe.from_json(recipe(1)).dense().key
    finish(home, Recipe.from_json(recipe(1)).dense().to_json())
    assert api_trial.view(home, key)["confusion"]["change"] is not None
    store_of(home).rows("DELETE FROM predictions WHERE key = ?", dense)
    assert api_trial.view(home, key)["confusion"]["change"] is None
    kept = {"logits": np.ones((5000, 10)), "dense_logits": np.eye(10)[np.arange(5000) % 10]}
    inspection_files.save(home, key, {"dense_key": dense}, kept)
    assert api_trial.view(home, key)["confusion"]["change"] is not None


def test_sweeps_that_hold_the_point_are_named(done: tuple[Home, str, str]) -> None:
    home, key, _ = done
    with store_of(home).change() as db:
        db.execute("INSERT INTO sweeps (id, name, task, spec, who, state, trials, created) VALUES "
                   "('s1', 'mine', 't', '{}', 'local', 'running', 1, 0)")  # fmt: skip
        db.execute("INSERT INTO sweep_trials VALUES ('s1', 0, ?, ?)", (key, '{"seed": 1}'))
    assert api_trial.view(home, key)["sweeps"] == [{"id": "s1", "name": "mine", "setting": {"seed": 1}}]


class TestAsking:
    def test_an_inspection_is_asked_for_once_and_shared(self, done: tuple[Home, str, str]) -> None:
        home, key, _ = done
        assert api_trial.inspection(home, key[:10])["state"] == "none"
        names = {api_trial.inspect(home, key[:10], who) for who in ("a", "b", "a")}
        assert names == {f"inspect:{key}"}
        assert api_trial.inspection(home, key)["state"] == "queued"
        assert [w.id for w in store_read.unfinished(store_of(home))] == [f"inspect:{key}"]
        assert api.cancel(home, f"inspect:{key}", "a")
        assert api_trial.inspection(home, key)["state"] == "queued"
        assert api.cancel(home, f"inspect:{key}", "b")
        assert api_trial.inspection(home, key)["state"] == "cancelled"

    def test_progress_failure_and_another_try(self, done: tuple[Home, str, str]) -> None:
        home, key, _ = done
        api_trial.inspect(home, key)
        store = store_of(home)
        work = store.claim()
        assert work is not None
        assert (work.kind, work.body["key"], work.body["origin"]) == ("inspect", key, "trial")
        assert work.body["recipe"] == api.result(home, key)["recipe"]
        store.report(work.id, work.attempt, {"doing": "looking inside", "fraction": 0.4})
        now = api_trial.inspection(home, key)
        assert (now["state"], now["progress"]["fraction"], now["data"]) == ("running", 0.4, None)
        store.fail(work.id, work.attempt, "no memory")
        assert (api_trial.inspection(home, key)["state"], api_trial.inspection(home, key)["error"]) == (
            "failed",
            "no memory",
        )
        api_trial.inspect(home, key)
        assert api_trial.inspection(home, key)["state"] == "queued"

    def test_done_is_what_is_kept_and_whole(self, done: tuple[Home, str, str]) -> None:
        home, key, _ = done
        api_trial.inspect(home, key)
        store = store_of(home)
        work = store.claim()
        assert work is not None
        store.finish(work.id, work.attempt)
        assert api_trial.inspection(home, key)["state"] == "none", "nothing was kept"
        inspection_files.save(home, key, {"phases": [], "dense_key": None}, {"logits": np.ones((1, 10))})
        assert api_trial.inspection(home, key)["data"]["phases"] == []
        inspection_files.path(home, key).write_text("{}")
        assert api_trial.inspection(home, key)["state"] == "none"
        api_trial.inspect(home, key)
        assert api_trial.inspection(home, key)["state"] == "queued"

    def test_a_real_runner_inspects(self, stub_home: Home) -> None:  # noqa: F811
        key = finish(stub_home, recipe(3))
        api_trial.inspect(stub_home, key)
        api.ensure_runner(stub_home)
        found = until(lambda: api_trial.inspection(stub_home, key)["data"])
        assert found["phases"] == [{"name": key}]


class TestAnswers:
    def test_models_that_are_there_answer(self, done: tuple[Home, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        home, key, dense = done
        image = api_trial.images(TASK, [0])[0]
        asked: list[Any] = []

        def ask(paths: Any, given: Any) -> list[Any]:
            asked.append((list(paths), given))
            return [answering.Answer(np.arange(10, dtype=np.float32), 0.5) for _ in paths]

        monkeypatch.setattr(answering, "ask", ask)
        found = api_trial.answers(home, key, image)
        assert found["missing"] == ["teacher", "dense", "student"]
        assert found["models"] == []
        for name in (key, dense, inspection_files.model_id("teacher")):
            inspection_files.save_model(home, name, f"called {name[:7]}", b"onnx", 77)
        found = api_trial.answers(home, key, image)
        assert [(m["role"], m["name"], m["bytes"]) for m in found["models"]] == [
            ("teacher", "called teacher", 77),
            ("dense", f"called {dense[:7]}", 77),
            ("student", f"called {key[:7]}", 77),
        ]
        assert all(sum(m["probabilities"]) == pytest.approx(1) for m in found["models"])
        paths, given = asked[-1]
        assert given.shape == (1, 1, 28, 28)
        assert given.dtype == np.float32
        assert given.min() == pytest.approx(-0.2860 / 0.3530)
        assert paths[1] == inspection_files.model_path(home, dense)
        assert [m["role"] for m in api_trial.answers(home, dense, image)["models"]] == ["teacher", "student"]

    @pytest.mark.parametrize("image", [np.zeros((28, 28)), np.zeros((27, 28), np.uint8), np.zeros(784, np.uint8)])
    def test_other_images_are_refused(self, done: tuple[Home, str, str], image: Any) -> None:
        with pytest.raises(InputError, match="uint8"):
            api_trial.answers(done[0], done[1], image)
