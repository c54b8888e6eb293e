"""What every page keeps in its address and hands on to the next one: language, what is hidden or locked, the presenter.

A page asks :func:`own` for its own parameters and writes them with :func:`write`; it never sees the carried ones. The
session remembers them, since the navigation brings bare addresses, and they are put back as soon as a page is drawn.
"""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Iterable, Mapping

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

NAMES = ("lang", "hide", "lock", "present")
LISTS = ("hide", "lock")
KEPT, AT = "_carried", "_carried_at"
LAG_SECONDS = 2.0  # a browser that has not yet taken over what was chosen must not undo it
MOST_TEXT, MOST_NAMES = 2000, 200
ALL, NOT, JOINT = "all", "-", "."  # the joint is a sign that addresses leave as it is
YES = "1"
LARGER = 1.5  # how much larger the presenter's figures are
_SPLIT = re.compile(r"[,.\s]+")
_NAME = re.compile(r"-?[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")


def get(name: str) -> str:
    """One carried parameter as text: of the address where it has one, else as this session remembers it."""
    return values().get(name, "")


def values() -> dict[str, str]:
    """The carried parameters that are set."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return {}
    kept: Mapping[str, str] = st.session_state.get(KEPT, {})
    recent = time.monotonic() - st.session_state.get(AT, -math.inf) < LAG_SECONDS
    asked = {} if recent else st.query_params.to_dict()
    found = {name: asked.get(name, kept.get(name, "")).strip()[:MOST_TEXT] for name in NAMES}
    return {name: text for name, text in found.items() if text}


def names(which: str) -> frozenset[str]:
    """The names in ``hide`` or ``lock``; ``-name`` is an exception from ``all`` or from a group."""
    return split(get(which))


@functools.lru_cache(maxsize=256)
def split(text: str) -> frozenset[str]:
    """Names between commas, dots or spaces; what cannot be a name is left out."""
    return frozenset(n for n in _SPLIT.split(text)[:MOST_NAMES] if _NAME.fullmatch(n))


def join(found: Iterable[str]) -> str:
    """Names as an address has them, in the order given."""
    return JOINT.join(found)


def presenting() -> bool:
    """Whether the page is shown to a room: large type, one figure, no sidebar."""
    return get("present") == YES


def choose(name: str, text: str) -> None:
    """Set one carried parameter (empty: take it away), in the address too; from a callback or the script."""
    now = {n: t for n, t in {**values(), name: text}.items() if t}
    page = own()
    st.session_state[KEPT], st.session_state[AT] = now, time.monotonic()
    st.query_params.from_dict({**page, **now})


def own() -> dict[str, str]:
    """The page's own parameters in the address."""
    return {name: text for name, text in st.query_params.to_dict().items() if name not in NAMES}


def write(page: Mapping[str, str], tell: bool = False) -> None:
    """Let the address say what the page shows, with what is carried; ``tell``: also where it says so already."""
    now = values()
    st.session_state[KEPT] = now
    whole = {**page, **now}
    # last: a rerun that is already waiting interrupts this one here
    if tell or whole != st.query_params.to_dict():
        st.query_params.from_dict(whole)
