"""Instant what-if: two sliders answer from measured grid points, in words and on a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api
from engine.home import Home
from engine.units import format_bytes
from pages.parts import charts, points, story, subject
from pages.parts.choices import FULL_PRECISION, REMOVES, Form
from pages.parts.words import say

Row = Mapping[str, Any]


def panel(home: Home, form: Form, grid: Sequence[Row], dense_key: str, theme: str,
          **place: Any) -> None:  # fmt: skip
    """The map of the dense student that the settings name."""
    st.html(charts.title(say("what_if.title"), say("what_if.sub")))
    progress = api.grid_status(home, dense_key)
    if not grid:
        waiting = progress["state"] in ("queued", "running")
        st.info(say("what_if.waiting") if waiting else say("what_if.none", count=progress["total"]))
        return
    st.html(f'<p class="sh-story">{story.html(answer(form, grid))}</p>')
    cell = chosen(form, grid)
    charts.heat(grid, (cell["sparsity"], cell["bits"]) if cell else None, theme, **place)
    st.caption(_measured_on(grid, progress))
    if form.get("schedule") == "gradual" or form.get("training") == "qat":
        st.caption(say("what_if.gradual"))
    elif form.get("rounding") not in (None, "linear"):
        st.caption(say("what_if.rounding"))


def chosen(form: Form, grid: Sequence[Row]) -> Row | None:
    """The measured cell of the sliders' present places."""
    return points.at(grid, sparsity_of(form), form.get("bits"))


def sparsity_of(form: Form) -> float:
    """The share of zeros that the settings ask for; 0 without pruning by magnitude."""
    return float(form.get("sparsity") or 0.0) if form.get("pruning") == "magnitude" else 0.0


def answer(form: Form, grid: Sequence[Row]) -> str:
    """What the sliders' present places give, in words with measured numbers."""
    if form.get("pruning") in REMOVES or form.get("bits") == FULL_PRECISION:
        return say("what_if.off")
    row = chosen(form, grid)
    if row is None:
        return say("what_if.missing")
    asked = sparsity_of(form)
    near = say("what_if.nearest", asked=f"{100 * asked:.0f} %") if abs(asked - row["sparsity"]) > 1e-6 else ""
    return near + say(
        "what_if.answer", sparsity=f"{100 * row['sparsity']:.0f} %", bits=row["bits"],
        quality=subject.quality(row), low=subject.quality(row, "quality_low"),
        high=subject.quality(row, "quality_high"), size=format_bytes(row["packed_bytes"]),
    )  # fmt: skip


def _measured_on(grid: Sequence[Row], progress: Mapping[str, Any]) -> str:
    preview = sum(bool(r.get("preview")) for r in grid)
    total = max(progress.get("total") or 0, len(grid))
    said = say("what_if.progress", done=len(grid) - preview, total=total)
    return said + say("story.also") + say("what_if.preview" if preview else "what_if.full")
