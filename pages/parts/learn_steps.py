"""The lesson's question and the way through its steps; the address follows."""

from __future__ import annotations

from html import escape

import streamlit as st

from engine.lessons import Lesson
from pages.parts import control, learn_state
from pages.parts.learn_state import STEPS, Asked
from pages.parts.words import language, say

WIDGET = "learn_step"


def head(lesson: Lesson, asked: Asked) -> None:
    """The question in large type, the steps beside it."""
    left, right = st.columns([1, 1], vertical_alignment="bottom", gap="medium")
    left.html(f'<h2 class="sh-question">{escape(lesson.say(language()).question)}</h2>')
    st.session_state[WIDGET] = asked.step
    with right:
        control.segmented_control(say("learn_page.steps"), STEPS, key=WIDGET, required=True, width="stretch",
                             format_func=lambda name: say(f"learn_step.{name}"), help=say("learn_page.steps_help"),
                             on_change=_changed, label_visibility="collapsed")  # fmt: skip


def turn(step: str, primary: bool = True, disabled: bool = False) -> None:
    """A button that leads to a step."""
    word = say("learn_page.next", step=say(f"learn_step.short_{step}")) if primary else say("learn_page.back")
    control.button(word, key=f"learn_to_{step}", type="primary" if primary else "secondary", disabled=disabled,
              on_click=learn_state.choose, kwargs={"step": step})  # fmt: skip


def _changed() -> None:
    learn_state.choose(step=st.session_state.get(WIDGET) or STEPS[0])
