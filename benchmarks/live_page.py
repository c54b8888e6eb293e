"""A page that shows one live figure and nothing else: what benchmarks and tests draw.

``?figure=NAME`` chooses it, the figure's own parameters follow.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.live import FIGURES
from pages.parts import live, theme


def main() -> None:
    """Draw the figure that the address names."""
    st.set_page_config(page_title="live", layout="wide")
    theme.apply()
    address = st.query_params.to_dict()
    name = address.pop("figure", next(iter(FIGURES)))
    values, problems = live.read(name, address)
    for problem in problems:
        st.warning(problem)
    live.panel(name, values, theme.name(), lambda now: st.query_params.from_dict(
        {"figure": name} | live.to_address(name, now)))  # fmt: skip


if __name__ == "__main__":
    main()
