"""The shipped lessons on the page: Explore opens the same recipes, figures stand where they say."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT

from engine import lessons
from engine.lessons import Lesson
from pages.parts import choices, lesson_recipes, live

LESSONS = lessons.known()
PROMISED = {1, 2, 6, 10, 11, 13, 15, 16, 17, 18, 19, 27}  # of the thirty questions of docs/lessons.md
every_lesson = pytest.mark.parametrize("lesson", LESSONS.values(), ids=list(LESSONS))


def test_the_promised_questions_are_answered() -> None:
    answered = {q for lesson in LESSONS.values() for q in lesson.questions}
    assert answered >= PROMISED
    bold = {int(n) for n in re.findall(r"\*\*(\d+)\*\*", (ROOT / "docs" / "lessons.md").read_text(encoding="utf-8"))}
    assert bold == answered


@every_lesson
def test_it_can_be_played(lesson: Lesson) -> None:
    assert lesson_recipes.problems(lesson) == []
    first, second = lesson_recipes.runs(lesson, 0)
    for run in (first, second):
        again = choices.read(run.address, parse=True)
        assert choices.to_recipe(again) == choices.to_recipe(run.form), "Explore opens the very same recipe"
    assert lesson_recipes.differing(first, second)


@every_lesson
def test_its_figure_opens_where_it_says(lesson: Lesson) -> None:
    values, refused = live.read(lesson.figure, {}, lesson.figure_settings)
    assert refused == []
    assert set(lesson.figure_settings) <= set(values)
    assert all(values[name] == value for name, value in lesson.figure_settings.items())


@every_lesson
def test_chinese_has_no_numbers_of_its_own(lesson: Lesson) -> None:
    english, chinese = (lesson.words[language] for language in ("en", "zh"))
    numbers = [re.findall(r"\d+(?:\.\d+)?", text) for text in (english.answer, chinese.answer)]
    assert set(numbers[1]) <= {*numbers[0], "1", "2", "3", "4", "5", "6", "8", "10", "16", "32"}, "no number of its own"
