"""The lessons in their order: links that a person may follow or open in another tab; what was played has a tick."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from engine.lessons import Lesson
from pages.parts import control, learn_played, links
from pages.parts.learn_state import Asked
from pages.parts.words import language, say


def panel(lessons: Mapping[str, Lesson], asked: Asked) -> None:
    """One line a lesson; the one that is shown stands out."""
    st.html(f'<h3 class="sh-group">{say("learn_page.lessons")}</h3>')
    with control.container(key="learn_list"):
        for number, lesson in enumerate(lessons.values(), start=1):
            title = lesson.say(language()).title
            played = learn_played.has(lesson.name)
            with control.container(key=f"learn_{'chosen' if lesson.name == asked.lesson else 'at'}_{lesson.name}"):
                label = f"{number} · {title}{' ✓' if played else ''}"
                told = say("learn_page.done", title=title) if played else None
                links.link("learn", {"lesson": lesson.name, "seed": asked.seed or ""}, label, told)
