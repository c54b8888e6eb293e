"""The page *Trial*: one measured point, taken apart. Its address names it, so that it can be sent to somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from engine import api, api_trial
from engine.errors import NotFoundError
from engine.home import Home
from engine.modalities import TOKENS
from pages.parts import (
    control,
    frame,
    subject,
    theme,
    trial_generate,
    trial_head,
    trial_layers,
    trial_mistakes,
    trial_pick,
    trial_profile,
    trial_record,
    trial_runtimes,
    trial_sensitivity,
    trial_state,
    trial_steps,
    trial_sure,
    trial_try,
    trial_wait,
)
from pages.parts.trial_state import VIEWS, Asked
from pages.parts.words import line, say

Row = Mapping[str, Any]


def draw() -> None:
    """The whole page, top to bottom."""
    home, look = frame.home(), theme.name()
    frame.start_runner(str(home.root))
    asked = trial_state.sync()
    frame.heading(say("trial_page.title"), say("trial_page.lead"))
    for problem in (*asked.problems, *frame.failures()):
        st.warning(problem)
    run = _run(home, asked.key) if asked.key else None
    subject.name(run["recipe"]["task"] if run else "")
    if run is None:
        trial_pick.panel(home)
    elif run["quality"] is None:
        trial_wait.unfinished(home, run, look)
    else:
        _body(home, api_trial.view(home, run["key"], 0), asked, look)


def _run(home: Home, key: str) -> dict[str, Any] | None:
    """The run object; a key that leads nowhere is said in one line above the choice of others."""
    try:
        return api.result(home, key)
    except NotFoundError as problem:
        st.warning(line(problem))
        return None


def _views() -> tuple[str, ...]:
    """The parts of the page: of running text no single answers are kept, so that no mistakes can be shown."""
    return tuple(v for v in VIEWS if v != "mistakes" or subject.modality() != TOKENS)


def _body(home: Home, view: Row, asked: Asked, look: str) -> None:
    run = view["run"]
    trial_head.panel(home, run, view["row"])
    trial_wait.running(home, run["key"], look)
    views = _views()
    if asked.view not in views:
        asked = replace(asked, view=views[0])
        st.session_state[trial_state.widget("view")] = views[0]
    control.segmented_control(say("trial_page.view"), views, key=trial_state.widget("view"), required=True,
                              format_func=lambda name: say(f"trial_view.{name}"), help=say("trial_page.view_help"),
                              on_change=trial_state.changed, args=("view",), label_visibility="collapsed")  # fmt: skip
    inside = trial_wait.inspection(home, run["key"])
    if far := trial_runtimes.too_far(run, inside):
        st.warning(far)
    if asked.view == "steps":
        trial_steps.panel(run, inside, look)
    elif asked.view == "layers":
        trial_layers.panel(run["key"], inside, asked, look)
    elif asked.view == "sensitivity":
        trial_sensitivity.panel(home, run, inside, asked, look)
    elif asked.view == "time":
        trial_profile.panel(run, inside, asked, look)
        trial_runtimes.panel(home, run, inside)
    elif asked.view == "mistakes":
        trial_mistakes.panel(home, view, asked, look)
    elif asked.view == "sure":
        trial_sure.panel(home, run, look)
    elif asked.view == "try":
        if subject.modality() == TOKENS:
            trial_generate.panel(home, run, inside is not None)
        else:
            trial_try.panel(home, run, asked, inside is not None)
    else:
        trial_record.panel(home, view)
