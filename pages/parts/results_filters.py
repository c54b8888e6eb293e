"""Above the table: what narrows it, its columns and order, how many rows there are, downloads."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from pages.parts import catalogue_words, control, results_state, results_table, widgets
from pages.parts.results_state import PREFIX
from pages.parts.results_table import ALL, COLUMNS, DEFAULT, FILTERS, WHOSE, Index, Marks, Row, View
from pages.parts.words import count, find, say

WIDTHS = (2, 3, 3)
LONGEST = 100


def bar(view: View, known: Index, sweeps: Mapping[str, str]) -> None:
    """Two lines of filters; an empty one lets everything through."""
    with control.container(border=True, key="results_filters"):
        task, words, whose = st.columns(WIDTHS, gap="small")
        with task:
            control.selectbox(say("results_filter.task"), results_state.tasks(), key=f"{PREFIX}task",
                              help=say("results_help.task"), format_func=_task)  # fmt: skip
        with words:
            control.text_input(
                say("results_filter.find"),
                key=f"{PREFIX}find",
                max_chars=LONGEST,
                help=say("results_help.find"),
                placeholder=say("results_filter.find_example"),
            )
        with whose:
            control.segmented_control(say("results_filter.whose"), WHOSE, key=f"{PREFIX}whose", format_func=_whose,
                                      help=say("results_help.whose"), required=True, width="stretch")  # fmt: skip
        for place, name in zip(st.columns(len(FILTERS) + 1, gap="small"), (*FILTERS, "sweeps"), strict=True):
            options = list(sweeps) if name == "sweeps" else list(known.options[name])
            shown = functools.partial(_option, name, sweeps)
            with place:
                control.multiselect(
                    say(f"results_filter.{name}"),
                    options,
                    key=PREFIX + name,
                    format_func=shown,
                    help=say(f"results_help.{name}"),
                    disabled=not options,
                    placeholder=say(f"results_any.{name}" if options else "results_any.none"),
                )


def head(view: View, rows: Sequence[Row], total: int, marks: Marks) -> None:
    """How many rows there are, their order, the columns and the files to take along."""
    left, sort, down, columns, files = st.columns((3, 2.2, 1.5, 1.4, 1.4), gap="small", vertical_alignment="center")
    said = say(
        "results_page.count" if view.filtered else "results_page.count_all", shown=count(len(rows)), total=count(total)
    )
    left.html(f'<p class="sh-story">{said}</p>')
    with sort:
        control.selectbox(say("results_filter.sort"), list(COLUMNS), key=f"{PREFIX}sort", format_func=label,
                          help=say("results_help.sort"), label_visibility="collapsed")  # fmt: skip
    with down:
        control.toggle(say("results_filter.down"), key=f"{PREFIX}down", help=say("results_help.down"))
    with columns:
        _columns()
    with files:
        _files(view, rows, marks)


def _columns() -> None:
    help_text = say("results_help.columns")
    with control.popover(say("results_filter.columns"), key="results_columns_menu", width="stretch", help=help_text):
        control.multiselect(say("results_filter.columns_label"), list(COLUMNS), key=f"{PREFIX}columns",
                            format_func=label, help=help_text)  # fmt: skip
        control.button(say("results_filter.columns_usual"), key="results_usual", help=say("results_help.columns_usual"),
                       on_click=functools.partial(results_state.choose, columns=DEFAULT))  # fmt: skip


def _files(view: View, rows: Sequence[Row], marks: Marks) -> None:
    with control.popover(say("results_page.take"), key="results_take", width="stretch", disabled=not rows,
                         help=say("results_help.take")):  # fmt: skip
        st.caption(say("results_page.take_note", shown=count(len(rows))))
        _download("csv", "text/csv", view, functools.partial(results_table.csv_bytes, rows, marks))
        _download("parquet", "application/vnd.apache.parquet", view,
                  functools.partial(results_table.parquet_bytes, rows, marks))  # fmt: skip


def widen() -> None:
    """Take all filters away."""
    results_state.choose(find="", whose=ALL, sweeps=(), page=1, **dict.fromkeys(FILTERS, ()))


def label(name: str) -> str:
    """A column's title with its unit."""
    return say(f"results_column.{name}")


def _download(kind: str, mime: str, view: View, make: Any) -> None:
    # a callable: the file is made when somebody asks for it, not at each rerun
    control.download_button(say(f"results_page.{kind}"), make, file_name=f"stillhouse-{view.task}.{kind}", mime=mime,
                            key=f"results_{kind}", on_click="ignore", width="stretch",
                            help=say(f"results_help.{kind}"))  # fmt: skip


def _task(name: str) -> str:
    return widgets.title_of("task", name)


def _whose(name: str) -> str:
    return say(f"results_whose.{name}")


def _option(name: str, sweeps: Mapping[str, str], value: Any) -> str:
    """An option in words."""
    if name == "sweeps":
        return sweeps.get(value, str(value))
    if name == "origins":
        return find(f"results_origin.{value}") or str(value)
    if name == "losses":
        return find(f"recipe.loss.{value}") or catalogue_words.called("losses", str(value))
    return find(f"results_option.{name}_{value}") or str(value).replace("_", " ")
