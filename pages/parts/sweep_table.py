"""The measured trials of a sweep as a table: the settings that vary, then what was measured; a row opens its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.home import Home
from pages.parts import catalogue_words, charts, control, links, subject
from pages.parts.sweep_charts import ON_SELECT
from pages.parts.sweep_words import value_words
from pages.parts.words import say

Row = Mapping[str, Any]
MOST = 2000
OPENED = "_sweep_row"


def panel(home: Home, status: Row, rows: Sequence[Row]) -> None:
    """Best first; grid points on demand."""
    with control.container(border=True, key="sweep_trials"):
        st.html(charts.title(say("sweep_view.trials"), say("sweep_view.trials_sub")))
        shown = [r for r in rows if r["origin"] == "trial"]
        if len(shown) < len(rows) and control.toggle(say("sweep_view.with_grid"), key="sweep_with_grid",
                                                     help=say("sweep_view.with_grid_help")):  # fmt: skip
            shown = list(rows)
        if not shown:
            st.caption(say("sweep_view.trials_empty"))
            return
        sign = 1 if subject.direction() == "maximize" else -1
        shown = sorted(shown, key=lambda r: -sign * (r["quality"] or 0))[:MOST]
        labels = [a["label"] for a in status["axes"]]
        found = control.dataframe(
            [_cells(r, labels) for r in shown],
            key=f"sweep_table_{status['id']}",
            hide_index=True,
            on_select=ON_SELECT,
            selection_mode="single-row",
            column_config=_columns(shown),
            height=min(420, 40 + 35 * len(shown)),
        )
        _opened(found, shown)


def _cells(row: Row, labels: Sequence[str]) -> dict[str, Any]:
    setting, scale = row.get("setting") or {}, subject.scale()
    # an axis may hold words and numbers: a column has one type
    cells = {
        catalogue_words.axis(label): "" if label not in setting else value_words(setting[label], label)
        for label in labels
    }
    kind = row["origin"] if row["origin"] == "grid" else row["role"]
    cells |= {"origin": say(f"sweep_view.kind_{kind}"), "quality": scale * row["quality"]}
    cells |= {n: scale * row[f"quality_{n}"] for n in ("low", "high")} | {"bytes": row["packed_bytes"] / 1000}
    return cells | {"latency": row["latency_ms"], "seconds": row["seconds"], "key": row["key"][: links.SHOWN_KEY]}


def _columns(shown: Sequence[Row]) -> dict[str, Any]:
    number = st.column_config.NumberColumn
    form = subject.digits(percent=True)
    shares = {n: number(say(f"sweep_view.{n}"), format=form) for n in ("quality", "low", "high")}
    own = {
        "bytes": number(say("sweep_view.bytes"), format="%.2f kB"),
        "latency": number(say("sweep_view.latency"), format="%.4f ms"),
        "seconds": number(say("sweep_view.seconds"), format="%.1f s"),
        "key": st.column_config.TextColumn(say("sweep_view.key")),
        "origin": st.column_config.TextColumn(say("sweep_view.origin")),
    }
    return shares | own


def _opened(found: Any, shown: Sequence[Row]) -> None:
    chosen = list(found.selection.rows) if found else []
    key = shown[chosen[0]]["key"] if chosen and chosen[0] < len(shown) else ""
    # the selection stays with the table: it opens the page once, not again on the way back
    if key and st.session_state.get(OPENED) != key:
        st.session_state[OPENED] = key
        links.go("trial", {"key": key[: links.SHOWN_KEY]})
    if not key:
        st.session_state.pop(OPENED, None)
