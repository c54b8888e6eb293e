"""The table itself: one page of rows. Ticks choose rows, a click on a column's head sorts, on a key opens the trial."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import catalogue_words, control, details, links, results_filters, results_state, subject
from pages.parts.results_table import COLUMNS, MOST_CHOSEN, Column, Marks, Row, View, note_of, page_of, pages
from pages.parts.words import find, say

ROW_PIXELS, HEAD_PIXELS, MOST_PIXELS = 35, 38, 460
OPENED = "results_opened"
FORMATS = {"share": "%.1f %%", "bytes": "%.2f", "ms": "%.3f", "count": "localized", "number": "%.3g", "seconds": "%.1f",
           "quality": "%.3f"}  # fmt: skip
SCALES = {"bytes": 1000.0, "share": 0.01}
PLACES = {"origin": "results_origin.", "loss": "recipe.loss.", "pruning": "results_option.methods_",
          "schedule": "recipe.schedule."}  # fmt: skip
WIDE = ("note", "machine", "key", "student")


def table(view: View, rows: Sequence[Row], marks: Marks) -> None:
    """One page of ``rows`` and below it, where there are several, the pager."""
    part = page_of(rows, view.page)
    keys = tuple(row["key"] for row in part)
    # another page or order is another table: ticks belong to positions
    name = f"results_grid_{hash((keys, view.columns)) & 0xFFFFFFFF:x}_{results_state.turn()}"
    ticked = [i for i, key in enumerate(keys) if key in view.chosen]
    control.dataframe(
        pd.DataFrame({c: [_cell(COLUMNS[c], row, marks) for row in part] for c in view.columns}),
        hide_index=True, column_config=_config(view), key=name, on_select=functools.partial(_chosen, name, keys),
        selection_mode=["multi-row", "single-column"], selection_default={"selection": {"rows": ticked}},
        height=min(HEAD_PIXELS + ROW_PIXELS * len(part), MOST_PIXELS), row_height=ROW_PIXELS, placeholder="",
        alt=say("results_page.alt", count=len(part)),
    )  # fmt: skip
    if pages(len(rows)) > 1:
        with st.container(horizontal_alignment="center"):
            # named by its page: a value of its own that the session also sets is more than a widget may have
            pager = f"results_pager_{view.page}"
            control.pagination(pages(len(rows)), default=view.page, key=pager, on_change=_turned, args=(pager,))
    clicked = st.session_state.get(OPENED)
    if clicked:
        links.go("trial", {"key": keys[clicked["row"]][: links.SHOWN_KEY]})


def _turned(pager: str) -> None:
    results_state.choose(page=st.session_state[pager])


def _chosen(name: str, keys: Sequence[str]) -> None:
    """Rows ticked on this page and on others; a click on a head sorts by it, another one turns it round."""
    selection = st.session_state[name]["selection"]
    view = st.session_state[results_state.VIEW]
    ticked = [keys[i] for i in selection["rows"] if i < len(keys)]
    # in the order of ticking, so that A stays A in a comparison when the table is sorted anew
    kept = [key for key in view.chosen if key in ticked or key not in keys]
    fresh = [key for key in ticked if key not in kept]
    changes: dict[str, Any] = {"chosen": tuple([*kept, *fresh][:MOST_CHOSEN])}
    if columns := selection.get("columns"):
        same = columns[0] == view.sort
        down = not view.down if same else COLUMNS[columns[0]].numeric
        changes |= {"sort": columns[0], "down": down, "page": 1}
        st.session_state[results_state.TURN] = results_state.turn() + 1
    results_state.choose(**changes)


def _cell(column: Column, row: Row, marks: Marks) -> Any:
    if column.name == "key":
        return row["key"][: links.SHOWN_KEY]
    if column.name == "stars":
        mark = marks.get(row["key"], {})
        sign = say("results_page.star_mine" if mark.get("mine") else "results_page.star_others")
        return f"{sign} {mark['stars']}" if mark.get("stars", 0) > 1 else sign if mark.get("stars") else ""
    if column.name == "note":
        return note_of(marks, row["key"])
    value = row.get(column.name)
    if column.kind == "time":
        return details.when(value)
    kind = _kind(column)
    if kind in SCALES and value is not None:
        return value / SCALES[kind]
    return _words(column.name, value) if column.kind == "text" else value


def _kind(column: Column) -> str:
    """The column's kind; a quality that is no share is a plain number."""
    plain = column.name.startswith("quality") and not subject.is_share(subject.metric())
    return "quality" if plain else column.kind


def _words(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "without":
        return catalogue_words.class_name(subject.task(), value)
    said = find(f"{PLACES[name]}{value}") if name in PLACES else None
    return said or (catalogue_words.called("losses", value) if name == "loss" else str(value))


def _config(view: View) -> dict[str, Any]:
    return {name: _column(COLUMNS[name], view) for name in view.columns}


def _column(column: Column, view: View) -> Any:
    title = results_filters.label(column.name)
    if view.sort == column.name:
        title = say("results_page.sorted_down" if view.down else "results_page.sorted_up", title=title)
    help_text = say(f"results_meaning.{column.name}")
    if column.name == "key":
        return st.column_config.ButtonColumn(title, help=help_text, pinned=True, type="tertiary", alignment="left",
                                              key=OPENED)  # fmt: skip
    if (kind := _kind(column)) in FORMATS:
        return st.column_config.NumberColumn(title, help=help_text, format=FORMATS[kind])
    if column.kind == "flag":
        return st.column_config.CheckboxColumn(title, help=help_text)
    return st.column_config.TextColumn(title, help=help_text, width="medium" if column.name in WIDE else None)
