"""The look: the style sheets beside this file, and whether the browser shows light or dark."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.parts import carried

# style.css is for every page, style_NAME.css for what one page alone draws
SHEETS = sorted(Path(__file__).parent.glob("style*.css"))
STYLE = f"<style>{''.join(sheet.read_text(encoding='utf-8') for sheet in SHEETS)}</style>"
PRESENTER = f"<style>{(Path(__file__).parent / 'presenter.css').read_text(encoding='utf-8')}</style>"
GONE = "<style>{names} {{display: none !important}}</style>"


def apply() -> None:
    """Put the style sheets on the page, and take away what the address hides."""
    st.html(STYLE)
    if carried.presenting():
        st.html(PRESENTER)
    if gone := [f".st-key-{name}" for name in sorted(carried.names("hide")) if not name.startswith(carried.NOT)]:
        st.html(GONE.format(names=", ".join(gone)))


def name() -> str:
    """ "light" or "dark", as the browser shows it now."""
    return "dark" if st.context.theme.type == "dark" else "light"
