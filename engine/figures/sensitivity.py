"""How much each layer matters: layer by level, the quality lost in each cell."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.theme import CIVIDIS, Theme, axis, layout, theme_of
from engine.units import format_bytes

SPAN = 0.15  # of lost accuracy, where the colours end: all ruined cells look the same, so that good ones differ
DEEP = 0.55  # share of the scale from which a number is written in white
ROW_PIXELS, ROOM = 30, 86  # a layer's row; what the axis below takes
SHARES = ("accuracy", "macro_f1", "top5")
Data = Mapping[str, Any]


class Cell(NamedTuple):
    """One setting of one layer at column ``x`` and row ``y``; ``loss`` is positive where quality is lost.

    ``tied``: the 95 % interval from ``low`` to ``high`` holds zero.
    """

    x: int
    y: int
    loss: float
    low: float
    high: float
    tied: bool
    packed_bytes: int


class Sensitivity(NamedTuple):
    """``kind`` is sparsity or bits; ``levels`` from the mildest on. ``ceiling``: the loss at which the colours end."""

    kind: str
    metric: str
    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    levels: tuple[float, ...]
    cells: tuple[Cell, ...]
    ceiling: float
    worst: int | None


def sensitivity_info(data: Data, kind: str) -> Sensitivity:
    """``data`` as :func:`engine.api_sensitivity.sensitivity` gives it; both kinds have the same colours."""
    layers = tuple(str(row["name"]) for row in data["layers"])
    levels = tuple(float(x) for x in data["sparsities" if kind == "sparsity" else "bits"])
    sign = 1.0 if data["direction"] == "maximize" else -1.0
    cells = tuple(_cell(c, layers, levels, sign) for c in data["cells"] if c["kind"] == kind)
    most = max((sign * c["loss"] for c in data["cells"]), default=0.0)
    ceiling = max(min(most, SPAN) if data["metric"] in SHARES else most, 1e-6)
    worst = max(range(len(cells)), key=lambda i: cells[i].loss, default=None)
    sizes = tuple(int(row["packed_bytes"]) for row in data["layers"])
    return Sensitivity(kind, str(data["metric"]), layers, sizes, levels, cells, ceiling, worst)


def sensitivity_figure(
    info: Sensitivity, theme: Theme | str = "light", *, labels: Labels | None = None
) -> dict[str, Any]:
    """The map as a plotly dict: the first layer on top, settings from left to right ever harsher."""
    colours, words = theme_of(theme), labels_of(labels)
    values: list[list[float | None]] = [[None] * len(info.levels) for _ in info.layers]
    for cell in info.cells:
        values[cell.y][cell.x] = max(0.0, _scale(info) * cell.loss)
    palette = CIVIDIS[::-1]  # little lost is light, as high quality is in the other maps
    unit = words["sense_points"] if info.metric in SHARES else words[f"metric_{info.metric}"]
    bar = {
        "thickness": 12,
        "outlinewidth": 0,
        "tickfont": {"color": colours.muted},
        "title": {
            "text": words["sense_bar"].format(unit=unit),
            "side": "right",
            "font": {"color": colours.text, "size": 12},
        },
    }
    ends = _scale(info) * info.ceiling
    if info.ceiling == SPAN:  # more is the same colour
        bar |= {"tickmode": "array", "tickvals": [0, 5, 10, ends], "ticktext": ["0", "5", "10", f"≥ {ends:.0f}"]}
    heat = {
        "type": "heatmap", "z": values, "x": list(range(len(info.levels))), "y": list(range(len(info.layers))),
        "zmin": 0, "zmax": ends, "xgap": 2, "ygap": 2, "hoverinfo": "skip", "colorbar": bar,
        "colorscale": [[i / (len(palette) - 1), colour] for i, colour in enumerate(palette)],
    }  # fmt: skip
    return {"data": [heat, _numbers(info, words)], "layout": _layout(info, colours, words)}


def alt_text(info: Sensitivity, labels: Labels | None = None) -> str:
    """The map for those who cannot see it: what costs most, and how much costs nothing."""
    words = labels_of(labels)
    if info.worst is None:
        return words["alt_sense_empty"]
    worst = info.cells[info.worst]
    return words["alt_sense"].format(
        count=len(info.layers), settings=len(info.levels), layer=info.layers[worst.y],
        what=_did(info, info.levels[worst.x], words), loss=_lost(worst.loss, info, words),
        free=sum(c.tied for c in info.cells), cells=len(info.cells),
    )  # fmt: skip


def _cell(cell: Data, layers: Sequence[str], levels: Sequence[float], sign: float) -> Cell:
    low, high = sorted((sign * cell["loss_low"], sign * cell["loss_high"]))
    place = levels.index(float(cell["level"])), layers.index(cell["layer"])
    return Cell(*place, sign * cell["loss"], low, high, low <= 0 <= high, int(cell["packed_bytes"]))


def _numbers(info: Sensitivity, words: Labels) -> dict[str, Any]:
    """Invisible markers that carry the numbers and the hover text."""
    ink = ["#000000" if c.loss < DEEP * info.ceiling else "#ffffff" for c in info.cells]
    return {
        "type": "scatter", "mode": "markers+text", "x": [c.x for c in info.cells], "y": [c.y for c in info.cells],
        "text": [words["sense_none"] if c.tied else _number(c.loss, info) for c in info.cells],
        "textposition": "middle center", "textfont": {"color": ink, "size": 12},
        "hovertext": [_hover(c, info, words) for c in info.cells], "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"symbol": "square", "size": 26, "opacity": 0}, "showlegend": False,
    }  # fmt: skip


def _hover(cell: Cell, info: Sensitivity, words: Labels) -> str:
    return words["sense_hover"].format(
        layer=html.escape(info.layers[cell.y], quote=False), what=_did(info, info.levels[cell.x], words),
        loss=_lost(cell.loss, info, words), low=_number(cell.low, info, 2), high=_number(cell.high, info, 2),
        packed=format_bytes(cell.packed_bytes), dense=format_bytes(info.sizes[cell.y]),
    )  # fmt: skip


def _layout(info: Sensitivity, theme: Theme, words: Labels) -> dict[str, Any]:
    quiet = {"tickmode": "array", "showgrid": False, "showline": False, "ticks": "", "fixedrange": True}
    levels = [words[f"sense_level_{info.kind}"].format(level=_level(info, x)) for x in info.levels]
    names = [html.escape(name, quote=False) for name in info.layers]
    across = axis(theme, words[f"sense_{info.kind}"], **quiet, tickvals=list(range(len(levels))), ticktext=levels,
                  range=[-0.5, len(levels) - 0.5])  # fmt: skip
    down = axis(theme, "", **quiet, tickvals=list(range(len(names))), ticktext=names, range=[len(names) - 0.5, -0.5])
    return layout(theme, ROOM + ROW_PIXELS * max(len(names), 3), xaxis=across, yaxis=down, dragmode=False,
                  margin={"l": 8, "r": 8, "t": 6, "b": 8})  # fmt: skip


def _did(info: Sensitivity, level: float, words: Labels) -> str:
    return words[f"sense_did_{info.kind}"].format(level=_level(info, level))


def _level(info: Sensitivity, level: float) -> str:
    return f"{100 * level:g}" if info.kind == "sparsity" else f"{level:g}"


def _lost(loss: float, info: Sensitivity, words: Labels) -> str:
    number = _number(loss, info, 2)
    return words["sense_points_value"].format(value=number) if info.metric in SHARES else number


def _number(loss: float, info: Sensitivity, digits: int = 1) -> str:
    """Percentage points of a share, anything else as a number."""
    return f"{100 * loss:.{digits}f}" if info.metric in SHARES else f"{loss:.3g}"


def _scale(info: Sensitivity) -> float:
    return 100.0 if info.metric in SHARES else 1.0


__all__ = ["Sensitivity", "alt_text", "sensitivity_figure", "sensitivity_info"]
