"""Both runs at work: how far each is, what else it can be looked at; when both are measured the check follows."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from engine import api
from engine.errors import NotFoundError
from engine.home import Home
from engine.lesson_words import Words
from engine.lessons import Lesson
from pages.parts import (
    charts,
    control,
    frame,
    learn_figure,
    learn_predict,
    learn_say,
    learn_state,
    learn_steps,
    lesson_recipes,
    links,
    progress,
    who,
)
from pages.parts.learn_state import Asked
from pages.parts.lesson_recipes import Run
from pages.parts.words import say

Status = Mapping[str, Any]
Runs = tuple[Run, Run]
POLL_SECONDS = 1.0
OVER = "_learn_over"


def panel(home: Home, lesson: Lesson, words: Words, asked: Asked, runs: Runs, look: str) -> None:
    """Two bars; who comes without having predicted is asked to, but not kept out."""
    says = words.choices[asked.choice].says if asked.choice else ""
    left, right = st.columns([1, 1.25], gap="medium")
    with right, control.container(border=True, key="learn_figure"):
        st.html(charts.title(say("learn_run.meanwhile"), learn_say.html(words.look)))
        learn_figure.panel(lesson, asked, look)
    with left, control.container(border=True, key="learn_work"):
        told = say("learn_run.sub", says=says) if says else say("learn_run.sub_none")
        st.html(charts.title(say("learn_run.title"), escape(told)))
        states = [status(home, run) for run in runs]
        alive = any(s["state"] in progress.ALIVE for s in states)
        st.fragment(frame.guarded(_bars), run_every=POLL_SECONDS if alive else None)(home, lesson, words, runs)
        _buttons(home, runs, states)
    open_links(words, runs, states)
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        learn_steps.turn("predict", primary=False)
        done = all(s["state"] == "done" for s in states)
        learn_steps.turn("check", disabled=not done)


def status(home: Home, run: Run) -> Status:
    """What is known of a run: its state is ``none`` where nobody has asked for it yet."""
    try:
        return api.status(home, run.recipe.key)
    except NotFoundError:
        return {"key": run.recipe.key, "state": "none", "progress": {}}


def _bars(home: Home, lesson: Lesson, words: Words, runs: Runs) -> None:
    states = [status(home, run) for run in runs]
    for name, state in zip((words.first, words.second), states, strict=True):
        _bar(name, state)
    if all(s["state"] == "done" for s in states) and not _seen(runs):
        learn_state.choose(step="check")
        st.rerun()
    if st.session_state.get(OVER) != [s["state"] for s in states]:
        st.session_state[OVER] = [s["state"] for s in states]
        st.rerun()


def _seen(runs: Runs) -> bool:
    """Whether these runs have led to their check already; who comes back to this step stays on it."""
    keys, before = [run.recipe.key for run in runs], st.session_state.get("_learn_led")
    st.session_state["_learn_led"] = keys
    return keys == before


def _bar(name: str, state: Status) -> None:
    share = min(1.0, max(0.0, float((state.get("progress") or {}).get("fraction") or 0.0)))
    words = {"done": say("learn_run.done"), "none": say("learn_run.waiting")}
    if state["state"] == "failed":
        st.error(f"{name}: " + say("learn_run.failed", reason=state.get("error") or ""))
    elif state["state"] == "cancelled":
        st.info(f"{name}: " + say("learn_run.cancelled"))
    else:
        told = words.get(state["state"]) or " · ".join(progress.doing_of(state))
        st.progress(1.0 if state["state"] == "done" else share, text=f"{name}: {told}")


def _buttons(home: Home, runs: Runs, states: list[Status]) -> None:
    if any(s["state"] in progress.ALIVE for s in states):
        control.button(say("learn_run.cancel"), key="learn_cancel", help=say("learn_run.cancel_help"), on_click=_cancel,
                  args=(home, runs))  # fmt: skip
        st.html(f'<p class="sh-sub">{escape(say("learn_run.meantime"))}</p>')
    elif any(s["state"] != "done" for s in states):
        control.button(say("learn_run.start"), key="learn_start", type="primary", help=say("learn_predict.run_help"),
                  on_click=_again, args=(home, runs))  # fmt: skip


def _cancel(home: Home, runs: Runs) -> None:
    with frame.told():
        for run in runs:
            api.cancel(home, run.recipe.key, who.who())


def _again(home: Home, runs: Runs) -> None:
    with frame.told():
        learn_predict.submit(home, runs)


def open_links(words: Words, runs: Runs, states: list[Status] | None = None) -> None:
    """Both runs on Explore, and taken apart on Trial once they are measured."""
    with control.container(horizontal=True, gap="medium", key="learn_links"):
        for which, name, run in zip(lesson_recipes.RUNS, (words.first, words.second), runs, strict=True):
            told = say("learn_run.explore_help", name=name)
            links.link("explore", run.address, say(f"learn_run.explore_{which}"), told)
        for which, run, state in zip(lesson_recipes.RUNS, runs, states or ({}, {}), strict=True):
            if not states or state["state"] == "done":
                parameters = {"key": run.recipe.key[: links.SHOWN_KEY]}
                links.link("trial", parameters, say(f"learn_run.trial_{which}"), say("learn_run.trial_help"))
