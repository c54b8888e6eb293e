"""The values of one setting of a sweep laid side by side: a chart, and a table with paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from engine import api_sides
from engine.figures.hover import quality_words
from engine.home import Home
from engine.units import format_bytes, format_ms, format_seconds
from pages.parts import catalogue_words, control, extras, points, subject, sweep_charts, sweep_state
from pages.parts.sweep_words import orders_of, setting_words, value_words
from pages.parts.words import say

Row = Mapping[str, Any]
ORDERS = "phases"
MOST_VALUES = 12
COLUMNS = ("value", "count", "quality", "difference", "bytes", "latency", "seconds")


def panel(home: Home, status: Row, rows: Sequence[Row], look: str) -> None:
    """One setting's values beside each other, orders of phases first."""
    axes = {a["label"]: a for a in status["axes"] if 2 <= len(a["values"]) <= MOST_VALUES}
    if len(axes) > 1:
        axes.pop(api_sides.SEED, None)  # seeds are replicates, and compared only where nothing else varies
    if not axes:
        return
    with control.container(border=True, key="sweep_sides"):
        axis = axes[_choose(list(axes), _usual(status["axes"], axes))]
        first, label = value_words(axis["values"][0], axis["label"]), catalogue_words.axis(axis["label"])
        sub = say("sweep_sides.sub", first=f"{label} {first}" if is_number(axis["values"][0]) else first)
        st.html(f'<h2 class="sh-title">{escape(say("sweep_sides.title"))}</h2><p class="sh-sub">{escape(sub)}</p>')
        entries = _entries(home, rows, points.stamp(rows), axis["label"], tuple(axis["values"]), status["id"])
        if sum(cell is not None for e in entries for cell in e["cells"]) < 2:
            st.html(f'<p class="sh-empty">{escape(say("sweep_sides.empty"))}</p>')
            return
        _drawn(entries, axis, orders_of(status["spec"]) if axis["path"] == ORDERS else {}, look)


def _drawn(entries: Sequence[Row], axis: Row, orders: Mapping[str, str], look: str) -> None:
    """The chart beside the table; what orders of phases mean needs room, so their table goes below."""
    lines = [setting_words(e["setting"]) for e in entries]
    left, right = st.columns([1, 1.35], gap="medium", vertical_alignment="top")
    with left:
        names = [value_words(v, axis["label"]) for v in axis["values"]]
        sweep_charts.side_by_side(entries, catalogue_words.axis(axis["label"]), names, lines, look)
    if orders:
        told = "".join(f"<dt>{escape(name)}</dt><dd>{escape(what)}</dd>" for name, what in orders.items())
        right.html(f'<dl class="sh-orders">{told}</dl>')
        st.html(table(entries, axis, lines))
    else:
        right.html(table(entries, axis, lines))


def _choose(labels: Sequence[str], usual: str) -> str:
    extras.settle(sweep_state.PAGE, sweep_state.AXIS, labels, usual)
    if len(labels) == 1:
        return usual
    chosen = control.segmented_control(say("sweep_sides.choose"), labels, key=sweep_state.AXIS.key, required=True,
                                       help=say("sweep_sides.choose_help"),
                                       format_func=catalogue_words.axis)  # fmt: skip
    return str(chosen or usual)


def _usual(axes: Sequence[Row], known: Mapping[str, Row]) -> str:
    """Orders of phases, else the first setting."""
    return next((a["label"] for a in axes if a["path"] == ORDERS and a["label"] in known), next(iter(known)))


@st.cache_data(max_entries=32, show_spinner=False)
def _entries(_home: Home, _rows: Sequence[Row], stamp: int, axis: str, values: tuple[Any, ...], sweep: str) -> Any:
    return api_sides.sides(_home, _rows, axis, values)


def is_number(value: Any) -> bool:
    """Whether a value says nothing without the name of its setting."""
    return isinstance(value, (int, float))


def table(entries: Sequence[Row], axis: Row, lines: Sequence[str]) -> str:
    """The table in HTML: a row for each value, under a heading for each combination of the other settings."""
    heads = "".join(f"<th>{escape(say(f'sweep_sides.{name}'))}</th>" for name in COLUMNS[1:])
    body = ""
    for entry, line in zip(entries, lines, strict=True):
        if line:
            body += f'<tr><th class="sh-over" colspan="{len(COLUMNS)}">{escape(line)}</th></tr>'
        cells = zip(axis["values"], entry["cells"], strict=True)
        body += "".join(_row(value_words(value, axis["label"]), cell, not i) for i, (value, cell) in enumerate(cells))
    head = f"<thead><tr><th>{escape(catalogue_words.axis(axis['label']))}</th>{heads}</tr></thead>"
    return f'<table class="sh-table">{head}<tbody>{body}</tbody></table>'


def _row(name: str, cell: Row | None, first: bool) -> str:
    head = f"<th>{escape(name)}</th>"
    if cell is None:
        return f'<tr>{head}<td colspan="{len(COLUMNS) - 1}">{escape(say("sweep_sides.none"))}</td></tr>'
    quality = say(
        "sweep_sides.interval", value=_whole(cell["quality"]), low=_short(cell["low"]), high=_short(cell["high"])
    )
    time = format_ms(cell["latency_ms"]) if cell["latency_ms"] is not None else ""
    values = (
        str(cell["count"]), quality, say("sweep_sides.first") if first else difference(cell),
        format_bytes(cell["packed_bytes"]), say("sweep_sides.simulated", time=time) if cell["simulated"] else time,
        format_seconds(cell["seconds"]),
    )  # fmt: skip
    return f"<tr>{head}{''.join(f'<td>{escape(v)}</td>' for v in values)}</tr>"


def difference(cell: Row) -> str:
    """A paired difference in percentage points, with its interval and what that means."""
    if cell["difference"] is None:
        return ""
    low, high = cell["difference_low"], cell["difference_high"]
    more = subject.direction() == "maximize"
    verdict = "level" if low <= 0 <= high else "better" if (low > 0) == more else "worse"
    scale, form = (100, "+.1f") if subject.is_share(subject.metric()) else (1, "+.3f")
    numbers = [f"{scale * v:{form}}".replace("-", "−") for v in (cell["difference"], low, high)]
    said = say("sweep_sides.interval", value=numbers[0], low=numbers[1], high=numbers[2])
    return f"{said} {say(f'sweep_sides.verdict_{verdict}')}"


def _whole(value: float) -> str:
    return quality_words(value, subject.metric())


def _short(value: float) -> str:
    """The end of an interval, without the sign of percent."""
    return _whole(value).removesuffix(" %")
