"""What a click on a figure means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def key_of(event: Any) -> str | None:
    """The trial's key behind a click, or None; ``event`` is what ``st.plotly_chart(..., on_select=...)`` returns."""
    selection = event.get("selection") if isinstance(event, Mapping) else getattr(event, "selection", None)
    points = selection.get("points") if isinstance(selection, Mapping) else getattr(selection, "points", None)
    for point in points or ():
        data = point.get("customdata")
        first = data[0] if isinstance(data, (list, tuple)) and data else data
        if isinstance(first, str) and first:
            return first
    return None
