"""The page frame: configuration, navigation, one place for errors. Start it with ``make run`` or ``stillhouse app``."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import streamlit as st

from pages.parts import control, frame, language, links, state, theme
from pages.parts.words import say

SIDEBAR_PIXELS = 324
# in the order of the navigation; the first is where the bare address leads
PAGES = ("explore", "learn", "sweep", "front", "trial", "results", "methods")


def main() -> None:
    """Draw the page that the address names, in the language that it names."""
    refused = language.sync()
    st.set_page_config(page_title=say("app.title"), page_icon=say("app.icon"), layout="wide",
                       initial_sidebar_state=SIDEBAR_PIXELS)  # fmt: skip
    theme.apply()
    st.session_state[frame.REFUSED] = refused
    control.begin()
    pages = {n: st.Page(_page(n), title=say(f"nav.{n}"), url_path=n, default=n == PAGES[0]) for n in PAGES}
    st.session_state[links.PAGES] = pages
    st.navigation(list(pages.values()), position="top").run()
    frame.finish()


def _page(name: str) -> Callable[[], None]:
    """A page that is imported when it is first opened: the others need not wait for it."""

    def draw() -> None:
        try:
            importlib.import_module(f"pages.{name}").draw()
        finally:
            st.session_state[state.LAST_PAGE] = name

    return frame.guarded(draw)


if __name__ == "__main__":
    main()
