"""Every shipped lesson played to its end on a miniature budget: one epoch, real runs, the page's own buttons."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import api, api_lessons, lessons
from engine.execution import presence
from engine.home import Home
from engine.lesson_check import Check, Finding
from engine.lesson_words import UNDECIDED
from engine.lessons import Lesson
from pages.parts import learn_check, learn_say, lesson_recipes

SHIPPED = lessons.FOLDER
NAMES = [path.stem for path in sorted(SHIPPED.glob("*.toml"))]
TOLD = {"held": "Your prediction held", "failed": "did not hold", "undecided": "do not decide it"}
SCRIPT = """
from pages import learn
learn.draw()
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One home with a runner of its own for all lessons."""
    root = tmp_path_factory.mktemp("lessons")
    before = os.environ.get("STILLHOUSE_HOME")
    os.environ["STILLHOUSE_HOME"] = str(root / "home")
    home = Home.locate()
    yield home
    if (process := presence._runners.pop(home.root, None)) is not None:
        process.terminate()
        process.wait(30)
    os.environ.pop("STILLHOUSE_HOME")
    if before is not None:
        os.environ["STILLHOUSE_HOME"] = before


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped lessons with one epoch where they have more, and no large student."""
    folder = tmp_path_factory.mktemp("small")
    for name in NAMES:
        text = (SHIPPED / f"{name}.toml").read_text(encoding="utf-8")
        text = re.sub(r"\b(epochs|finetune) = [2-9]\d*", r"\1 = 1", text).replace("plain_150k", "plain_29k")
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_played_to_the_end(name: str, house: Home, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "FOLDER", small)
    lesson = api_lessons.find(name)
    predicted = lesson.check.claim
    test = opened(lesson=name)
    test.button(key="learn_to_predict").click().run()
    test.radio(key="learn_choice").set_value(predicted).run()
    test.button(key="learn_go").click().run()
    runs = lesson_recipes.runs(lesson, 0)
    ended = api.wait(house, [run.recipe.key for run in runs])
    assert {key: state["state"] for key, state in ended.items()} == {run.recipe.key: "done" for run in runs}
    found = learn_check.finding(house, lesson.check, runs)
    assert found is not None
    for choice in lesson.check.answers:
        check_page(lesson, choice, found)
    undecided(lesson, house, runs, monkeypatch)


def check_page(lesson: Lesson, choice: str, found: Finding) -> None:
    """The page's verdict on one prediction, and a reason for it."""
    words, verdict = lesson.say("en"), learn_check.verdict_of(choice, found.outcome)
    shown = told(opened(lesson=lesson.name, step="check", choice=choice))
    assert [name for name, text in TOLD.items() if text in shown] == [verdict]
    assert learn_say.html(words.choices[choice].why) in shown
    reason = words.undecided if found.outcome == UNDECIDED else words.choices[found.outcome].why
    assert learn_say.html(reason) in shown


def undecided(lesson: Lesson, home: Home, runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the margin put where the difference lies, the same two runs decide nothing; what is counted always does."""
    found = learn_check.finding(home, lesson.check, runs)
    assert found is not None
    if found.low == found.high:
        return
    edge = abs(found.value) if not lesson.check.is_ratio else max(found.value, 1 / found.value) - 1
    check: Check = replace(lesson.check, margin=edge)
    keys = [run.recipe.key for run in runs]
    monkeypatch.setattr(learn_check, "finding", lambda *_: api_lessons.finding(home, check, *keys))
    shown = told(opened(lesson=lesson.name, step="check", choice=lesson.check.claim))
    assert [name for name, text in TOLD.items() if text in shown] == ["undecided"]
    assert learn_say.html(lesson.say("en").undecided) in shown


def opened(**address: str) -> AppTest:
    test = AppTest.from_string(SCRIPT, default_timeout=60)
    for name, value in address.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception
    return test


def told(test: AppTest) -> str:
    return " ".join(str(e.value) for kind in ("html", "markdown", "info", "error") for e in test.get(kind))
