"""Importances: what the child is asked, what it answers, that it runs once and that others wait for it."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest
from figure_rows import row

from engine import api_front, api_points
from engine.errors import FileError
from engine.search import importance

TASK = "fashion_mnist"


def rows_of(count: int = 60) -> list[dict[str, Any]]:
    """Quality hangs on the bits, size on the student, nothing on the seed."""
    chance = random.Random(1)
    found = []
    for i in range(count):
        bits, student = chance.choice((1, 2, 4, 8)), chance.choice(("plain_1k5", "plain_10k", "plain_150k"))
        size = {"plain_1k5": 1e3, "plain_10k": 1e4, "plain_150k": 1e5}[student] * chance.uniform(0.95, 1.05)
        made = {"bits": bits, "student": student, "seed": chance.randrange(4), "packed_bytes": size}
        found.append(row(i, quality=0.5 + 0.05 * bits + chance.uniform(0, 0.01), **made))
    return found


class TestQuestion:
    def test_only_knobs_that_differ_are_asked_about(self) -> None:
        asked = importance.question(rows_of(), {"quality": "maximize"})
        assert set(asked["knobs"][0]) == {"bits", "student", "seed"}
        assert asked["values"][0] == [rows_of()[0]["quality"]]

    def test_a_knob_that_a_row_does_not_have_is_left_out_of_it(self) -> None:
        rows = [{**r, "temperature": None if i % 2 else float(i + 1)} for i, r in enumerate(rows_of())]
        asked = importance.question(rows, {"quality": "maximize"})
        assert ["temperature" in k for k in asked["knobs"][:4]] == [True, False, True, False]

    def test_labels_count_even_where_all_are_used(self) -> None:
        rows = [{**r, "labels": None if i % 2 else 100} for i, r in enumerate(rows_of())]
        assert {k["labels"] for k in importance.question(rows, {"quality": "maximize"})["knobs"]} == {"all", "100"}

    def test_teachers_previews_and_what_was_not_measured_do_not_count(self) -> None:
        odd = [row(90, role="teacher"), row(91, preview=True), row(92, quality=float("nan")), row(93, quality=None)]
        asked = importance.question([*rows_of(20), *odd], {"quality": "maximize"})
        assert len(asked["values"]) == 20

    @pytest.mark.parametrize("rows", [rows_of(9), [row(i) for i in range(30)]], ids=["few", "equal"])
    def test_too_little_to_tell_is_an_empty_answer(self, home: Any, rows: Any) -> None:
        assert importance.question(rows, {"quality": "maximize"})["values"] == []
        assert api_front.importances(home, TASK, "quality", rows) == {}

    def test_a_sample_is_bounded_and_always_the_same(self) -> None:
        assert importance.sample(5) == [0, 1, 2, 3, 4]
        chosen = importance.sample(20_000)
        assert chosen == importance.sample(20_000)
        assert len(set(chosen)) == importance.MOST_ROWS


def test_what_decides_is_found_and_one_child_answers_for_all(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    real = subprocess.Popen

    def counted(*arguments: Any, **more: Any) -> Any:
        started.append(arguments)
        return real(*arguments, **more)

    monkeypatch.setattr(importance.subprocess, "Popen", counted)
    view = api_points.view(api_points.table_of(rows_of(), TASK))
    assert api_front.importances(home, TASK, "quality", view, wait=False) is None, "it only starts"
    assert api_front.importances(home, TASK, "quality", view, wait=False) is None
    by_quality = api_front.importances(home, TASK, "quality", view)
    assert by_quality == api_front.importances(home, TASK, "quality", rows_of(), wait=False), "kept"
    assert len(started) == 1
    assert next(iter(by_quality)) == "bits"
    assert sum(by_quality.values()) == pytest.approx(1.0)
    assert list(by_quality.values()) == sorted(by_quality.values(), reverse=True)
    assert by_quality["bits"] > 0.6
    folder = home.cache("importance")
    assert [p.suffix for p in folder.iterdir()] == [".json"], "questions and logs are cleared away"


def test_less_is_better_for_a_cost_and_both_make_a_front() -> None:
    by_size = importance.answer(importance.question(rows_of(), {"packed_bytes": "minimize"}))
    assert next(iter(by_size)) == "student"
    both = importance.answer(importance.question(rows_of(), {"packed_bytes": "minimize", "quality": "maximize"}))
    assert both["bits"] > both["seed"]
    assert sum(both.values()) == pytest.approx(1.0)


def test_a_damaged_answer_is_counted_again(home: Any) -> None:
    first = api_front.importances(home, TASK, "quality", rows_of(12))
    kept = next(home.cache("importance").glob("*.json"))
    kept.write_text('{"shares": 3')
    assert api_front.importances(home, TASK, "quality", rows_of(12)) == first


def test_a_child_that_fails_says_why(home: Any) -> None:
    asked = importance.question(rows_of(12), {"quality": "maximize"})
    asked["ways"] = {"quality": "sideways"}
    with pytest.raises(FileError, match="sideways"):
        importance.ask(home, asked)


def test_asking_loads_no_optuna_here() -> None:
    code = "import sys, engine.api_front; print([n for n in ('optuna', 'scipy', 'sklearn') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
