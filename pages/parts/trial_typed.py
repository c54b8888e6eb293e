"""Try a text: a validation text in its words, or one that somebody typed as the networks see it."""

from __future__ import annotations

import random

import streamlit as st

from engine import api_texts
from engine.api_images import validation
from engine.api_texts import Ids
from engine.errors import StillhouseError
from pages.parts import charts, control, texts, trial_state
from pages.parts.trial_state import Asked
from pages.parts.words import line, say

FIELD_PIXELS = 150


def chosen(task: str, asked: Asked) -> tuple[Ids | None, int | None]:
    """The ids of the typed text, else of the validation text of the address with its label."""
    st.html(charts.title(say("trial_typed.title"), say("trial_typed.sub")))
    typed = control.text_area(say("trial_typed.own"), key="trial_own_text", height=FIELD_PIXELS,
                              max_chars=api_texts.MOST_CHARACTERS, placeholder=say("trial_typed.example"),
                              help=say("trial_typed.own_help"))  # fmt: skip
    if typed and typed.strip():
        return _own(task, typed), None
    labels = validation(task).labels
    place, count = asked.image, len(labels)
    if place >= count:
        st.warning(say("trial_typed.no_text", value=place, most=count - 1))
        place = 0
        st.session_state[trial_state.widget("image")] = place
    st.html(texts.box(api_texts.texts(task, [place])[0], say("trial_typed.alt", number=place)))
    control.number_input(
        say("trial_try.number"), 0, count - 1, key=trial_state.widget("image"), args=("image",),
        on_change=trial_state.changed, help=say("trial_try.number_help", most=count - 1),
    )  # fmt: skip
    control.button(say("trial_try.another"), key="trial_another", help=say("trial_try.another_help"), width="stretch",
                   on_click=_another, args=(count,))  # fmt: skip
    return api_texts.ids(task, [place])[0], int(labels[place])


def _own(task: str, typed: str) -> Ids | None:
    try:
        made = api_texts.encode(task, typed)
    except StillhouseError as problem:
        st.error(line(problem))
        return None
    st.caption(say("trial_typed.seen"))
    st.html(texts.box(made.seen, say("trial_typed.own_alt")))
    return made.ids


def _another(count: int) -> None:
    trial_state.choose({"image": random.randrange(count)})
