"""Charts on the page: cached figures, one legend, clicks that are kept in the session, an alt text for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api_chances, figures
from engine.figures.pareto_info import ParetoInfo, free_of
from pages.parts import control, frame, points, state, subject, words
from pages.parts.drawing import Drawn
from pages.parts.remembered import by_language
from pages.parts.words import say

Row = Mapping[str, Any]
Measure = tuple[str, str]  # what judges the points, and which way it is better
CONFIG = {"displaylogo": False, "scrollZoom": False, "doubleClick": "reset",
          "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "toImage"]}  # fmt: skip
FONT = "Source Sans, Source Sans Pro, system-ui, sans-serif"
COSTS = ("packed_bytes", "latency_ms")
PARETO_PIXELS, HEAT_PIXELS = 340, 330


def pareto_pair(rows: Sequence[Row], selected: str | None, theme: str) -> None:
    """Quality against packed bytes and against latency, side by side; a click brings a point into focus."""
    for column, cost in zip(st.columns(2, gap="small"), COSTS, strict=True):
        with column, control.container(border=True, key=f"panel_{cost}"):
            st.html(title(say(f"chart.{cost}.title"), say(f"chart.{cost}.sub")))
            pareto(rows, cost, selected, theme)


def pareto(rows: Sequence[Row], cost: str, selected: str | None, theme: str, **place: Any) -> None:
    """Quality against one cost. ``place``: a height of Streamlit's, where the figure's own does not do."""
    measure = (subject.metric(), subject.direction())
    drawn, alt = _pareto(rows, points.stamp(rows), cost, selected, theme, PARETO_PIXELS, measure)
    control.plotly_chart(drawn, key=f"chart_{cost}", theme=None, on_select=_clicked(cost), selection_mode="points",
                         config=CONFIG, alt=alt, **place)  # fmt: skip


def heat(grid: Sequence[Row], cell: tuple[float, int] | None, theme: str, **place: Any) -> None:
    """Sparsity against bits, coloured by quality, the chosen cell outlined; ``place`` as of :func:`pareto`."""
    measure = (subject.metric(), subject.direction())
    drawn, alt = _heat(grid, points.stamp(grid), cell, theme, HEAT_PIXELS, measure)
    control.plotly_chart(drawn, key="chart_heat", theme=None, on_select=_clicked("heat"), selection_mode="points",
                         config=CONFIG, alt=alt, **place)  # fmt: skip


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


@by_language(max_entries=128)
def _pareto(_rows: Sequence[Row], stamp: int, cost: str, selected: str | None, theme: str, height: int,
            measure: Measure) -> Any:  # fmt: skip
    """The chart with its ring. All that differs between two people who look at other points is that ring."""
    labels = words.labels()
    info, drawn = _unringed(_rows, stamp, cost, theme, height, measure)
    place = next((i for i, mark in enumerate(info.points) if mark.key == selected), None)
    if place is None:
        return drawn, figures.alt_pareto(info, labels)
    mark, chosen = info.points[place], info._replace(selected=place)
    low, high = info.y_range
    if not low <= mark.y <= high:  # it lies under what the chart opens with, which reaches down to it then
        rows, chances = likely(_rows, stamp, cost)
        chosen = figures.pareto_info(rows, cost, selected=selected, labels=labels, chances=chances,
                                     metric=measure[0], direction=measure[1])  # fmt: skip
        return _framed(chosen, _rows, theme, height), figures.alt_pareto(chosen, labels)
    alone = chosen._replace(points=(mark,), front=(), knee=None, selected=0)
    ring = figures.pareto_figure(alone, theme, labels=labels, height=height)["data"][-1]
    return drawn.with_trace(ring), figures.alt_pareto(chosen, labels)


@by_language(max_entries=16)
def _unringed(_rows: Sequence[Row], stamp: int, cost: str, theme: str, height: int,
              measure: Measure) -> tuple[ParetoInfo, Drawn]:  # fmt: skip
    """The chart as it is for everybody."""
    rows, chances = likely(_rows, stamp, cost)
    metric, direction = measure
    info = figures.pareto_info(rows, cost, labels=words.labels(), chances=chances, metric=metric, direction=direction)
    return info, _framed(info, _rows, theme, height)


def _framed(info: ParetoInfo, rows: Sequence[Row], theme: str, height: int) -> Drawn:
    drawn = figures.pareto_figure(info, theme, labels=words.labels(), height=height)
    # one legend below both charts (see legend) instead of one in each
    drawn["layout"] |= {"showlegend": False, "margin": {"l": 8, "r": 12, "t": 10, "b": 8}}
    if not rows:
        drawn["layout"]["annotations"] = [_in_the_middle(say("chart.empty"))]
    return _in_page_font(drawn)


@st.cache_resource(max_entries=64, show_spinner=False)
def likely(_rows: Sequence[Row], stamp: int, cost: str) -> tuple[Sequence[Row], list[float | None]]:
    """The rows with the means of several seeds among them, and how likely each is on the front."""
    rows = api_chances.together(_rows)
    task = str(rows[0]["task"]) if rows else ""
    return rows, api_chances.chances_of(frame.home(), task, rows, cost, free_of(rows, cost)) if rows else []


@by_language(max_entries=128)
def _heat(_grid: Sequence[Row], stamp: int, selected: tuple[float, int] | None, theme: str, height: int,
          measure: Measure) -> Any:  # fmt: skip
    labels = words.labels()
    info = figures.heat_info(_grid, selected=selected, metric=measure[0], direction=measure[1], labels=labels)
    drawn = figures.heat_figure(info, theme, labels=labels, height=height)
    drawn["layout"] |= {"margin": {"l": 8, "r": 8, "t": 6, "b": 8}}
    return _in_page_font(drawn), figures.alt_heat(info, labels)


def _in_the_middle(text: str) -> dict[str, Any]:
    return {"text": text, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}


def _in_page_font(drawn: dict[str, Any]) -> Drawn:
    """Text in the font that the page already has."""
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": FONT}
    return Drawn(drawn)
