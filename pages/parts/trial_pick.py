"""Which point: without a key in the address, the newest trials to choose from; and a field for a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine import api
from engine.home import Home
from engine.units import format_bytes, format_ms
from pages.parts import charts, control, details, links, story, subject, trial_state
from pages.parts.words import say

Row = Mapping[str, Any]
NEWEST = 12


def panel(home: Home) -> None:
    """A field for a key, then the newest trials, or what came with the project while there are none."""
    key_field()
    rows = newest(home)
    own = any(r["origin"] == "trial" for r in rows)
    with control.container(border=True, key="trial_pick"):
        st.html(charts.title(say("trial_pick.title"), say("trial_pick.sub" if own else "trial_pick.shipped")))
        for row in rows:
            _line(row)


def newest(home: Home, count: int = NEWEST) -> list[Row]:
    """The newest trials of all tasks; the best shipped points where nothing was run here."""
    tasks = [task["name"] for task in api.catalogue()["tasks"]]
    rows = [r for task in tasks for r in api.rows(home, task, ("trial",)) if r["role"] != "teacher"]
    if rows:
        return sorted(rows, key=lambda r: -float(r["created"]))[:count]
    came = [r for task in tasks for r in api.rows(home, task, ("shipped",)) if r["role"] != "teacher"]
    return sorted(came, key=lambda r: -float(r["quality"]) if subject.is_share(r["metric"]) else 0.0)[:count]


def key_field() -> None:
    """Type a key, or the beginning of one."""
    control.text_input(say("trial_pick.key"), key="trial_typed", help=say("trial_pick.key_help"), on_change=_typed,
                       placeholder=say("trial_pick.key_hint"), width=360)  # fmt: skip


def _line(row: Row) -> None:
    name, quality, size, time, when = st.columns([3.2, 1, 1, 1, 1.6], vertical_alignment="center", gap="small")
    with name:
        links.link("trial", {"key": row["key"][: links.SHOWN_KEY]}, words_of(row))
    quality.caption(subject.quality(row))
    size.caption(format_bytes(row["packed_bytes"]))
    time.caption(format_ms(row["latency_ms"]) if row.get("latency_ms") else say("trial_pick.untimed"))
    when.caption(details.when(row["created"]))


def words_of(row: Row) -> str:
    """A point in half a line: its recipe, and its role where it is a companion."""
    told, role = story.recipe_words(row), row["role"]
    if role == "trial":
        return told
    named = say(f"trial_role.{role}")
    return named if role == "teacher" else say("trial_pick.role", role=named, recipe=told)


def _typed() -> None:
    typed = str(st.session_state.get("trial_typed") or "").strip().lower()
    if typed:
        trial_state.choose({"key": typed, "layer": "", "label": None, "answer": None})
        st.session_state["trial_typed"] = ""
