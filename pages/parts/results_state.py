"""The session's view of the table: read from an address that is new, else from the widgets; then written back."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api, api_table
from engine.home import Home
from pages.parts import carried, frame, results_link, state
from pages.parts.results_table import FILTERS, Index, Row, View, index, pages, shown

VIEW, WRITTEN, WRITTEN_AT = "_results_view", "_results_written", "_results_written_at"
PAST, PROBLEMS, SAID, TURN = "_results_past", "_results_problems", "_results_said", "_results_turn"
# fields that have a widget; each lives in the session under its name with this prefix
HELD = ("task", "find", "whose", *FILTERS, "sweeps", "columns", "sort", "down")
NARROWING = ("task", "find", "whose", *FILTERS, "sweeps")
FIELDS = {field.name for field in dataclasses.fields(View)}
PREFIX = "results_"
LAG_SECONDS, MOST_PAST = 2.0, 40


def tasks() -> list[str]:
    """The names of all tasks."""
    return [str(row["name"]) for row in api.catalogue()["tasks"]]


def sync(home: Home) -> tuple[View, Index, Mapping[str, str]]:
    """The view, the rows of its task made ready, and the task's sweeps by id; before any widget is drawn."""
    address, names = carried.own(), tasks()
    fresh = VIEW not in st.session_state or _linked(address)
    wanted = address.get("task", names[0]) if fresh else _held("task", st.session_state[VIEW].task)
    task = wanted if wanted in names else names[0]
    known, sweeps = (
        _index(api.rows(home, task), str(home.root), task, api_table.version(home)),
        api_table.sweeps(home, task),
    )
    options = {**known.options, "task": names, "sweeps": list(sweeps)}
    if fresh:
        view, bad = results_link.read(address, options)
        st.session_state[PROBLEMS] = bad
    else:
        view = _current(st.session_state[VIEW], options)
    _keep(_whole(view, known), address, names)
    return st.session_state[VIEW], known, sweeps


def choose(**changes: Any) -> None:
    """Change the view from a callback, before the widgets are drawn again."""
    view = dataclasses.replace(st.session_state[VIEW], **changes)
    st.session_state[VIEW], st.session_state[PROBLEMS] = view, []
    for name in set(changes) & set(HELD):
        st.session_state[PREFIX + name] = _widget(view, name)


def clear_choice() -> None:
    """Choose no row; the table is drawn anew, since it keeps what was ticked."""
    choose(chosen=(), beside=False)
    st.session_state[TURN] = turn() + 1


def turn() -> int:
    """How often the table was told to forget what was ticked."""
    return int(st.session_state.get(TURN, 0))


def problems() -> list[str]:
    """Parameters of the address that were not understood, until something is changed."""
    return list(st.session_state.get(PROBLEMS, ()))


def tell(text: str) -> None:
    """Keep a line that the next rerun says once."""
    st.session_state[SAID] = [*st.session_state.get(SAID, ()), text]


def refuse(text: str) -> None:
    """Keep a line about what could not be done."""
    st.session_state[frame.FAILURES] = [*st.session_state.get(frame.FAILURES, ()), text]


def told() -> list[str]:
    """What callbacks have to say; each once."""
    return list(st.session_state.pop(SAID, ()))


def _linked(address: dict[str, str]) -> bool:
    """Whether the address is a link, and not one that the browser had not yet put aside, nor the navigation's."""
    if address == st.session_state.get(WRITTEN):
        return False
    # whoever comes from another page brings no address, or with the back button that page's
    if not set(address) <= FIELDS or (not address and st.session_state.get(state.LAST_PAGE) != "results"):
        return False
    recent = time.monotonic() - st.session_state.get(WRITTEN_AT, -math.inf) < LAG_SECONDS
    return not (recent and address in st.session_state.get(PAST, ()))


def _current(before: View, options: Mapping[str, Sequence[Any]]) -> View:
    """What the widgets hold; choices that no row offers any more are dropped."""
    values = {name: _held(name, getattr(before, name)) for name in HELD}
    for name in (*FILTERS, "sweeps"):
        values[name] = tuple(v for v in values[name] if v in options[name])
    values["columns"] = shown(values["columns"])
    values["find"] = " ".join(str(values["find"]).split())[: results_link.LONGEST]
    view = dataclasses.replace(before, **values)
    if view != before:
        st.session_state[PROBLEMS] = []
    moved = any(getattr(view, name) != getattr(before, name) for name in (*NARROWING, "sort", "down"))
    return dataclasses.replace(view, page=1) if moved else view


def _held(name: str, otherwise: Any) -> Any:
    value = st.session_state.get(PREFIX + name, otherwise)
    if value is None:
        return otherwise
    return tuple(value) if isinstance(value, list) else value


def _whole(view: View, known: Index) -> View:
    """Keys in full, of rows that are there."""
    found = [known.short.get(key[: results_link.SHOWN_KEY]) for key in view.chosen]
    chosen = tuple(dict.fromkeys(key for key in found if key))
    return dataclasses.replace(view, chosen=chosen, beside=view.beside and len(chosen) > 1)


def _keep(view: View, address: dict[str, str], names: Sequence[str]) -> None:
    st.session_state[VIEW] = view
    for name in HELD:
        value = _widget(view, name)
        if PREFIX + name not in st.session_state or st.session_state[PREFIX + name] != value:
            st.session_state[PREFIX + name] = value
    written = results_link.write(view, names)
    past = [a for a in st.session_state.get(PAST, ()) if a not in (written, address)]
    st.session_state[PAST] = [*past, address, written][-MOST_PAST:]
    if written != st.session_state.get(WRITTEN) or written != address:
        st.session_state[WRITTEN_AT] = time.monotonic()
    st.session_state[WRITTEN] = written
    carried.write(written)


def settle(view: View, count: int) -> View:
    """The view with a page that exists; before the pager is drawn."""
    if view.page > pages(count):
        choose(page=pages(count))
    return st.session_state[VIEW]


def _widget(view: View, name: str) -> Any:
    value = getattr(view, name)
    return list(value) if isinstance(value, tuple) else value


@st.cache_resource(max_entries=8, show_spinner=False)
def _index(_rows: Sequence[Row], root: str, task: str, version: tuple[int, int]) -> Index:
    return index(_rows)
