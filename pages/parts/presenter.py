"""The presenter's view of *Explore*: one figure as large as the room needs it, with the controls that move it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api
from engine.home import Home
from pages.parts import charts, control, legend, soft, story, whatif, widgets
from pages.parts.choices import FIGURES, Form
from pages.parts.details import paired
from pages.parts.points import Focus
from pages.parts.words import say

Row = Mapping[str, Any]
KEY = "figure"
# what moves a figure stands below it, since the settings on the left are not there
MOVED_BY = {"what_if": ("sparsity", "bits"), "soft": ("temperature",)}
STRETCH: dict[str, Any] = {"height": "stretch"}


def own_fields(form: Form) -> tuple[str, ...]:
    """Settings that the figure shown has below it."""
    return MOVED_BY.get(str(form.get("figure")), ())


def panel(home: Home, form: Form, rows: Sequence[Row], grid: Sequence[Row], dense: str, focus: Focus | None,
          look: str) -> None:  # fmt: skip
    """Which figure, one sentence, the figure."""
    _choose()
    chosen, key = str(form.get("figure")), focus.row["key"] if focus else None
    moved = [field for field in form.fields if field.name in own_fields(form)]
    if moved:
        with control.container(horizontal=True, key="presented_controls", gap="large"):
            for field in moved:
                widgets.widget(field, form)
    if chosen in charts.COSTS:
        _points(rows, chosen, key, focus, home, look)
    elif chosen == "what_if":
        with control.container(key="presented"):
            whatif.panel(home, form, grid, dense, look, **STRETCH)
    else:
        with control.container(key="soft"):
            soft.panel(form)


def _choose() -> None:
    control.segmented_control(say("presenter.figure"), FIGURES, key=KEY, required=True, label_visibility="collapsed",
                              format_func=lambda name: say(f"presenter.{name}"))  # fmt: skip


def _points(rows: Sequence[Row], cost: str, key: str | None, focus: Focus | None, home: Home, look: str) -> None:
    with control.container(key="presented"):
        if focus is not None:
            run = api.result(home, focus.row["key"])
            said = story.sentence(run, str(focus.row.get("role")), paired(home, run))
            st.html(f'<p class="sh-story">{story.html(said)}</p>')
        charts.pareto(rows, cost, key, look, **STRETCH)
        legend.draw(rows, look, focus is not None)
