"""The page *Sweep*: put a family of settings together, see what it would take, start it, and watch its front grow."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine import api_sweeps
from engine.catalogue import current
from engine.errors import NotFoundError
from engine.home import Home
from pages.parts import (
    catalogue_words,
    control,
    extras,
    frame,
    subject,
    sweep_edit,
    sweep_form,
    sweep_list,
    sweep_plan,
    sweep_state,
    sweep_view,
    theme,
)
from pages.parts.words import say


def draw() -> None:
    """The whole page, top to bottom."""
    home, look = frame.home(), theme.name()
    frame.start_runner(str(home.root))
    sweep_state.sync()
    name = sweep_state.opened()
    if name:
        try:
            subject.name(api_sweeps.status(home, name)["task"])
        except NotFoundError:
            sweep_state.gone(name)
            name = ""
    _heading(bool(name))
    _told(sweep_state.problems())
    if name:
        sweep_view.panel(home, name, look)
    else:
        _builder(home)


def _heading(opened: bool) -> None:
    frame.heading(say("sweep_page.title"), say("sweep_page.lead"))
    if opened:
        control.button(say("sweep_page.back"), key="sweep_back", help=say("sweep_page.back_help"),
                       on_click=sweep_state.open_sweep, args=("",))  # fmt: skip


def _told(notes: Sequence[str]) -> None:
    for problem in notes:
        st.warning(say("url.kept", problem=problem))
    for problem in extras.problems(sweep_state.PAGE):
        st.warning(problem)
    for problem in frame.failures():
        st.error(problem)


def _builder(home: Home) -> None:
    """Ready-made sweeps, the form with the plan beside it, and what was started before."""
    draft = sweep_state.draft()
    task = draft.task if draft is not None else str(sweep_state.raw().get("task", ""))
    subject.name(task)
    _ready(task)
    left, right = st.columns([2.1, 1], gap="medium")
    with left:
        if draft is None:
            st.info(say("sweep_form.beyond_note", problem=sweep_state.beyond()))
        else:
            sweep_form.editor(draft, sweep_edit.problems(draft))
    with right, control.container(key="sweep_side"):
        sweep_plan.panel(home, draft, sweep_state.raw())
        sweep_list.panel(home)


def _ready(task: str) -> None:
    """What one may start from, a button each."""
    if task not in current().names("tasks"):
        return
    with control.container(horizontal=True, vertical_alignment="center", gap="small", key="sweep_ready"):
        st.html(f'<span class="sh-sub">{say("sweep_page.ready")}</span>', width="content")
        control.button(say("sweep_page.plain"), key="ready_plain", help=say("sweep_page.plain_help"),
                       on_click=sweep_state.choose_task, args=(task,))  # fmt: skip
        for row in api_sweeps.ready(task):
            title, told = (catalogue_words.field_of("sweeps", row["name"], n, row[n]) for n in ("title", "help"))
            control.button(
                title,
                key=f"ready_{row['name']}",
                help=say("sweep_page.ready_help", help=told),
                on_click=sweep_state.begin_ready,
                args=(row["name"], task),
            )
