"""The page frame: configuration, navigation, one place for errors. Start it with ``make run`` or ``stillhouse app``."""

from __future__ import annotations

import streamlit as st

from pages import explore
from pages.parts import frame, theme
from pages.parts.words import say

SIDEBAR_PIXELS = 324


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title=say("app.title"), page_icon=say("app.icon"), layout="wide",
                       initial_sidebar_state=SIDEBAR_PIXELS)  # fmt: skip
    theme.apply()
    page = st.Page(frame.guarded(explore.draw), title=say("explore.title"), url_path="explore", default=True)
    st.navigation([page], position="hidden").run()
    frame.collect()


if __name__ == "__main__":
    main()
