"""One legend for both charts: the same symbols and colours as in engine.figures, as text beside small drawings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import streamlit as st

from engine.figures import DARK, LIGHT
from engine.figures.pareto_info import group_of
from engine.figures.theme import Theme
from pages.parts.words import say

Row = Mapping[str, Any]
SHAPES = {
    "front": '<path d="M0 10.5H6V4H14" fill="none" stroke="{c}" stroke-width="2"/>',
    "trial": '<circle cx="7" cy="7" r="4.6" fill="{c}"/>',
    "grid": '<rect x="4" y="4" width="6" height="6" fill="{c}" opacity=".6"/>',
    "shipped": '<path d="M7 1.8 12.2 7 7 12.2 1.8 7Z" fill="{c}"/>',
    "dense": '<path d="M1.6 11.4h10.8L7 2Z" fill="{c}" stroke="{t}"/>',
    "baseline": '<path d="M1.6 3h10.8L7 12.2Z" fill="{c}" stroke="{t}"/>',
    "teacher": '<path d="M7 .8 8.6 5.2 13.4 5.3 9.6 8.2 10.9 12.8 7 10.1 3.1 12.8 4.4 8.2.6 5.3 5.4 5.2Z" '
    'fill="{c}" stroke="{t}"/>',
    "slower": '<path d="M3 3 11 11M11 3 3 11" stroke="{c}" stroke-width="1.8"/>',
    "simulated": '<circle cx="7" cy="7" r="4.4" fill="none" stroke="{c}" stroke-width="1.5"/>',
    "selected": '<circle cx="7" cy="7" r="5.6" fill="none" stroke="{c}" stroke-width="2.2"/>',
}


def draw(rows: Sequence[Row], theme: str, selected: bool) -> None:
    """A line with what is on the charts, and only that."""
    colours = DARK if theme == "dark" else LIGHT
    items = "".join(
        f'<span><img alt="" width="14" height="14" src="{_drawing(name, _paint(name, colours), colours.text)}">'
        f"{escape(say(f'legend.{name}'))}</span>"
        for name in _present(rows, selected)
    )
    st.html(f'<p class="sh-key">{items}</p>')


def _paint(name: str, colours: Theme) -> str:
    quiet = {"trial": colours.rest, "grid": colours.rest, "simulated": colours.muted}
    return quiet.get(name) or str(getattr(colours, name))


def _drawing(name: str, colour: str, line: str) -> str:
    """A data address: Streamlit takes inline SVG out of a page's HTML, but not an image."""
    shape = SHAPES[name].format(c=colour, t=line)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="14" height="14" viewBox="0 0 14 14">{shape}</svg>'
    return "data:image/svg+xml," + quote(svg)


def _present(rows: Sequence[Row], selected: bool) -> list[str]:
    """Names of what is on the charts, in the order of SHAPES."""
    groups = {group_of(r) for r in rows}
    shown = groups | {"front"} if rows else groups
    shown |= {"slower"} if any(r.get("slower_here") for r in rows) else set()
    shown |= {"simulated"} if any(r.get("simulated") for r in rows) else set()
    shown |= {"selected"} if selected else set()
    return [name for name in SHAPES if name in shown]
