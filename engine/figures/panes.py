"""Several small charts side by side over the same rows: steps of a trial, layers of a network."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from engine.figures.theme import Theme, axis, layout

GAP, TICKS, WRAP = 0.035, 5, 24
MARGINS = 64  # pixels above and below the rows: the axes with their titles


def axis_name(number: int, letter: str = "x") -> str:
    """Plotly's short name of the ``number``-th axis from 0: "x", "x2", "x3" ..."""
    return letter + (str(number + 1) if number else "")


def ticks(low: float, high: float, write: Callable[[float], str], count: int = TICKS) -> dict[str, Any]:
    """About ``count`` round ticks from ``low`` to ``high`` with their units, as part of an axis."""
    step = _round_step((high - low) / count)
    values = [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return {"tickmode": "array", "tickvals": values, "ticktext": [write(v) for v in values]}


def rows_layout(
    theme: Theme, names: Sequence[str], columns: Sequence[dict[str, Any]], row_pixels: int, **more: Any
) -> dict[str, Any]:
    """A layout of ``columns`` (each the settings of its x axis, with ``title``) over one reversed axis of rows."""
    wide = (1 + GAP) / max(len(columns), 1)
    axes = {}
    for i, column in enumerate(columns):
        title = column.pop("title")
        # without a fixed range a reader's drag would pull the charts apart
        axes[f"{axis_name(i)[0]}axis{axis_name(i)[1:]}"] = axis(
            theme, title, domain=[i * wide, i * wide + wide - GAP], anchor="y", fixedrange=True, **column
        )
    up = axis(theme, "", tickmode="array", tickvals=list(range(len(names))), ticktext=[wrapped(n) for n in names],
              range=[len(names) - 0.5, -0.5], showgrid=False, ticks="", showline=False, fixedrange=True,
              ticklabelstandoff=8)  # fmt: skip
    up["tickfont"] = {"color": theme.text, "size": 12}
    return layout(theme, MARGINS + row_pixels * max(len(names), 1), yaxis=up, dragmode=False, **axes, **more)


def wrapped(name: str) -> str:
    """A row's name on as many lines as it needs, safe to show."""
    return "<br>".join(html.escape(part, quote=False) for part in textwrap.wrap(name, WRAP) or [""])


def _round_step(size: float) -> float:
    """1, 2 or 5 times a power of ten, at least ``size``."""
    if not (math.isfinite(size) and size > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(size))
    return next(part * power for part in (1.0, 2.0, 5.0, 10.0) if part * power >= size * 0.999)
