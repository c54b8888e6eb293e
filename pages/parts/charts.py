"""Charts on the page: cached figures, one legend, clicks that are kept in the session, an alt text for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from engine import api_chances, figures
from engine.figures.pareto_info import free_of
from pages.parts import frame, points, state
from pages.parts.words import find, load, say

Row = Mapping[str, Any]
CONFIG = {"displaylogo": False, "scrollZoom": False, "doubleClick": "reset",
          "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "toImage"]}  # fmt: skip
FONT = "Source Sans, Source Sans Pro, system-ui, sans-serif"
COSTS = ("packed_bytes", "latency_ms")


def pareto_pair(rows: Sequence[Row], selected: str | None, theme: str, height: int = 340) -> None:
    """Accuracy against packed bytes and against latency, side by side; a click brings a point into focus."""
    stamp = points.stamp(rows)
    for column, cost in zip(st.columns(2, gap="small"), COSTS, strict=True):
        with column, st.container(border=True):
            st.html(title(say(f"chart.{cost}.title"), say(f"chart.{cost}.sub")))
            drawn, alt = _pareto(rows, stamp, cost, selected, theme, height)
            st.plotly_chart(drawn, key=f"chart_{cost}", theme=None, on_select=_clicked(cost), selection_mode="points",
                            config=CONFIG, alt=alt)  # fmt: skip


def heat(grid: Sequence[Row], cell: tuple[float, int] | None, theme: str, height: int = 330) -> None:
    """Sparsity against bits, coloured by accuracy, the chosen cell outlined."""
    drawn, alt = _heat(grid, points.stamp(grid), cell, theme, height)
    st.plotly_chart(drawn, key="chart_heat", theme=None, on_select=_clicked("heat"), selection_mode="points",
                    config=CONFIG, alt=alt)  # fmt: skip


def title(text: str, sub: str) -> str:
    """A heading with one quiet line below it."""
    return f'<h2 class="sh-title">{text}</h2><p class="sh-sub">{sub}</p>'


def _clicked(chart: str) -> Any:
    """A callback: copy the clicked point's key, since the chart's own selection is lost when its figure changes."""

    def keep() -> None:
        key = figures.key_of(st.session_state.get(f"chart_{chart}"))
        if key:
            state.choose({"point": key[:12]})

    return keep


@st.cache_resource(max_entries=128, show_spinner=False)
def _pareto(_rows: Sequence[Row], stamp: int, cost: str, selected: str | None, theme: str, height: int) -> Any:
    labels = _labels()
    rows, chances = likely(_rows, stamp, cost)
    info = figures.pareto_info(rows, cost, selected=selected, labels=labels, chances=chances)
    drawn = figures.pareto_figure(info, theme, labels=labels, height=height)
    # one legend below both charts (see legend) instead of one in each
    drawn["layout"] |= {"showlegend": False, "margin": {"l": 8, "r": 12, "t": 10, "b": 8}}
    if not _rows:
        drawn["layout"]["annotations"] = [_in_the_middle(say("chart.empty"))]
    return _in_page_font(drawn), figures.alt_pareto(info, labels)


@st.cache_resource(max_entries=64, show_spinner=False)
def likely(_rows: Sequence[Row], stamp: int, cost: str) -> tuple[Sequence[Row], list[float | None]]:
    """The rows with the means of several seeds among them, and how likely each is on the front."""
    rows = api_chances.together(_rows)
    task = str(rows[0]["task"]) if rows else ""
    return rows, api_chances.chances_of(frame.home(), task, rows, cost, free_of(rows, cost)) if rows else []


@st.cache_resource(max_entries=128, show_spinner=False)
def _heat(_grid: Sequence[Row], stamp: int, selected: tuple[float, int] | None, theme: str, height: int) -> Any:
    labels = _labels()
    info = figures.heat_info(_grid, selected=selected)
    drawn = figures.heat_figure(info, theme, labels=labels, height=height)
    drawn["layout"] |= {"margin": {"l": 8, "r": 8, "t": 6, "b": 8}}
    return _in_page_font(drawn), figures.alt_heat(info, labels)


def _in_the_middle(text: str) -> dict[str, Any]:
    return {"text": text, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}


def _in_page_font(drawn: dict[str, Any]) -> go.Figure:
    """Validated once, so that each rerun only copies it; text in the font that the page already has."""
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": FONT}
    return go.Figure(drawn)


def _labels() -> Mapping[str, str] | None:
    """Another language's words for figures; English is engine.figures' own."""
    return load().get("figures") if find("figures.axis_quality") else None
