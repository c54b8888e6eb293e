"""Which lessons this session has seen the end of, and with which seeds."""

from __future__ import annotations

import streamlit as st

PLAYED = "_learn_played"


def remember(lesson: str, seed: int) -> None:
    """The check of a lesson was shown for a seed."""
    seen = dict(st.session_state.get(PLAYED, {}))
    seen[lesson] = sorted({*seen.get(lesson, ()), seed})
    st.session_state[PLAYED] = seen


def has(lesson: str) -> bool:
    """Whether the check of this lesson was shown."""
    return lesson in st.session_state.get(PLAYED, {})


def seeds(lesson: str) -> list[int]:
    """The seeds whose check was shown."""
    return list(st.session_state.get(PLAYED, {}).get(lesson, ()))
