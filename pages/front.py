"""The page *Front*: everything measured of a task, what is worth its cost, and the best settings within limits."""

from __future__ import annotations

from collections.abc import Hashable

import streamlit as st

from engine import api_points
from engine.home import Home
from pages.parts import (
    carried,
    frame,
    front_answer,
    front_chart,
    front_data,
    front_filters,
    front_state,
    front_views,
    subject,
    theme,
)
from pages.parts.words import say

LIVE_SECONDS = 3.0


def draw() -> None:
    """The whole page, top to bottom."""
    home, look = frame.home(), theme.name()
    values = front_state.sync()
    subject.name(values["task"])
    table = api_points.table(home, values["task"])
    with st.sidebar:
        front_filters.panel(home, values, table)
    frame.heading(say("front_page.title"), say("front_page.lead"))
    for problem in (*front_state.problems(), *frame.failures()):
        st.warning(problem)
    shown = front_data.shown(home, values, table)
    info = front_chart.info_of(shown)
    if carried.presenting():  # to a room, what the chart shows is enough at a time
        front_chart.panel(shown, info, look)
    else:
        front_answer.panel(shown, info)
        front_chart.panel(shown, info, look)
        front_views.panel(home, shown, info, values["view"], look)
    if api_points.busy(home):
        _live(home, values["task"], table.version)


@st.fragment(run_every=LIVE_SECONDS)
@frame.guarded
def _live(home: Home, task: str, version: Hashable) -> None:
    """While trials run: draw again as soon as there is a new point."""
    if api_points.table(home, task).version != version or not api_points.busy(home):
        st.rerun()
