"""A class: whose points count since the host cleared the chart, and what was predicted, counted once a person."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from api_tools import TASK, finish
from lesson_tools import row as lesson_row
from lesson_tools import toml
from runner_tools import recipe
from store_tools import trial

from engine import api, api_class, api_people, lessons
from engine.api_home import store_of
from engine.errors import InputError
from engine.home import Home
from engine.store import Store

LESSON = "temperature"


@pytest.fixture
def lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One lesson, which offers all three choices."""
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / f"{LESSON}.toml").write_text(toml(lesson_row()), encoding="utf-8")
    monkeypatch.setattr(lessons, "FOLDER", tmp_path / "lessons")
    return LESSON


def asked(home: Home) -> dict[str, tuple[str, ...]]:
    return {p.row["key"]: p.people for p in api_class.board(home, TASK).points}


class TestBoard:
    def test_everybody_sees_everybodys_points_with_the_names_that_they_typed(self, home: Home) -> None:
        api_people.remember(home, "ann", "Ann <b>*A*</b>")
        first, second = finish(home, recipe(1)), finish(home, recipe(2))
        store_of(home).withdraw(first, api.LOCAL), store_of(home).withdraw(second, api.LOCAL)
        for who, seed in (("ann", 1), ("bob", 2), ("cem", 1)):
            api.submit(home, recipe(seed), who, companions=False)
        board = api_class.board(home, TASK)
        assert asked(home) == {first: ("ann", "cem"), second: ("bob",)}
        assert (board.people, board.waiting, board.since) == (3, 0, 0.0)
        assert dict(board.names) == {"ann": "Ann <b>*A*</b>"}
        assert board.points[0].row["quality"] > 0.1

    def test_thirty_people_and_one_recipe_are_one_point(self, home: Home) -> None:
        key = finish(home, recipe(1))
        for number in range(30):
            api.submit(home, recipe(1), f"guest{number:02}", companions=False)
        (one,) = api_class.board(home, TASK).points
        assert (one.row["key"], len(one.people)) == (key, 31)
        assert one.people[:3] == (api.LOCAL, "guest00", "guest01")
        assert len(store_of(home).rows("SELECT 1 FROM attempts")) == 1

    def test_what_a_run_brings_along_is_nobodys_point(self, home: Home) -> None:
        made = api.check(recipe(1))
        for one in (made, made.dense(), made.baseline()):
            store_of(home).withdraw(finish(home, one.to_json()), api.LOCAL)
        assert api.submit(home, made.to_json(), "ann")["known"]
        assert api_people.wanted_by(home, made.dense().key) == ["ann"]
        assert asked(home) == {made.key: ("ann",)}

    def test_waiting_trials_are_counted_until_they_are_measured_or_withdrawn(self, home: Home) -> None:
        key = api.submit(home, recipe(1), "ann", companions=False)["key"]
        api.submit(home, recipe(2), "bob", companions=False)
        assert (api_class.board(home, TASK).waiting, asked(home)) == (2, {})
        api.cancel(home, api.check(recipe(2)).key, "bob")
        assert api_class.board(home, TASK).waiting == 1
        finish(home, recipe(1))
        assert (api_class.board(home, TASK).waiting, set(asked(home))) == (0, {key})

    def test_trials_of_sweeps_count(self, home: Home) -> None:
        key = finish(home, recipe(1))
        store_of(home).withdraw(key, api.LOCAL)
        store_of(home).submit([trial(key)], "ann", "sweep:s")
        assert asked(home) == {key: ("ann",)}

    def test_another_task_has_a_chart_of_its_own(self, home: Home) -> None:
        finish(home, recipe(1))
        assert api_class.board(home, "text_spam").points == ()
        with pytest.raises(InputError, match="fashion_mnist"):
            api_class.board(home, "fashion")

    def test_a_provisional_point_waits_for_the_full_one(self, home: Home) -> None:
        key = finish(home, recipe(1))
        with store_of(home).change() as db:
            db.execute("UPDATE results SET body = json_set(body, '$.preview', json('true')), changed = changed + 1")
        assert asked(home) == {}
        assert key

    def test_it_is_found_once_for_everybody(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        finish(home, recipe(1))
        before = api_class.board(home, TASK)
        assert api_class.board(home, TASK) is before
        other = Store(home.store)  # a worker, whose every report changes the store
        other.submit([trial("x")], "ann", "x")
        assert api_class.board(home, TASK) is before, "within a second nothing is found anew"
        monkeypatch.setattr(api_class, "FRESH_SECONDS", 0.0)
        other.remember("ann", "Ann")
        again = api_class.board(home, TASK)
        assert (again.stamp, again.points) == (before.stamp, before.points)
        other.close()
        api.submit(home, recipe(1), "ann", companions=False)  # one's own press shows at once
        monkeypatch.setattr(api_class, "FRESH_SECONDS", 60.0)
        assert api_class.board(home, TASK).stamp != before.stamp


class TestClear:
    def test_only_what_is_asked_for_afterwards_counts_and_nothing_is_forgotten(self, home: Home) -> None:
        first = finish(home, recipe(1))
        api_class.clear(home, host=True)
        assert asked(home) == {}
        assert api_class.board(home, TASK).since == pytest.approx(time.time(), abs=5)
        second = finish(home, recipe(2))
        assert set(asked(home)) == {second}
        assert {r["key"] for r in api.rows(home, TASK, ["trial"])} == {first, second}
        assert api_people.wanted_by(home, first) == [api.LOCAL]

    def test_who_presses_run_again_is_there_again(self, home: Home) -> None:
        key = finish(home, recipe(1))
        api_class.clear(home, host=True)
        assert api.submit(home, recipe(1), "ann", companions=False)["known"]
        assert asked(home) == {key: ("ann",)}
        api.submit(home, recipe(1), api.LOCAL, companions=False)
        assert asked(home) == {key: ("ann", api.LOCAL)}

    def test_a_wish_that_waits_keeps_its_age_in_the_queue(self, home: Home) -> None:
        for seed in (1, 2):
            api.submit(home, recipe(seed), "ann", companions=False)
        api.submit(home, recipe(1), "ann", companions=False)
        first, second = (api.check(recipe(seed)).key for seed in (1, 2))
        assert [api.status(home, key)["place"] for key in (first, second)] == [0, 1]
        api.cancel(home, first, "ann")
        api.submit(home, recipe(1), "ann", companions=False)
        assert [api.status(home, key)["place"] for key in (first, second)] == [1, 0], "taken back is asked anew"

    def test_a_participant_cannot(self, home: Home) -> None:
        finish(home, recipe(1))
        with pytest.raises(InputError, match="the host alone"):
            api_class.clear(home, host=False)
        assert len(asked(home)) == 1


class TestPredictions:
    def test_each_person_counts_once_with_the_latest(self, home: Home, lesson: str) -> None:
        assert api_class.tally(home, lesson) == {"more": 0, "less": 0, "same": 0}
        for who, choice in (("ann", "more"), ("bob", "same"), ("cem", "more"), ("ann", "less")):
            api_class.predict(home, who, lesson, 0, choice)
        assert api_class.tally(home, lesson) == {"more": 1, "less": 1, "same": 1}
        assert [api_class.prediction(home, who, lesson) for who in ("ann", "bob", "dan")] == ["less", "same", None]

    def test_clearing_begins_anew(self, home: Home, lesson: str) -> None:
        api_class.predict(home, "ann", lesson, 0, "more")
        api_class.clear(home, host=True)
        assert sum(api_class.tally(home, lesson).values()) == 0
        assert api_class.prediction(home, "ann", lesson) is None
        api_class.predict(home, "ann", lesson, 7, "same")
        assert api_class.tally(home, lesson)["same"] == 1

    @pytest.mark.parametrize(
        ("name", "seed", "choice", "told"),
        [(LESSON, 0, "mor", "did you mean 'more'"), ("temprature", 0, "more", "did you mean 'temperature'"),
         (LESSON, -1, "more", "a whole number from 0"), (LESSON, True, "more", "seed"), (LESSON, 2.5, "more", "seed"),
         (LESSON, 0, "undecided", "prediction")],
    )  # fmt: skip
    @pytest.mark.usefixtures("lesson")
    def test_what_a_lesson_does_not_offer_is_refused(
        self, home: Home, name: str, seed: int, choice: str, told: str
    ) -> None:
        with pytest.raises(InputError, match=told):
            api_class.predict(home, "ann", name, seed, choice)

    def test_a_choice_that_a_lesson_no_longer_offers_is_not_counted(self, home: Home, lesson: str) -> None:
        api_class.predict(home, "ann", lesson, 0, "more")
        with store_of(home).change() as db:
            db.execute("UPDATE class_predictions SET choice = 'sideways'")
        assert sum(api_class.tally(home, lesson).values()) == 0
        assert api_class.prediction(home, "ann", lesson) is None


def test_a_deleted_result_is_no_point_any_more(home: Home) -> None:
    key = finish(home, recipe(1))
    assert store_of(home).remove([key]) == [key]
    assert asked(home) == {}
