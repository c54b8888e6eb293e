"""What this home takes up on the disk, in one quiet line."""

from __future__ import annotations

from html import escape
from typing import Any

import streamlit as st

from engine import api_house
from engine.home import Home
from engine.units import format_bytes
from pages.parts.words import count, say

LOOK_SECONDS = 60.0  # walking through 20,000 artifact folders takes a moment


def line(home: Home) -> None:
    """Store, artifacts, caches, and how to make them smaller."""
    found = _sizes(str(home.root))
    caches = sum(cache["bytes"] for cache in found["caches"].values())
    kept = found["artifacts"]
    said = say("results_page.sizes", store=format_bytes(found["store"]), caches=format_bytes(caches),
               artifacts=format_bytes(kept["bytes"]), files=count(kept["count"]))  # fmt: skip
    st.html(f'<p class="sh-sub sh-sizes">{escape(said)} {say("results_page.sizes_more")}</p>')


@st.cache_data(ttl=LOOK_SECONDS, max_entries=4, show_spinner=False)
def _sizes(root: str) -> dict[str, Any]:
    return api_house.sizes(Home.locate(root))
