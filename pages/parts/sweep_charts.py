"""Charts of a sweep: its points and front as they come in, and the values of one setting side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import plotly.graph_objects as go
import streamlit as st

from engine import figures
from engine.figures.sides import alt_text as alt_sides
from engine.figures.sides import sides_figure, sides_info
from pages.parts import charts, control, legend, links, points, subject
from pages.parts.remembered import by_language
from pages.parts.words import labels, say

Row = Mapping[str, Any]
HEIGHT = 320
OPENED = "_sweep_clicked"
ON_SELECT: Literal["rerun"] = "rerun"


def front(rows: Sequence[Row], theme: str, waiting: str) -> None:
    """Quality against bytes and against latency; a click opens the point's own page."""
    stamp = points.stamp(rows)
    for column, cost in zip(st.columns(2, gap="small"), charts.COSTS, strict=True):
        with column, st.container(border=True):
            st.html(charts.title(say(f"chart.{cost}.title"), say("sweep_view.front_sub")))
            drawn, alt = _front(rows, stamp, cost, theme, waiting, (subject.metric(), subject.direction()))
            _clickable(drawn, f"sweep_{cost}", alt)
    if rows:
        legend.draw(rows, theme, False)


def side_by_side(entries: Sequence[Row], axis: str, names: Sequence[str], lines: Sequence[str], theme: str) -> None:
    """The values of one setting, each with its interval."""
    info = sides_info(entries, axis, names, lines=lines, metric=subject.metric())
    drawn = go.Figure(_in_font(sides_figure(info, theme, labels=labels(), height=HEIGHT)))
    _clickable(drawn, "sweep_sides", alt_sides(info, labels()))
    if info.left_out:
        st.caption(say("sweep_sides.rest", count=info.left_out))


def _clickable(drawn: go.Figure, name: str, alt: str) -> None:
    event = control.plotly_chart(drawn, key=f"chart_{name}", theme=None, on_select=ON_SELECT, selection_mode="points",
                                 config=charts.CONFIG, alt=alt)  # fmt: skip
    key = figures.key_of(event)
    # a selection stays with its chart: it opens the page once, not again on the way back
    if key and st.session_state.get(OPENED) != (name, key):
        st.session_state[OPENED] = (name, key)
        links.go("trial", {"key": key[: links.SHOWN_KEY]})
    if not key and st.session_state.get(OPENED, ("",))[0] == name:
        st.session_state.pop(OPENED, None)


@by_language(max_entries=64)
def _front(_rows: Sequence[Row], stamp: int, cost: str, theme: str, waiting: str, measure: charts.Measure) -> Any:
    rows, chances = charts.likely(_rows, stamp, cost)
    info = figures.pareto_info(rows, cost, labels=labels(), chances=chances, metric=measure[0], direction=measure[1])
    drawn = figures.pareto_figure(info, theme, labels=labels(), height=HEIGHT)
    drawn["layout"] |= {"showlegend": False, "margin": {"l": 8, "r": 12, "t": 10, "b": 8}}
    if not _rows:
        drawn["layout"]["annotations"] = [
            {"text": waiting, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
        ]
    return go.Figure(_in_font(drawn)), figures.alt_pareto(info, labels())


def _in_font(drawn: dict[str, Any]) -> dict[str, Any]:
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    return drawn
