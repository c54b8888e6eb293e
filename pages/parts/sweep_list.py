"""The sweeps of this home, newest first: how far each is, who asked for it, and a button that opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from engine import api, api_people, api_sweeps
from engine.home import Home
from pages.parts import control, details, frame, sweep_state, who
from pages.parts.words import count, say

Status = Mapping[str, Any]
MOST, EVERY = 8, "_sweep_every"
ALIVE = "running"
POLL_SECONDS = 3.0


def panel(home: Home) -> None:
    """The list; it moves while a sweep runs."""
    shown = api_sweeps.sweeps(home)
    alive = any(s["state"] == ALIVE for s in shown)
    st.fragment(frame.guarded(_panel), run_every=POLL_SECONDS if alive else None)(home)


def _panel(home: Home) -> None:
    if sweep_state.opened():  # a button in here draws this part alone
        st.rerun()
    shown = api_sweeps.sweeps(home)
    with control.container(border=True, key="sweep_list"):
        title, sub = escape(say("sweep_list.title")), escape(say("sweep_list.sub"))
        st.html(f'<h2 class="sh-title">{title}</h2><p class="sh-sub">{sub}</p>')
        if not shown:
            st.html(f'<p class="sh-empty">{escape(say("sweep_list.none"))}</p>')
        _rows(home, shown if st.session_state.get(EVERY) else shown[:MOST])
        if len(shown) > MOST and not st.session_state.get(EVERY):
            control.button(say("sweep_list.all", count=count(len(shown))), key="sweeps_all", on_click=_show_all)


def _show_all() -> None:
    st.session_state[EVERY] = True


def _rows(home: Home, shown: Sequence[Status]) -> None:
    names = api_people.names(home)
    for status in shown:
        with control.container(horizontal=True, vertical_alignment="center", key=f"sweep_row_{status['id']}"):
            quiet = f'<span class="sh-sub">{escape(_line(status, names))}</span>'
            st.html(f"{badge(status)} <b>{escape(status['name'])}</b> {quiet}")
            control.button(say("sweep_list.open"), key=f"sweep_open_{status['id']}", help=say("sweep_list.open_help"),
                           on_click=sweep_state.open_sweep, args=(status["id"],))  # fmt: skip


def badge(status: Status) -> str:
    """The state as a word with a symbol, in HTML."""
    state = status["state"]
    mark, word = say(f"sweep_mark.{state}"), say(f"sweep_state.{state}")
    return f'<span class="sh-badge sh-{escape(state)}">{escape(mark)} {escape(word)}</span>'


def asker(status: Status, names: Mapping[str, str]) -> str:
    """Who asked for a sweep, in words."""
    if status["who"] in (api.LOCAL, who.who()):
        return say("who.local")
    return names.get(status["who"]) or say("who.guest", short=status["who"][:4])


def _line(status: Status, names: Mapping[str, str]) -> str:
    line = say("sweep_list.line", done=count(status["done"]), trials=count(status["trials"]),
               who=asker(status, names), when=details.when(status["created"]))  # fmt: skip
    points = say("sweep_list.points", count=count(status["grid_points"]))
    return f"{line} · {points}" if status["grid_points"] else line
