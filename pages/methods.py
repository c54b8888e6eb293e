"""The page *Methods*: everything that can be chosen, what it does to a real layer, and a way to try it."""

from __future__ import annotations

import dataclasses

import streamlit as st

from engine import api_methods
from pages.parts import catalogue_words, frame, methods_entry, methods_list, methods_state, subject, theme
from pages.parts.words import say


def draw() -> None:
    """The list on the left, one entry in the middle."""
    home, look = frame.home(), theme.name()
    frame.start_runner(str(home.root))
    known = [dataclasses.replace(e, row=catalogue_words.row(e.kind, e.name)) for e in api_methods.entries()]
    chosen, problems = methods_state.sync(known)
    subject.name(chosen.name if chosen.kind == "tasks" else "")
    with st.sidebar:
        methods_list.panel(known, chosen)
    frame.heading(say("methods_page.title"), say("methods_page.lead"))
    for problem in problems:
        st.warning(problem)
    methods_entry.panel(chosen, look)
