"""The session: choices survive reruns and hidden widgets, and the URL always says what the page shows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.parts import carried, choices, control, subject
from pages.parts.choices import Form

VALUES, WRITTEN, PROBLEMS, JOBS = "_values", "_written", "_problems", "_jobs"
PAST, CHOSEN, WRITTEN_AT = "_past", "_chosen", "_written_at"
LAST_PAGE = "_last_page"  # set by app.py when a page has been drawn
MOST_PAST, LAG_SECONDS = 40, 2.0


def sync(beside: Mapping[str, str] | None = None) -> Form:
    """Read the URL where it changed (a link, the back button), else the widgets; then write the URL again.

    ``beside``: what the page keeps in its address besides the form.
    Must run before any widget of the form is drawn: it puts the checked values into the session.
    """
    address = carried.own()
    fresh = address != st.session_state.get(WRITTEN) and not _late(address) and not _returned(address)
    source = address if fresh else _current()
    form = choices.read(source, parse=fresh)
    if subject.name(form.get("task")):  # what each setting means is said in the words of the task
        form = choices.read(source, parse=fresh)
    if not fresh and _settings_moved(form):
        form.values["point"] = ""  # the page describes the settings again, not what was clicked before
    changed = _store(form)
    if fresh or changed:
        st.session_state[PROBLEMS] = form.problems if fresh else []
    written = {**choices.to_url(form), **(beside or {})}
    _remember(written, address)
    carried.write(written)
    return form


def _late(address: Mapping[str, str]) -> bool:
    """Whether this rerun was asked for before the browser had put the last change into its address.

    It still brings an older address of this session; read as a link, that would undo the change. The back button brings
    one too, but changes nothing on the page and follows a change less quickly.
    """
    chosen = st.session_state.pop(CHOSEN, False)
    before = st.session_state.get(VALUES, {})
    moved = any(before.get(name, value) != value for name, value in _held().items())
    recent = time.monotonic() - st.session_state.get(WRITTEN_AT, -math.inf) < LAG_SECONDS
    return (chosen or moved or recent) and address in st.session_state.get(PAST, ())


def _returned(address: Mapping[str, str]) -> bool:
    """Whether the person comes back from another page through the navigation, which brings a bare address."""
    return not address and st.session_state.get(LAST_PAGE, "explore") != "explore" and VALUES in st.session_state


def _remember(written: dict[str, str], address: dict[str, str]) -> None:
    past = [a for a in st.session_state.get(PAST, ()) if a not in (written, address)]
    st.session_state[PAST] = [*past, address, written][-MOST_PAST:]
    if written != st.session_state.get(WRITTEN):
        st.session_state[WRITTEN_AT] = time.monotonic()
    st.session_state[WRITTEN] = written


def problems() -> list[str]:
    """What the URL asked for and did not get; shown until something on the page is changed."""
    return list(st.session_state.get(PROBLEMS, ()))


def choose(values: Mapping[str, Any]) -> None:
    """Set several choices at once, from a callback (before the widgets are drawn again); what is locked stays."""
    st.session_state[PROBLEMS], st.session_state[CHOSEN] = [], True
    values = {name: value for name, value in values.items() if not control.locked(name)}
    for name, value in values.items():
        st.session_state[name] = value
    st.session_state[VALUES] = {**st.session_state.get(VALUES, {}), **values}


def jobs() -> list[str]:
    """Keys of the trials started in this session, newest first."""
    return list(st.session_state.get(JOBS, ()))


def remember_job(key: str) -> None:
    """Put a trial at the head of this session's list."""
    st.session_state[JOBS] = [key, *(k for k in jobs() if k != key)][:20]


def _current() -> dict[str, Any]:
    """The last checked values with what the widgets hold now; a widget that is not drawn loses its own copy."""
    return {**st.session_state.get(VALUES, {}), **_held()}


def _held() -> dict[str, Any]:
    return {n: st.session_state[n] for n in choices.every_name() if n in st.session_state}


def _settings_moved(form: Form) -> bool:
    before = st.session_state.get(VALUES, {})
    return any(before.get(n, v) != v for n, v in form.values.items() if n not in choices.VIEW)


def _store(form: Form) -> bool:
    """Keep the checked values; True when one of them is new."""
    before = st.session_state.get(VALUES, {})
    st.session_state[VALUES] = {**before, **form.values}
    for name, value in form.values.items():
        if name not in st.session_state or st.session_state[name] != value:
            st.session_state[name] = value
    return any(before.get(n, v) != v for n, v in form.values.items())
