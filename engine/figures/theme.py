"""Colours and fonts of the figures: the Okabe-Ito palette, told apart by readers who see colours differently.

Symbols say the same as colours everywhere. Backgrounds are transparent, fonts the system's own: nothing is fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.errors import unknown_name

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif'
CIVIDIS = ("#00224e", "#2a3f6d", "#575d6d", "#7d7c78", "#a59c74", "#d2c060", "#fee838")
CLEAR = "rgba(0,0,0,0)"


@dataclass(frozen=True)
class Theme:
    """The colours of one theme; ``grid`` and ``rest`` are the quiet ones."""

    name: str
    text: str
    muted: str
    grid: str
    rest: str
    front: str
    teacher: str
    baseline: str
    dense: str
    shipped: str
    slower: str
    selected: str
    panel: str


LIGHT = Theme(
    "light", text="#222222", muted="#5f6670", grid="#e3e6ea", rest="#7b8591", front="#0072B2", teacher="#009E73",
    baseline="#CC79A7", dense="#E69F00", shipped="#56B4E9", slower="#D55E00", selected="#000000", panel="#ffffff",
)  # fmt: skip
DARK = Theme(
    "dark", text="#f2f2f2", muted="#b3bac4", grid="#3a4048", rest="#9aa4b0", front="#56B4E9", teacher="#009E73",
    baseline="#CC79A7", dense="#E69F00", shipped="#0072B2", slower="#D55E00", selected="#F0E442", panel="#20242b",
)  # fmt: skip
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


def theme_of(theme: Theme | str) -> Theme:
    """A theme by name ("light", "dark"), or itself."""
    if isinstance(theme, Theme):
        return theme
    if theme not in THEMES:
        raise unknown_name("theme", theme, THEMES)
    return THEMES[theme]


def layout(theme: Theme, height: int, **more: Any) -> dict[str, Any]:
    """What all figures share; ``uirevision`` keeps a reader's zoom when the data change."""
    base = {
        "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "height": height, "autosize": True, "uirevision": "keep",
        "font": {"family": FONT, "size": 13, "color": theme.text},
        "margin": {"l": 60, "r": 16, "t": 12, "b": 52}, "showlegend": False, "template": None,
        "hoverlabel": {"bgcolor": theme.panel, "bordercolor": theme.muted, "align": "left",
                       "font": {"family": FONT, "size": 13, "color": theme.text}},
    }  # fmt: skip
    return base | more


def axis(theme: Theme, title: str, **more: Any) -> dict[str, Any]:
    """One axis with its title (which names the unit) and quiet lines."""
    base = {
        "title": {"text": title, "font": {"size": 13, "color": theme.text}, "standoff": 8},
        "gridcolor": theme.grid, "linecolor": theme.muted, "showline": True, "zeroline": False, "ticks": "outside",
        "tickcolor": theme.muted, "ticklen": 4, "tickfont": {"color": theme.muted, "size": 12}, "automargin": True,
    }  # fmt: skip
    return base | more
