"""Results that come with the project: say so, and time them again on this machine at a click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api
from engine.home import Home
from pages.parts import control, details, frame, state, who
from pages.parts.words import say, sentences

Row = Mapping[str, Any]


def note(home: Home, task: str, rows: Sequence[Row]) -> None:
    """One quiet line below the charts, with the button; nothing where nothing shipped is on them."""
    foreign = next((r for r in rows if r.get("origin") == "shipped"), None)
    if not foreign:
        st.caption(say("chart.click") if rows else "")
        return
    text, button = st.columns([1.6, 1], vertical_alignment="center")
    said = say("shipped.note", machine=foreign.get("machine") or "", when=details.when(foreign["created"]))
    text.caption(sentences(say("chart.click"), said))
    with button:
        control.button(
            say("shipped.button"),
            key="retime",
            help=say("shipped.help"),
            on_click=_again,
            args=(home, task),
            width="stretch",
        )


def _again(home: Home, task: str) -> None:
    with frame.told():
        api.ensure_runner(home)
        state.remember_job(api.retime(home, task, who.who()))
