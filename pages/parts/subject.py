"""What the page is about: the task, what its examples are, and the measure that judges it.

A page names its task once, while it is drawn; words, charts and fragments then ask here, since a fragment runs again
without the page around it. Where nothing was named it is about the first task, as every page is by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine import catalogue, modalities
from engine.figures.hover import SHARES, quality_words

KEY = "_subject"


def name(chosen: str) -> bool:
    """From here on the page is about this task; whether that is news. An unknown one means the first."""
    before = task()
    st.session_state[KEY] = chosen
    return task() != before


def task() -> str:
    """The task that the page is about."""
    named = st.session_state.get(KEY) if get_script_run_ctx(suppress_warning=True) is not None else None
    known = catalogue.current().names("tasks")
    return str(named) if named in known else known[0]


def modality(of: str | None = None) -> str:
    """What the examples of the page's task are, or those of the task ``of``."""
    return modalities.of(_row(of))


def metric(of: str | None = None) -> str:
    """The name of the measure that judges a task."""
    return str(_row(of)["metric"])


def direction(of: str | None = None) -> str:
    """``maximize`` or ``minimize``: what is better of that measure."""
    return str(_row(of)["direction"])


def quality(row: Mapping[str, Any], value: str = "quality") -> str:
    """A row's quality (or an end of its interval) as its measure is written: 89.4 %, or 2.31."""
    return quality_words(float(row[value]), measure_of(row))


def measure_of(row: Mapping[str, Any]) -> str:
    """The measure of a row; rows that do not say are about the page's task."""
    return str(row.get("metric") or metric())


def is_share(measure: str) -> bool:
    """Whether a measure is a share, so that differences are percentage points."""
    return measure in SHARES


def scale(measure: str | None = None) -> int:
    """What a quality is multiplied by in a table: 100 for a share, which is shown in percent."""
    return 100 if is_share(measure or metric()) else 1


def digits(measure: str | None = None, percent: bool = False) -> str:
    """How a table writes a quality that was scaled so, with the sign of percent where it is wanted."""
    if not is_share(measure or metric()):
        return "%.3f"
    return "%.1f %%" if percent else "%.1f"


def gap(difference: float, measure: str, signed: bool = True) -> str:
    """A difference of two qualities: percentage points of a share, else the number itself; minus as a minus."""
    if is_share(measure):
        return f"{100 * difference:+.2f}".replace("-", "−") if signed else f"{100 * abs(difference):.1f}"
    return f"{difference:+.3f}".replace("-", "−") if signed else f"{abs(difference):.3g}"


def _row(of: str | None) -> Mapping[str, Any]:
    return catalogue.current().row("tasks", of or task())
