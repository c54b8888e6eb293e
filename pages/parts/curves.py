"""Live curves: Vega draws them, since it takes new data in place where Plotly would start again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.figures import DARK, LIGHT
from pages.parts import subject
from pages.parts.words import say

Status = Mapping[str, Any]
DASHES = {"trial": [1, 0], "dense": [6, 3], "baseline": [2, 2]}
HEIGHT, MOST = 150, 600
# a distillation loss falls by a factor of ten in the first steps: on a linear axis the rest would be one flat line
SCALES = {"quality": {"zero": False}, "loss": {"type": "log", "nice": False}}
SEEN = "_losses"
FONT = "Source Sans, system-ui, sans-serif"


def live(shown: Sequence[Status], theme: str) -> None:
    """The training loss as it was seen once a second, and the accuracy after each epoch, of the page's own runs."""
    running = [s for s in shown if s["role"] in DASHES]
    losses = [row for status in running for row in _seen(status)]
    qualities = [row for status in running for row in _epochs(status)]
    panes = [(rows, field) for rows, field in ((losses, "loss"), (qualities, "quality")) if rows]
    for column, (rows, field) in zip(st.columns(len(panes)) if panes else (), panes, strict=True):
        alt = say(f"progress.{field}_alt")
        drawn = spec(field, theme) | {"data": {"values": rows}}
        column.vega_lite_chart(drawn, theme=None, alt=alt, width="stretch")


def spec(field: str, theme: str) -> dict[str, Any]:
    """One small chart; colours as in the other figures, dashes say the same as colours."""
    colours = DARK if theme == "dark" else LIGHT
    palette = {"trial": colours.front, "dense": colours.dense, "baseline": colours.baseline}
    names = [say(f"progress.{role}") for role in palette]
    title = {"text": say(f"progress.{field}"), "color": colours.muted, "fontSize": 12, "fontWeight": "normal"}
    quiet = {"labelColor": colours.muted, "titleColor": colours.muted, "gridColor": colours.grid,
             "tickColor": colours.muted, "domainColor": colours.muted, "titleFontWeight": "normal"}  # fmt: skip
    share = field == "quality" and subject.is_share(subject.metric())
    value = {"field": "value", "type": "quantitative", "title": None, "scale": SCALES[field],
             "axis": {"tickCount": 4, "format": ".0%" if share else ""}}  # fmt: skip
    epoch = {
        "field": "epoch",
        "type": "quantitative",
        "title": say("progress.epoch"),
        "axis": {"tickMinStep": 1, "format": "d"},
    }
    return {
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 28} if field == "quality" else False},
        "height": HEIGHT, "title": title | {"anchor": "start"}, "background": "transparent",
        "encoding": {
            "x": epoch, "y": value,
            "color": {"field": "run", "scale": {"domain": names, "range": list(palette.values())}, "legend": None},
            "strokeDash": {"field": "run", "scale": {"domain": names, "range": list(DASHES.values())}, "legend": None},
        },
        "config": {"font": FONT, "axis": quiet, "view": {"stroke": None}},
    }  # fmt: skip


def _seen(status: Status) -> list[dict[str, Any]]:
    """The losses of one run that this session has seen so far, with the one that is there now."""
    kept = st.session_state.setdefault(SEEN, {}).setdefault(f"{status['key']}:{status.get('attempt')}", [])
    now = status.get("progress") or {}
    steps, step, loss = now.get("steps"), now.get("step"), now.get("loss")
    if steps and step and loss is not None:
        epoch = float(step) / float(steps) * float(now.get("epochs") or 1)
        if not kept or kept[-1]["epoch"] < epoch:
            kept.append({"run": say(f"progress.{status['role']}"), "epoch": round(epoch, 3), "value": loss})
            del kept[:-MOST]
    return list(kept)


def _epochs(status: Status) -> list[dict[str, Any]]:
    """One row an epoch, counted through all phases."""
    run = say(f"progress.{status['role']}")
    return [{"run": run, "epoch": i, "value": p.get("quality")} for i, p in enumerate(status.get("curve") or (), 1)]
