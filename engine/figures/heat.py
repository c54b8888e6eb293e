"""Heat map of a grid: zeros across, bits upwards, quality in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.hover import quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.theme import CIVIDIS, Theme, axis, layout, theme_of
from engine.units import format_bytes

CELL_WIDTH_FOR_TEXT = 38
COLOUR_SPAN = 0.15
Row = Mapping[str, Any]


class Cell(NamedTuple):
    """One measured grid point at column ``x`` and row ``y``."""

    key: str
    x: int
    y: int
    value: float
    preview: bool
    hover: str


class HeatInfo(NamedTuple):
    """``sparsities`` and ``bits`` rise; ``cells`` holds what was measured, at most one a place.

    ``floor`` is where the colours start: all ruined points look the same, so that good ones can be told apart.
    ``best`` and ``selected`` are positions in ``cells``.
    """

    metric: str
    direction: str
    sparsities: tuple[float, ...]
    bits: tuple[int, ...]
    cells: tuple[Cell, ...]
    floor: float
    ceiling: float
    best: int | None
    selected: int | None


def heat_info(
    rows: Sequence[Row],
    dense_key: str | None = None,
    *,
    selected: tuple[float, int] | str | None = None,
    metric: str = "accuracy",
    direction: str = "maximize",
    labels: Labels | None = None,
) -> HeatInfo:
    """The grid points of one dense student among ``rows`` (all grid points when ``dense_key`` is None).

    ``selected`` is a key or (sparsity, bits). A full measurement replaces a preview of the same place.
    """
    chosen = [r for r in rows if r.get("origin") in ("grid", "shipped") and _is_point(r, dense_key)]
    sparsities = tuple(sorted({float(r["sparsity"]) for r in chosen}))
    bits = tuple(sorted({int(r["bits"]) for r in chosen}))
    placed: dict[tuple[int, int], Cell] = {}
    for row in sorted(chosen, key=lambda r: not r.get("preview")):
        x, y = sparsities.index(float(row["sparsity"])), bits.index(int(row["bits"]))
        hover = _hover(row, metric, labels_of(labels))
        placed[x, y] = Cell(str(row["key"]), x, y, float(row["quality"]), bool(row.get("preview")), hover)
    cells = tuple(placed[place] for place in sorted(placed))
    values = [c.value for c in cells] or [0.0, 1.0]
    if direction == "maximize":
        floor, ceiling = max(min(values), max(values) - COLOUR_SPAN), max(values)
    else:
        floor, ceiling = min(values), max(values)
    best = _best(cells, direction)
    where = _find(cells, sparsities, bits, selected)
    return HeatInfo(metric, direction, sparsities, bits, cells, floor, max(ceiling, floor + 1e-6), best, where)


def heat_figure(
    info: HeatInfo, theme: Theme | str = "light", *, labels: Labels | None = None, width: int = 560, height: int = 320
) -> dict[str, Any]:
    """The map as a plotly dict; a number stands in each cell when ``width`` pixels leave room for it.

    A click gives the cell's key in ``customdata`` (plotly selects markers, not heat maps: invisible ones lie on top).
    """
    colours, words = theme_of(theme), labels_of(labels)
    values: list[list[float | None]] = [[None] * len(info.sparsities) for _ in info.bits]
    for cell in info.cells:
        values[cell.y][cell.x] = cell.value
    palette = CIVIDIS if info.direction == "maximize" else CIVIDIS[::-1]
    scale = [[i / (len(palette) - 1), colour] for i, colour in enumerate(palette)]
    heat = {
        "type": "heatmap", "z": values, "x": list(range(len(info.sparsities))), "y": list(range(len(info.bits))),
        "zmin": info.floor, "zmax": info.ceiling, "colorscale": scale, "xgap": 2, "ygap": 2, "hoverinfo": "skip",
        "colorbar": {"thickness": 12, "outlinewidth": 0, "tickformat": ".0%" if info.metric == "accuracy" else ".3~g",
                     "tickfont": {"color": colours.muted}},
    }  # fmt: skip
    fits = (width - 130) / max(len(info.sparsities), 1) >= CELL_WIDTH_FOR_TEXT
    return {"data": [heat, _markers(info, fits)], "layout": _layout(info, colours, words, height)}


def alt_text(info: HeatInfo, labels: Labels | None = None) -> str:
    """The map for those who cannot see it."""
    words = labels_of(labels)
    if info.best is None:
        return words["alt_heat_empty"]
    best, chosen, values = info.cells[info.best], "", [c.value for c in info.cells]
    if info.selected is not None:
        cell = info.cells[info.selected]
        chosen = words["alt_heat_selected"].format(
            sparsity=_percent(info.sparsities[cell.x]), bits=info.bits[cell.y],
            quality=quality_words(cell.value, info.metric))  # fmt: skip
    return words["alt_heat"].format(
        metric=words[f"metric_{info.metric}"].capitalize(), count=len(info.cells), selected=chosen,
        low=quality_words(min(values), info.metric), high=quality_words(max(values), info.metric),
        sparsity=_percent(info.sparsities[best.x]), bits=info.bits[best.y],
    ).strip()  # fmt: skip


def _is_point(row: Row, dense_key: str | None) -> bool:
    if row.get("quality") is None or row.get("bits") is None or row.get("sparsity") is None:
        return False
    if row.get("state", "done") != "done" or row.get("role", "trial") != "trial":
        return False
    return dense_key is None or row.get("dense_key") == dense_key


def _best(cells: Sequence[Cell], direction: str) -> int | None:
    sign = 1 if direction == "maximize" else -1
    return max(range(len(cells)), key=lambda i: sign * cells[i].value, default=None)


def _find(cells: Sequence[Cell], sparsities: Sequence[float], bits: Sequence[int], selected: Any) -> int | None:
    if isinstance(selected, str):
        return next((i for i, c in enumerate(cells) if c.key == selected), None)
    if selected is None:
        return None
    near, width = selected
    return next((i for i, c in enumerate(cells) if abs(sparsities[c.x] - near) < 1e-9 and bits[c.y] == width), None)


def _markers(info: HeatInfo, fits: bool) -> dict[str, Any]:
    """Invisible markers that carry keys, hover text and, where it fits, the number."""
    middle = (info.floor + info.ceiling) / 2
    dark_is_low = info.direction == "maximize"
    ink = ["#ffffff" if (c.value < middle) == dark_is_low else "#000000" for c in info.cells]
    return {
        "type": "scatter", "mode": "markers+text" if fits else "markers", "showlegend": False,
        "x": [c.x for c in info.cells], "y": [c.y for c in info.cells], "customdata": [[c.key] for c in info.cells],
        "text": [_number(c.value, info.metric) for c in info.cells], "textposition": "middle center",
        "textfont": {"color": ink, "size": 11}, "hovertext": [c.hover for c in info.cells],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"symbol": "square", "size": 24, "opacity": 0},
        "selected": {"marker": {"opacity": 0}}, "unselected": {"marker": {"opacity": 0}, "textfont": {}},
    }  # fmt: skip


def _hover(row: Row, metric: str, words: Labels) -> str:
    packed = "?" if row.get("packed_bytes") is None else format_bytes(row["packed_bytes"])
    return words["heat_cell_preview" if row.get("preview") else "heat_cell"].format(
        sparsity=_percent(float(row["sparsity"])), bits=int(row["bits"]), packed=packed,
        value=quality_words(float(row["quality"]), metric), metric=words[f"metric_{metric}"],
    )  # fmt: skip


def _layout(info: HeatInfo, theme: Theme, words: Labels, height: int) -> dict[str, Any]:
    across = {"tickmode": "array", "tickvals": list(range(len(info.sparsities))), "showgrid": False, "showline": False,
              "ticktext": [_percent(s) for s in info.sparsities]}  # fmt: skip
    up = {"tickmode": "array", "tickvals": list(range(len(info.bits))), "showgrid": False, "showline": False,
          "ticktext": [str(b) for b in info.bits]}  # fmt: skip
    shapes = []
    if info.selected is not None:
        cell = info.cells[info.selected]
        # two outlines: one of them stands out against any colour of the map
        for colour, width in ((theme.text, 5), (theme.panel, 2)):
            shapes.append({"type": "rect", "x0": cell.x - 0.5, "x1": cell.x + 0.5, "y0": cell.y - 0.5,
                           "y1": cell.y + 0.5, "line": {"color": colour, "width": width}})  # fmt: skip
    return layout(theme, height, xaxis=axis(theme, words["heat_x"], **across), yaxis=axis(theme, words["heat_y"], **up),
                  shapes=shapes, clickmode="event+select", dragmode=False)  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _number(value: float, metric: str) -> str:
    """Short enough for a cell: percent without its sign."""
    return f"{100 * value:.1f}" if metric == "accuracy" else f"{value:.3g}"
