"""The weights of one layer, before and after compression; and the filters of the first convolution as pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of

FLOOR = 0.7  # below one weight, so that a bin with a single one can be seen on a logarithmic axis
GAP, ACROSS = 1, 8
Kernel = Sequence[Sequence[float]]


class Histogram(NamedTuple):
    """Counts of weights a bin: ``edges`` has one more entry than ``before`` and ``after``; the former is
    empty where nothing is compared.

    ``zeros`` is the count of the bin around zero afterwards.
    """

    layer: str
    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    zeros: int


class Filters(NamedTuple):
    """First filters of the dense student and of this network, each [height][width]; ``scale`` is the largest |weight|.

    ``kept`` counts the filters of ``after`` that are not all zero.
    """

    layer: str
    before: tuple[Kernel, ...]
    after: tuple[Kernel, ...]
    scale: float
    kept: int


def histogram_info(layer: str, counts: Mapping[str, Sequence[float]]) -> Histogram:
    """``counts`` is one entry of an inspection's histograms: edges, before, after."""
    edges = tuple(float(e) for e in counts["edges"])
    before, after = (tuple(int(c) for c in counts.get(name) or ()) for name in ("before", "after"))
    for name, values in (("before", before), ("after", after)):
        if values and len(values) != len(edges) - 1:
            raise ValueError(f"{layer}: {len(edges)} edges and {len(values)} counts {name}; one edge more is needed")
    middle = next((i for i in range(len(edges) - 1) if edges[i] <= 0 < edges[i + 1]), None)
    return Histogram(layer, edges, before, after, after[middle] if after and middle is not None else 0)


def histogram_figure(
    info: Histogram, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 300
) -> dict[str, Any]:
    """Filled bars after, a dashed outline before, on a logarithmic axis of counts, as a plotly dict."""
    colours, words = theme_of(theme), labels_of(labels)
    middles = [(a + b) / 2 for a, b in zip(info.edges, info.edges[1:], strict=False)]
    widths = [b - a for a, b in zip(info.edges, info.edges[1:], strict=False)]
    data = []
    if info.after:
        data.append({
            "type": "bar", "x": middles, "y": [max(c, FLOOR) if c else None for c in info.after], "width": widths,
            "name": words["weights_after"], "marker": {"color": colours.front, "line": {"width": 0}},
            "customdata": list(info.after), "hovertemplate": _hover(words, "weights_after"),
        })  # fmt: skip
    if info.before:
        data.append({
            "type": "scatter", "mode": "lines", "x": middles, "y": [max(c, FLOOR) for c in info.before],
            "line": {"shape": "hvh", "color": colours.dense, "width": 2, "dash": "dash"},
            "name": words["weights_before"], "customdata": list(info.before),
            "hovertemplate": _hover(words, "weights_before"),
        })  # fmt: skip
    most = max((*info.before, *info.after, 1))
    up = axis(colours, words["weights_count"], type="log", range=[math.log10(FLOOR), math.log10(most * 1.6)],
              dtick=1, tickformat=",~d", fixedrange=True)  # fmt: skip
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12, "color": colours.text}}
    shape = layout(colours, height, xaxis=axis(colours, words["weights_value"], fixedrange=True), yaxis=up, bargap=0,
                   showlegend=True, legend=legend, dragmode=False, barmode="overlay")  # fmt: skip
    return {"data": data, "layout": shape}


def alt_histogram(info: Histogram, labels: Labels | None = None) -> str:
    """The histogram for those who cannot see it."""
    words = labels_of(labels)
    if not info.after:
        return words["alt_weights_empty"]
    used = [i for i, c in enumerate(info.after) if c]
    low, high = (info.edges[used[0]], info.edges[used[-1] + 1]) if used else (0.0, 0.0)
    filled = sum(1 for c in info.before if c)
    before = words["alt_weights_before"].format(name=words["weights_before"], bins=filled) if info.before else ""
    return words["alt_weights"].format(
        layer=info.layer, count=f"{sum(info.after):,}", low=f"{low:.2g}", high=f"{high:.2g}", zeros=f"{info.zeros:,}",
        bins=len(used), before=before,
    )  # fmt: skip


def _hover(words: Labels, name: str) -> str:
    return words["weights_hover"].format(name=words[name]) + "<extra></extra>"


def filters_info(filters: Mapping[str, Any]) -> Filters:
    """``filters`` is an inspection's: layer, before and after as [n][height][width] (before may be missing)."""
    before, after = (tuple(filters.get(name) or ()) for name in ("before", "after"))
    scale = max((abs(w) for kernel in (*before, *after) for line in kernel for w in line), default=0.0)
    kept = sum(1 for kernel in after if any(w for line in kernel for w in line))
    return Filters(str(filters.get("layer") or ""), before, after, float(scale) or 1.0, kept)


def filters_figure(info: Filters, theme: Theme | str = "light", *, labels: Labels | None = None) -> dict[str, Any]:
    """Before on top, after below, filter by filter in the same order; blue is negative, orange positive."""
    colours, words = theme_of(theme), labels_of(labels)
    shown = [(name, kernels) for name, kernels in (("before", info.before), ("after", info.after)) if kernels]
    grids = [_tiled(kernels) for _, kernels in shown]
    cells = max((len(g) for g in grids), default=1)
    axes: dict[str, Any] = {}
    data, notes = [], []
    for i, ((name, _), grid) in enumerate(zip(shown, grids, strict=True)):
        end = "" if i == 0 else str(i + 1)
        top, bottom = 1 - i / len(grids), 1 - (i + 1) / len(grids)
        data.append(_heat(grid, info, colours, words, end, shown_bar=i == 0))
        axes |= {f"xaxis{end}": _bare("y", end), f"yaxis{end}": _bare("x", end) | {
            "domain": [bottom + 0.02, top - 0.14], "autorange": "reversed", "scaleanchor": f"x{end}"}}  # fmt: skip
        notes.append({"xref": "paper", "yref": "paper", "x": 0, "y": top, "xanchor": "left", "yanchor": "top",
                      "text": words[f"filters_{name}"], "showarrow": False, "font": {"size": 12,
                      "color": colours.text}})  # fmt: skip
    height = 60 + len(shown) * max(60, 30 + cells * 13)
    margin = {"l": 4, "r": 8, "t": 6, "b": 6}
    return {"data": data, "layout": layout(colours, height, annotations=notes, dragmode=False, margin=margin, **axes)}


def alt_filters(info: Filters, labels: Labels | None = None) -> str:
    """The filters for those who cannot see them."""
    return labels_of(labels)["alt_filters"].format(count=len(info.after), layer=info.layer, kept=info.kept)


def _tiled(kernels: Sequence[Kernel]) -> list[list[float | None]]:
    """All kernels in rows of ``ACROSS``, a gap of None around each."""
    high, wide = len(kernels[0]), len(kernels[0][0])
    lines = math.ceil(len(kernels) / ACROSS)
    across = min(ACROSS, len(kernels))
    grid: list[list[float | None]] = [[None] * (across * (wide + GAP) - GAP) for _ in range(lines * (high + GAP) - GAP)]
    for n, kernel in enumerate(kernels):
        top, left = n // ACROSS * (high + GAP), n % ACROSS * (wide + GAP)
        for y, line in enumerate(kernel):
            for x, weight in enumerate(line):
                grid[top + y][left + x] = float(weight)
    return grid


def _heat(grid: Any, info: Filters, theme: Theme, words: Labels, end: str, shown_bar: bool) -> dict[str, Any]:
    middle, ends = theme.panel if theme.name == "light" else "#3a4048", [-info.scale, 0.0, info.scale]
    bar = {
        "thickness": 10, "outlinewidth": 0, "tickfont": {"color": theme.muted}, "tickvals": ends,
        "ticktext": [f"{v:.2g}" for v in ends],
        "title": {"text": words["filters_bar"], "side": "right", "font": {"color": theme.muted, "size": 12}},
    }  # fmt: skip
    return {
        "type": "heatmap", "z": grid, "xaxis": f"x{end}", "yaxis": f"y{end}", "zmin": -info.scale, "zmax": info.scale,
        "colorscale": [[0, "#0072B2"], [0.5, middle], [1, "#D55E00"]], "showscale": shown_bar, "hoverongaps": False,
        "hovertemplate": words["filters_hover"] + "<extra></extra>", "colorbar": bar,
    }  # fmt: skip


def _bare(anchor: str, end: str) -> dict[str, Any]:
    return {"visible": False, "anchor": f"{anchor}{end}", "fixedrange": True, "constrain": "domain"}
