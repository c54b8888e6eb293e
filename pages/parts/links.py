"""Links from one page to another with what the other one should show, and this page's own parameters in the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from pages.parts import carried, control

PAGES = "_pages"  # the navigation's pages by name, put there by app.py
SHOWN_KEY = 12  # digits of a trial's key in an address: unique in any home, short enough to read


def address(page: str, parameters: Mapping[str, Any] | None = None) -> str:
    """The address of a page with parameters, without the server's name: ``trial?key=0123...``."""
    given = _given(parameters)
    return page + (f"?{urlencode(given)}" if given else "")


def trial(key: str) -> str:
    """The address of a trial's own page."""
    return address("trial", {"key": key[:SHOWN_KEY]})


def go(page: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Open another page in this session (from the page's script, not from a callback)."""
    st.switch_page(st.session_state[PAGES][page], query_params=_given(parameters))


def link(page: str, parameters: Mapping[str, Any], label: str, help_text: str | None = None) -> None:
    """A link that a person may follow or open in another tab, like any link of the navigation."""
    known, off = st.session_state.get(PAGES), control.closed_here()
    if known:
        st.page_link(known[page], label=label, help=help_text, query_params=_given(parameters), disabled=off)
    else:  # without the navigation around it (tests) a page has no other pages
        st.link_button(label, address(page, parameters), help=help_text, disabled=off)


def _given(parameters: Mapping[str, Any] | None) -> dict[str, str]:
    """Parameters as text, with what every page carries."""
    wanted = {name: str(value) for name, value in (parameters or {}).items() if value not in (None, "")}
    return {**wanted, **carried.values()}
