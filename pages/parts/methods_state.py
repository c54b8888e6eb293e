"""Which entry the page Methods shows: its name stands in the address, ``?method=prune_n_m``."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api_methods import Entry
from engine.errors import InputError, unknown_name
from pages.parts import carried, choices
from pages.parts.words import line, say

PARAMETER, FIRST, SEEN = "method", "kd", "_methods_seen"


def read(address: dict[str, str], known: Sequence[Entry]) -> tuple[Entry, list[str]]:
    """The entry that an address names, else the first one to read; what it asks for in vain, in words."""
    by_name = {e.name: e for e in reversed(known)}
    usual = by_name.get(FIRST, known[0])
    others = [n for n in address if n not in (PARAMETER, *choices.RESERVED)]
    problems = [line(unknown_name(say("url.setting"), n, (PARAMETER,))) for n in others]
    asked = address.get(PARAMETER, usual.name).strip().lower()
    if asked in by_name:
        return by_name[asked], problems
    problem: InputError = unknown_name(say("url.where", name=PARAMETER), asked[:40], by_name)
    return usual, [*problems, line(problem)]


def sync(known: Sequence[Entry]) -> tuple[Entry, list[str]]:
    """What the address asks for; it is told to the browser when a link of this page has changed it."""
    address = carried.own()
    chosen, problems = read(address, known)
    before = st.session_state.get(SEEN)
    st.session_state[SEEN] = chosen.name
    # a link from one entry to another stays on this page: Streamlit then leaves the browser's address as it was
    carried.write(address, tell=before is not None and before != chosen.name)
    return chosen, problems
