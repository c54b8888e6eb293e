"""The page *Results*: every measured point as a table that can be filtered, marked, compared and taken along."""

from __future__ import annotations

import streamlit as st

from engine import api_keep, api_table
from engine.home import Home
from pages.parts import (
    control,
    frame,
    links,
    results_actions,
    results_beside,
    results_filters,
    results_grid,
    results_sizes,
    results_state,
    results_table,
    subject,
    theme,
    who,
)
from pages.parts.results_table import MINE, Index, Marks, Row, View
from pages.parts.words import say


def draw() -> None:
    """The whole page, top to bottom."""
    home, me = frame.home(), who.who()
    frame.heading(say("results_page.title"), say("results_page.lead"))
    view, known, sweeps = results_state.sync(home)
    subject.name(view.task)
    _complaints()
    results_filters.bar(view, known, sweeps)
    if not known.rows:
        _empty()
        return
    marks = api_keep.marks(home, me)
    rows = _rows(home, view, known, marks, me)
    view = results_state.settle(view, len(rows))
    with control.container(border=True, key="results_table"):
        results_filters.head(view, rows, len(known.rows), marks)
        results_actions.bar(home, view, known, marks)
        if view.beside:
            results_beside.panel(home, [known.by_key[key] for key in view.chosen], theme.name())
        if rows:
            results_grid.table(view, rows, marks)
        else:
            _nothing()
    results_sizes.line(home)


def _rows(home: Home, view: View, known: Index, marks: Marks, me: str) -> list[Row]:
    mine = api_table.mine(home, me) if view.whose == MINE else frozenset()
    swept = api_table.swept(home, view.sweeps) if view.sweeps else None
    found = results_table.select(known, view, mine, marks, swept)
    return results_table.ordered(found, view.sort, view.down, marks)


def _empty() -> None:
    st.info(say("results_page.empty"))
    if control.button(say("results_page.to_explore"), type="primary", key="results_to_explore"):
        links.go("explore")


def _nothing() -> None:
    with control.container(key="results_nothing"):
        st.html(f'<p class="sh-story">{say("results_page.nothing")}</p>')
        control.button(say("results_page.all"), key="results_all", on_click=results_filters.widen,
                       help=say("results_page.all_help"))  # fmt: skip


def _complaints() -> None:
    for problem in results_state.problems():
        st.warning(problem)
    for problem in frame.failures():
        st.error(problem)
    for text in results_state.told():
        st.success(text)
