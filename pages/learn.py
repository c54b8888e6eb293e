"""The page *Learn*: a question, a live figure, a prediction, two real runs, and whether the prediction held."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine import api_lessons
from engine.errors import StillhouseError
from engine.home import Home
from engine.lessons import Lesson
from pages.parts import (
    class_answers,
    class_chart,
    frame,
    learn_check,
    learn_figure,
    learn_idea,
    learn_list,
    learn_predict,
    learn_run,
    learn_state,
    learn_steps,
    lesson_recipes,
    subject,
    theme,
)
from pages.parts.learn_state import Asked
from pages.parts.lesson_recipes import Run
from pages.parts.words import language, line, say


def draw() -> None:
    """The whole page, top to bottom."""
    home, look = frame.home(), theme.name()
    frame.start_runner(str(home.root))
    lessons = api_lessons.known()
    asked = learn_state.sync()
    with st.sidebar:
        learn_list.panel(lessons, asked)
    frame.heading(say("learn_page.title"), say("learn_page.lead"))
    _told(asked.problems)
    _troubles()
    if not lessons:
        st.info(say("learn_page.none"))
        return
    lesson = lessons[asked.lesson]
    _told(learn_figure.problems(lesson, asked))
    subject.name(lesson.experiment.task)
    learn_steps.head(lesson, asked)
    _body(home, lesson, asked, look)


def _told(refused: Sequence[str]) -> None:
    for problem in refused:
        st.warning(say("url.kept", problem=problem))


def _troubles() -> None:
    """Files that are no lessons, and what a click could not do."""
    for problem in api_lessons.problems():
        st.warning(say("learn_page.bad_file", problem=problem))
    for problem in frame.failures():
        st.error(problem)


def _body(home: Home, lesson: Lesson, asked: Asked, look: str) -> None:
    words = lesson.say(language())
    if asked.step == "class":
        class_chart.panel(home, lesson.experiment.task, look)
        class_answers.panel(home, lesson.name, look)
        return
    if asked.step == "idea":
        learn_idea.panel(lesson, words, asked, look)
        return
    runs = _runs(lesson, asked.seed)
    if runs is None:
        return
    if asked.step == "predict":
        learn_predict.panel(home, lesson, words, asked, runs)
    elif asked.step == "run":
        learn_run.panel(home, lesson, words, asked, runs, look)
    else:
        learn_check.panel(home, lesson, words, asked, runs, look)


def _runs(lesson: Lesson, seed: int) -> tuple[Run, Run] | None:
    """The two runs; a lesson whose settings mean nothing here says so and can still be read."""
    try:
        return lesson_recipes.runs(lesson, seed)
    except StillhouseError as problem:
        st.error(say("learn_page.cannot", problem=line(problem)))
        return None
