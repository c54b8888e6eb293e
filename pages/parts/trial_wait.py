"""What is not there yet: a trial that runs or ended badly, and the inspection that the page asks for by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from engine import api, api_rows, api_trial
from engine.errors import StillhouseError
from engine.home import Home
from engine.units import format_seconds
from pages.parts import charts, control, curves, frame, links, progress, trial_pick, who
from pages.parts.words import find, line, say

Status = Mapping[str, Any]
ASKED, ALIVE = "_inspections", ("queued", "running")


def unfinished(home: Home, run: Status, look: str) -> None:
    """A trial without a result: its progress while it runs, else the reason and a button that runs it again."""
    alive = run["state"] in ALIVE
    with control.container(border=True, key="trial_state"):
        recipe = run["recipe"]
        named = trial_pick.words_of({**api_rows.settings(recipe), "role": api_rows.role_of(recipe)})
        st.html(charts.title(escape(named), say("trial_head.key", short=run["key"][: links.SHOWN_KEY])))
        if alive:
            st.fragment(frame.guarded(_running), run_every=1.0)(home, run["key"], run["state"], look)
        else:
            reason = run.get("error") or ""
            st.warning(say(f"trial_wait.{run['state']}", reason=reason))
            control.button(
                say("trial_wait.again"),
                key="trial_again",
                type="primary",
                help=say("trial_wait.again_help"),
                on_click=_again,
                args=(home, run["recipe"]),
            )
    with control.expander(say("trial_record.recipe"), key="trial_recipe_shown"):
        st.code(json.dumps(run["recipe"], indent=1), language="json")


def running(home: Home, key: str, look: str) -> None:
    """A point that has a result may be measured again: a shipped one here, or one whose test reading is missing."""
    state = api.status(home, key)["state"]
    if state in ALIVE:
        with control.container(border=True, key="trial_state"):
            st.fragment(frame.guarded(_running), run_every=1.0)(home, key, state, look)


def inspection(home: Home, key: str) -> dict[str, Any] | None:
    """The kept inspection; where there is none it is asked for, once a session, and its progress is shown."""
    now = api_trial.inspection(home, key)
    if now["state"] == "done":
        return dict(now["data"])
    asked = st.session_state.setdefault(ASKED, set())
    if now["state"] in ("none", "cancelled") and key not in asked:
        asked.add(key)
        now = _ask(home, key) or now
    if now["state"] == "failed":
        st.warning(say("trial_wait.inspect_failed", reason=now.get("error") or ""))
    if now["state"] in ("failed", "cancelled"):
        control.button(say("trial_wait.inspect_again"), key="inspect_again", help=say("trial_wait.inspect_help"),
                       on_click=_ask_again, args=(home, key))  # fmt: skip
    elif now["state"] in ALIVE:
        st.fragment(frame.guarded(_inspecting), run_every=1.0)(home, key, now["state"])
    return None


def describe(now: Status) -> str:
    """An inspection's progress in half a line."""
    doing = now.get("progress") or {}
    if now["state"] == "queued":
        place = doing.get("place")
        return say("progress.queued", place=place) if place else say("progress.queued_next")
    word = str(doing.get("doing") or "starting").replace(" ", "_")
    if word == "training":
        return say("progress.training", epoch=doing.get("epoch") or 1, epochs=doing.get("epochs") or 1)
    told = find(f"trial_wait.doing.{word}") or find(f"progress.doing.{word}") or word.replace("_", " ")
    if doing.get("seconds_left"):
        told += say("trial_wait.left", seconds=format_seconds(max(1, round(doing["seconds_left"]))))
    return told


def _ask(home: Home, key: str) -> dict[str, Any] | None:
    try:
        api_trial.inspect(home, key, who.who())
        api.ensure_runner(home)
        return dict(api_trial.inspection(home, key))
    except StillhouseError as problem:
        st.warning(say("trial_wait.inspect_failed", reason=line(problem)))
        return None


def _ask_again(home: Home, key: str) -> None:
    with frame.told():
        api_trial.inspect(home, key, who.who())
        api.ensure_runner(home)


def _inspecting(home: Home, key: str, seen: str) -> None:
    """Polled once a second; the whole page is drawn again when it is done."""
    now = api_trial.inspection(home, key)
    if now["state"] not in ALIVE:
        st.rerun()
    with control.container(border=True, key="inspecting"):
        share = min(1.0, max(0.0, float((now.get("progress") or {}).get("fraction") or 0.0)))
        st.progress(share, text=say("trial_wait.inspecting", doing=describe(now)))
        st.caption(say("trial_wait.inspect_why"))


def _running(home: Home, key: str, seen: str, look: str) -> None:
    status = {**api.status(home, key), "role": "trial"}
    if status["state"] not in ALIVE:
        st.rerun()
    share = min(1.0, max(0.0, float((status.get("progress") or {}).get("fraction") or 0.0)))
    st.progress(share, text=progress.describe(status))
    curves.live([status], look)
    control.button(say("progress.cancel"), key="trial_cancel", help=say("progress.cancel_help"), on_click=_cancel,
                   args=(home, key))  # fmt: skip


def _cancel(home: Home, key: str) -> None:
    with frame.told():
        api.cancel(home, key, who.who())


def _again(home: Home, recipe: Mapping[str, Any]) -> None:
    with frame.told():
        api.ensure_runner(home)
        api.submit(home, recipe, who.who())
