"""Figures as Streamlit sends them, written once: a rerun neither checks nor copies thousands of points again.

``st.plotly_chart`` copies a Plotly figure and writes its JSON at every rerun: 20 ms for 2,000 points and
30 more to check a new one. :class:`Drawn` is a figure whose long lists are JSON already. That ours are sound figures
is checked by tests, once and for all.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import plotly.graph_objects as go

LONG = 50  # lists from this length on are written once; nobody reads them again on the way
# what Plotly escapes in every figure that it writes, so that it may stand in HTML; then it finds nothing left to do
ESCAPED = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"/", b"\\u002f"))
TYPES = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4")  # numbers that Plotly's script takes as they lie in memory
# what is measured in pixels, by the part of a figure that holds it
SCALED = {"font": ("size",), "marker": ("size",), "line": ("width",), "layout": ("height",), "title": ("standoff",)}
SIZES = {name for names in SCALED.values() for name in names}
Spec = dict[str, Any]


class Drawn(go.Figure):
    """``figure`` (``{"data", "layout"}``, plain) with its long lists written, for Streamlit and for HTML export."""

    def __init__(self, figure: Mapping[str, Any]) -> None:
        # of Plotly's own checking only the layout's, which is short; this object only answers to_dict()
        layout = _written(go.Figure(layout=figure["layout"]).to_dict()["layout"])
        object.__setattr__(self, "_spec", {"data": [_written(trace) for trace in figure["data"]], "layout": layout})

    def to_dict(self) -> Spec:
        """The figure as a dictionary of the caller's own, down to each trace's names."""
        spec: Spec = object.__getattribute__(self, "_spec")
        return {**spec, "data": [dict(trace) for trace in spec["data"]], "layout": dict(spec["layout"])}

    def with_trace(self, trace: Mapping[str, Any]) -> Drawn:
        """This figure with one more trace on top; what is written already stays so and is shared."""
        made = object.__new__(Drawn)
        spec = self.to_dict()
        object.__setattr__(made, "_spec", {**spec, "data": [*spec["data"], _written(trace)]})
        return made

    def __repr__(self) -> str:
        return f"Drawn({len(self.to_dict()['data'])} traces)"


def larger(figure: go.Figure, factor: float) -> Drawn:
    """A figure for the back rows of a room: its letters, symbols and lines, and its height, times ``factor``."""
    made = object.__new__(Drawn)
    object.__setattr__(made, "_spec", _written(_scaled(figure.to_dict(), factor)))
    return made


def _scaled(value: Any, factor: float, inside: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _scaled(part, factor, name if name in SCALED.get(inside, ()) else _kind(name))
                for name, part in value.items()}  # fmt: skip
    if isinstance(value, (list, tuple)) and len(value) < LONG:
        return [_scaled(part, factor, inside) for part in value]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value * factor if number and inside in SIZES else value


def _kind(name: str) -> str:
    """What a part of a figure is, as far as its sizes are concerned."""
    return "font" if name.endswith("font") else name if name in SCALED else ""


def _written(value: Any) -> Any:
    """The same with every long list as its JSON, and arrays of numbers as the bytes that Plotly's script reads."""
    if isinstance(value, Mapping):
        return {name: _written(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        if value.ndim == 1 and value.dtype.str[1:] in TYPES:
            return {"dtype": value.dtype.str[1:], "bdata": base64.b64encode(value.tobytes()).decode()}
        value = value.tolist()
    if isinstance(value, str) and not value.isascii():
        return _json(value)
    if not isinstance(value, (list, tuple)):
        return value
    return _json(value) if len(value) >= LONG else [_written(part) for part in value]


def _json(value: Any) -> orjson.Fragment:
    """In plain ASCII: one µ or arrow would make Python hold, search and copy the whole figure with 2 bytes a letter."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    if not text.isascii():
        text = json.dumps(orjson.loads(text), separators=(",", ":")).encode()
    for mark, escaped in ESCAPED:
        text = text.replace(mark, escaped)
    return orjson.Fragment(text)
