"""What the Sweep page shows, in the session and in the address: a sweep being put together, or one that was started.

``?sweep=ID`` opens one that was started, ``?ready=NAME`` a ready-made one, ``?spec=...`` carries a whole draft.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from engine import api, api_sweeps
from engine.catalogue import current
from engine.errors import InputError, StillhouseError, unknown_name
from engine.knobs import Knob
from pages.parts import carried, choices, extras, frame, state, sweep_json, sweep_link
from pages.parts.extras import Extra
from pages.parts.sweep_draft import Draft
from pages.parts.words import line, say

DRAFT, RAW, OPEN, WRITTEN, PAST = "_sweep_draft", "_sweep_raw", "_sweep_open", "_sweep_written", "_sweep_past"
EDITED, PROBLEMS, REFUSED, AT, ORIGIN = "_sweep_edited", "_sweep_notes", "_sweep_refused", "_sweep_at", "_sweep_origin"
BEYOND = "_sweep_beyond"
PARAMETERS = ("sweep", "ready", "spec", "task")
LAG_SECONDS, MOST_PAST = 2.0, 40
PAGE = "sweep"
AXIS = extras.word("axis", "sweep_sides_axis")
GRID = Extra(Knob("grid", "bool", False, ""), "sweep_with_grid")
ORDER = extras.whole("order", "sweep_shown_order", 1, 1, 99)  # of several orders of phases, the one that is shown
EXTRAS = (AXIS, GRID, ORDER)
NAMES = (*PARAMETERS, *(e.knob.name for e in EXTRAS))


def sync() -> None:
    """Read the address where it changed, then let it say what the page shows. Before any widget is drawn."""
    whole = carried.own()
    address = {name: text for name, text in whole.items() if name not in NAMES[len(PARAMETERS) :]}
    if DRAFT not in st.session_state and RAW not in st.session_state:
        _begin(current().names("tasks")[0])
    if _fresh(address):
        st.session_state[PROBLEMS] = []
        _read(address)
    written = _address()
    past = [a for a in st.session_state.get(PAST, ()) if a not in (written, address)]
    st.session_state[PAST] = [*past, address, written][-MOST_PAST:]
    if written != st.session_state.get(WRITTEN):
        st.session_state[AT] = time.monotonic()
    st.session_state[WRITTEN] = written
    carried.write({**written, **extras.sync(PAGE, EXTRAS, whole)})


def draft() -> Draft | None:
    """The sweep that is being put together; None when it says more than the form can show (see :func:`raw`)."""
    found: Draft | None = st.session_state.get(DRAFT)
    return found


def raw() -> Mapping[str, Any]:
    """The JSON of the sweep that is being put together."""
    found = draft()
    return sweep_json.write(found) if found is not None else st.session_state[RAW]


def beyond() -> str:
    """Where the sweep says more than the form can show."""
    return str(st.session_state.get(BEYOND, ""))


def opened() -> str:
    """The id of the sweep that the page shows; empty while one is put together."""
    return str(st.session_state.get(OPEN, ""))


def open_sweep(name: str) -> None:
    """Show a sweep that was started, or (empty) the one that is being put together. From a callback."""
    _touch()
    st.session_state[OPEN] = name


def gone(name: str) -> None:
    """Show no sweep: there is none of this id (any more)."""
    st.session_state[OPEN] = ""
    st.session_state[PROBLEMS] = [*problems(), say("sweep_page.gone", id=name)]


def edit(how: Callable[..., Draft], *more: Any) -> None:
    """Put the next draft in place of this one. From a callback."""
    before = draft()
    if before is not None:
        _touch()
        keep(how(before, *more))


def keep(found: Draft) -> None:
    """Make a draft the one that the page shows."""
    st.session_state[DRAFT], st.session_state[ORIGIN] = found, None
    st.session_state.pop(RAW, None)


def begin_ready(name: str, task: str) -> None:
    """Start from a ready-made sweep. From a callback."""
    with frame.told():
        _touch()
        st.session_state[OPEN] = ""
        _begin(task, name)


def begin(spec: Any) -> None:
    """Start from the JSON of a sweep, as a form where it can show it. From a callback; refusals raise."""
    _touch()
    _take(spec)
    st.session_state[OPEN] = ""


def choose_task(task: str) -> None:
    """Start from the default run of another task. From a callback."""
    _touch()
    _begin(task)


def refuse(place: str, reason: str | None) -> None:
    """Remember (None: forget) why what was typed at a place was not taken."""
    refused = {k: v for k, v in st.session_state.get(REFUSED, {}).items() if k != place}
    st.session_state[REFUSED] = {**refused, place: reason} if reason else refused


def refused(place: str) -> str | None:
    """Why the last thing typed at a place was not taken."""
    found: str | None = st.session_state.get(REFUSED, {}).get(place)
    return found


def problems() -> list[str]:
    """What the address asked for and did not get; shown until something is changed."""
    return list(st.session_state.get(PROBLEMS, ()))


def hold(key: str, value: Any) -> str:
    """Let the widget ``key`` show ``value`` when it is drawn next; gives the key back."""
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value
    return key


def _touch() -> None:
    st.session_state[EDITED], st.session_state[PROBLEMS] = True, []


def _fresh(address: Mapping[str, str]) -> bool:
    """Whether the address is news: a link or the back button, not this session's own that comes late."""
    edited = st.session_state.pop(EDITED, False)
    if address == st.session_state.get(WRITTEN):
        return False
    away = st.session_state.get(state.LAST_PAGE) != PAGE
    # back from another page: by the navigation with a bare address, by the back button with that page's parameters,
    # since Streamlit leaves an entry in the history that has this page's name and those
    if away and WRITTEN in st.session_state and not address.keys() & set(PARAMETERS):
        return False
    recent = time.monotonic() - st.session_state.get(AT, -math.inf) < LAG_SECONDS
    return not ((edited or recent) and address in st.session_state.get(PAST, ()))


def _read(address: Mapping[str, str]) -> None:
    notes = st.session_state[PROBLEMS]
    for name in address:
        if name not in (*NAMES, *choices.RESERVED):
            notes.append(line(unknown_name(say("url.setting"), name, NAMES)))
    st.session_state[OPEN] = address.get("sweep", "")
    try:
        if "spec" in address:
            _take(sweep_link.unpack(address["spec"]))
        elif "ready" in address or "task" in address or "sweep" not in address:
            _begin(address.get("task", current().names("tasks")[0]), address.get("ready", ""))
    except StillhouseError as problem:
        notes.append(line(problem))
        if draft() is None and RAW not in st.session_state:
            _begin(current().names("tasks")[0])


def _address() -> dict[str, str]:
    if opened():
        return {"sweep": opened()}
    found, origin = draft(), st.session_state.get(ORIGIN)
    if origin is not None:
        return dict(origin)
    packed = sweep_link.pack(raw())
    if packed:
        return {"spec": packed}
    return {} if found is None else {"task": found.task}


def _begin(task: str, ready: str = "") -> None:
    if ready:
        known = {r["name"]: r["spec"] for r in api_sweeps.ready(task)}
        if ready not in known:
            raise unknown_name(say("url.where", name="ready"), ready, known)
        _take(known[ready])
    else:
        keep(sweep_json.read(api.default_recipe(task)))
    first = current().names("tasks")[0]
    st.session_state[ORIGIN] = ({"task": task} if task != first else {}) | ({"ready": ready} if ready else {})


def _take(spec: Any) -> None:
    """A spec as a draft where the form can show it, else as it is; refused when it is no sweep at all."""
    if not isinstance(spec, Mapping):
        raise InputError(say("sweep_json.where"), spec, say("sweep_json.allowed"))
    try:
        keep(sweep_json.read(spec))
    except InputError as problem:
        if problem.allowed != say("sweep_form.beyond"):
            raise
        st.session_state[RAW], st.session_state[BEYOND] = json.loads(json.dumps(spec)), problem.where
        st.session_state.pop(DRAFT, None)
        st.session_state[ORIGIN] = None
