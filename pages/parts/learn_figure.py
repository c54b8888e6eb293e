"""The lesson's live figure with the address: what it asked for is checked, what a person moves is written back."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.errors import StillhouseError, unknown_name
from engine.lessons import Lesson
from pages.parts import class_chart, learn_state, live
from pages.parts.learn_state import Asked
from pages.parts.words import line, say


def values(lesson: Lesson, asked: Asked) -> tuple[dict[str, Any], list[str]]:
    """What the figure shows, and a line for each parameter that it does not take."""
    known = live.parameters(lesson.figure)
    found, refused = live.read(lesson.figure, asked.figure, lesson.figure_settings)
    names = (*learn_state.NAMES, *known, class_chart.COST)
    unknown = [line(unknown_name(say("url.setting"), n, names)) for n in asked.figure if n not in names]
    return found, [*refused, *unknown]


def problems(lesson: Lesson, asked: Asked) -> list[str]:
    """What the address asked of the figure in vain; also of a lesson whose figure is none."""
    try:
        return values(lesson, asked)[1]
    except StillhouseError as problem:
        return [line(problem)]


def panel(lesson: Lesson, asked: Asked, look: str) -> None:
    """The figure; moving a control writes its place into the address."""

    def moved(now: dict[str, Any]) -> None:
        learn_state.move(live.to_address(lesson.figure, now, lesson.figure_settings))

    try:
        live.panel(lesson.figure, values(lesson, asked)[0], look, moved)
    except StillhouseError as problem:
        st.error(line(problem))
