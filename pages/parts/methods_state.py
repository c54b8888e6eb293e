"""Which entry the page Methods shows: its name stands in the address, ``?method=prune_n_m``."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api_methods import Entry
from engine.errors import InputError, unknown_name
from pages.parts import carried, choices, extras
from pages.parts.words import line, say

PAGE, PARAMETER, FIRST, SEEN = "methods", "method", "kd", "_methods_seen"
DEFAULT_IMAGE = 6  # the shirt, which the teacher takes for several things
SEARCH = extras.word("find", "methods_search")
IMAGE = extras.whole("image", "methods_image", DEFAULT_IMAGE, 0, 999)
KNOB, VALUE = extras.word("knob", "methods_knob"), extras.word("value", "methods_value")
EXTRAS = (SEARCH, IMAGE, KNOB, VALUE)
NAMES = (PARAMETER, *(e.knob.name for e in EXTRAS))


def read(address: dict[str, str], known: Sequence[Entry]) -> tuple[Entry, list[str]]:
    """The entry that an address names, else the first one to read; what it asks for in vain, in words."""
    by_name = {e.name: e for e in reversed(known)}
    usual = by_name.get(FIRST, known[0])
    others = [n for n in address if n not in (*NAMES, *choices.RESERVED)]
    problems = [_kept(unknown_name(say("url.setting"), n, NAMES)) for n in others]
    asked = address.get(PARAMETER, usual.name).strip().lower()
    if asked in by_name:
        return by_name[asked], problems
    problem: InputError = unknown_name(say("url.where", name=PARAMETER), asked[:40], by_name)
    return usual, [*problems, _kept(problem)]


def sync(known: Sequence[Entry]) -> tuple[Entry, list[str]]:
    """What the address asks for; it is told to the browser when a link of this page has changed it."""
    address = carried.own()
    chosen, problems = read(address, known)
    before = st.session_state.get(SEEN)
    st.session_state[SEEN] = chosen.name
    # a link from one entry to another stays on this page: Streamlit then leaves the browser's address as it was
    small = extras.sync(PAGE, EXTRAS, address)
    page = {n: text for n, text in address.items() if n not in NAMES[1:]}
    carried.write({**page, **small}, tell=before is not None and before != chosen.name)
    return chosen, [*problems, *extras.problems(PAGE)]


def _kept(problem: InputError) -> str:
    return say("url.kept", problem=line(problem))
