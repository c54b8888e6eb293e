"""The language that somebody reads: what the address says, else what was chosen in this session, else the browser's.

``STILLHOUSE_LANGUAGE`` stands in for what browsers say. A session keeps its language, so that fragments and callbacks,
which run without app.py around them, speak it too; where there is no session it is English, or the variable's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.parts import carried

PARAMETER, VARIABLE = "lang", "STILLHOUSE_LANGUAGE"
ENGLISH, CHINESE = "en", "zh"
# each as those who read it call it, in the order in which they are offered
NAMES: Mapping[str, str] = {ENGLISH: "English", CHINESE: "中文"}
CHOSEN, ASKED = "_language", "_language_asked"
LONGEST = 20


def current() -> str:
    """The language of the session that is being drawn: ``en`` or ``zh``."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return usual("")
    chosen = st.session_state.get(CHOSEN)
    return str(chosen) if chosen in NAMES else usual(st.context.locale or "")


def sync() -> str:
    """Take the language from the address where it names a new one; what is no language of ours, else nothing.

    An address that this session has read already changes nothing: it may come late, after a click on another language.
    """
    asked = carried.get(PARAMETER) or None
    st.session_state.setdefault(CHOSEN, current())
    if asked != st.session_state.get(ASKED):
        st.session_state[ASKED] = asked
        if known(asked or ""):
            st.session_state[CHOSEN] = known(asked or "")
    return "" if asked is None or known(asked) else asked[:LONGEST]


def choose(language: str) -> None:
    """Speak another language from now on, and say so in the address (a callback)."""
    st.session_state[CHOSEN] = language
    carried.choose(PARAMETER, language)


def known(tag: str) -> str:
    """Our language for a tag such as ``zh-Hans-CN``, ``zh_TW`` or ``EN``; nothing if it is none of ours."""
    short = tag.strip().lower().replace("_", "-").split("-")[0]
    return short if short in NAMES else ""


def usual(browser: str) -> str:
    """The language of somebody who has not chosen, whose browser prefers ``browser`` (a tag, or Accept-Language)."""
    return known(os.environ.get(VARIABLE, "")) or preferred(browser) or ENGLISH


def preferred(accepted: str) -> str:
    """The first of our languages in an Accept-Language header, by its weights: ``fr, zh;q=0.8, en;q=0.5`` -> ``zh``."""
    weighed = []
    for place, part in enumerate(accepted.split(",")):
        tag, _, weight = part.partition(";")
        if known(tag) and (share := _share(weight)) > 0:
            weighed.append((-share, place, known(tag)))
    return min(weighed)[2] if weighed else ""


def of_request(accepted: str, address: str) -> str:
    """The language for somebody who is not yet inside: of the address that they want, else of their browser."""
    asked = parse_qs(urlsplit(address).query).get(PARAMETER, [""])[0]
    return known(asked) or usual(accepted)


def _share(weight: str) -> float:
    text = weight.strip().removeprefix("q=")
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
