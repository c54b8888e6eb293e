"""Live curves: Vega draws them, since it takes new data in place where Plotly would start again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.figures import DARK, LIGHT
from pages.parts.words import say

Status = Mapping[str, Any]
DASHES = {"trial": [1, 0], "dense": [6, 3], "baseline": [2, 2], "other": [1, 0]}
HEIGHT = 120


def live(shown: Sequence[Status], theme: str) -> None:
    """Training loss and accuracy by epoch of the runs that are shown."""
    rows = [row for status in shown for row in _rows(status)]
    if rows:
        st.vega_lite_chart({"values": rows}, spec(theme), theme=None, alt=say("progress.curves_alt"), width="stretch")


def spec(theme: str) -> dict[str, Any]:
    """Two small charts over one data set; colours as in the other figures, dashes say the same as colours."""
    colours = DARK if theme == "dark" else LIGHT
    palette = {"trial": colours.front, "dense": colours.dense, "baseline": colours.baseline, "other": colours.rest}
    names = {role: say(f"progress.{role}") for role in palette}
    series = {
        "field": "run", "type": "nominal", "scale": {"domain": list(names.values()), "range": list(palette.values())},
        "legend": None,
    }  # fmt: skip
    dashes = {"field": "run", "scale": {"domain": list(names.values()), "range": list(DASHES.values())}, "legend": None}
    panes = [
        _pane("loss", say("progress.loss"), "", series, dashes),
        _pane("quality", say("progress.quality"), ".0%", series, dashes),
    ]
    quiet = {"labelColor": colours.muted, "titleColor": colours.muted, "gridColor": colours.grid, "domainColor": colours.muted,
             "tickColor": colours.muted, "titleFontWeight": "normal"}  # fmt: skip
    config = {"axis": quiet, "view": {"stroke": None}, "background": "transparent"}
    return {"hconcat": panes, "config": config, "spacing": 26}


def _pane(field: str, title: str, form: str, series: Any, dashes: Any) -> dict[str, Any]:
    mark = {"type": "line", "point": {"size": 26}, "strokeWidth": 2}
    value = {
        "field": field,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False},
        "axis": {"format": form, "tickCount": 4},
    }
    epoch = {
        "field": "epoch",
        "type": "quantitative",
        "title": say("progress.epoch"),
        "axis": {"tickMinStep": 1, "format": "d"},
    }
    return {
        "mark": mark,
        "height": HEIGHT,
        "width": 190,
        "encoding": {"x": epoch, "y": value, "color": series, "strokeDash": dashes},
    }


def _rows(status: Status) -> list[dict[str, Any]]:
    """One row an epoch, counted through all phases."""
    run = say(f"progress.{status['role']}")
    points = status.get("curve") or []
    return [
        {"run": run, "epoch": i, "loss": p.get("loss"), "quality": p.get("quality")} for i, p in enumerate(points, 1)
    ]
