"""The look: style.css beside this file, and whether the browser shows light or dark."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

STYLE = f"<style>{Path(__file__).with_name('style.css').read_text(encoding='utf-8')}</style>"


def apply() -> None:
    """Put the style sheet on the page."""
    st.html(STYLE)


def name() -> str:
    """ "light" or "dark", as the browser shows it now."""
    return "dark" if st.context.theme.type == "dark" else "light"
