"""Inside: how the packed file stores each layer, and how near that is to what its weights need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.units import format_bytes
from pages.parts import charts, control, trial_charts, trial_html
from pages.parts.words import listed, say, sentences

Row = Mapping[str, Any]
COLUMNS = ("layer", "tensor", "container", "count", "bytes", "nominal", "entropy", "context", "why")


def panel(key: str, inside: Row, look: str) -> None:
    """The report of bytes of this point; nothing for a look inside that has none."""
    report = inside.get("bytes")
    if not report:
        return
    with control.container(border=True, key="trial_bytes"):
        st.html(charts.title(say("trial_bytes.title"), _sub(report["totals"])))
        if report["totals"]["weights"]:
            trial_charts.show(trial_charts.stored(key, report["rows"], look), "chart_bytes")
            st.caption(say(f"trial_bytes.coder.{report['coder']}"))
        with control.expander(say("trial_bytes.numbers"), key="bytes_numbers"):
            st.html(trial_html.table(_head(), [_line(r) for r in report["rows"]], numbers=3))
            st.caption(_reasons(report["rows"]))


def _sub(totals: Row) -> str:
    sizes = {n: format_bytes(totals[n]) for n in ("packed", "weights", "numbers", "skeleton")}
    if not totals["weights"]:
        return say("trial_bytes.floats", **sizes)
    more = totals["weights"] / totals["entropy"] - 1 if totals["entropy"] else 0.0
    return say("trial_bytes.sub", **sizes, entropy=format_bytes(totals["entropy"]), more=f"{100 * more:.1f} %")


def _head() -> list[str]:
    return [say(f"trial_bytes.column.{n}") for n in COLUMNS]


def _line(row: Row) -> list[str]:
    none = say("trial_bytes.none")
    sizes = [row["bytes"], row["nominal_bytes"], row["entropy_bytes"], row["context_bytes"]]
    how = listed(say(f"trial_bytes.container.{n}") for n in row["container"])
    told = [none if s is None else format_bytes(s) for s in sizes]
    reason = say(f"trial_bytes.short.{row['why']}") if row["why"] else none
    return [str(row["layer"] or none), str(row["tensor"]), how, f"{row['count']:,}", *told, reason]


def _reasons(rows: list[Row]) -> str:
    """Each reason that occurs, once, in a sentence."""
    return sentences(*(say(f"trial_bytes.why.{w}") for w in sorted({str(r["why"]) for r in rows if r["why"]})))
