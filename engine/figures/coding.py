"""Bits a weight, layer by layer: as stored, as the recipe says, their entropy, a coder with contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.panes import rows_layout, ticks
from engine.figures.theme import Theme, theme_of
from engine.units import format_bytes

Row = Mapping[str, Any]
OTHERS = {"nominal": "line-ns-open", "entropy": "diamond-tall", "context": "circle-open"}  # with their symbols
ROW_PIXELS, ROOM, LEGEND = 34, 1.12, 34


class Coded(NamedTuple):
    """The weights of one layer: how many, their bytes in the file, and bits a weight by name (stored, nominal, ...)."""

    layer: str
    weights: int
    size: float
    bits: Mapping[str, float]


class Coding(NamedTuple):
    """``layers`` in the file's order; ``bits`` of all their weights together."""

    layers: tuple[Coded, ...]
    bits: Mapping[str, float]


def coding_info(rows: Sequence[Row]) -> Coding:
    """``rows`` of a report of bytes (see :func:`engine.measure.bytes.report`); only integers count."""
    chosen = [r for r in rows if r["part"] == "integers" and r["count"]]
    layers = tuple(
        Coded(str(r["layer"] or r["tensor"]), r["count"], r["bytes"], {n: _bits(r, n) for n in ("stored", *OTHERS)})
        for r in chosen
    )
    weights = sum(y.weights for y in layers)
    whole = {n: sum(y.bits[n] * y.weights for y in layers) / max(weights, 1) for n in ("stored", *OTHERS)}
    return Coding(layers, whole)


def coding_figure(info: Coding, theme: Theme | str = "light", *, labels: Labels | None = None) -> dict[str, Any]:
    """A bar for what is stored and a symbol for each of the others, as a plotly dict."""
    colours, words = theme_of(theme), labels_of(labels)
    rows = list(range(len(info.layers)))
    hover = [_hover(y, words) for y in info.layers]
    high = max((b for y in info.layers for b in y.bits.values()), default=1.0) or 1.0
    shared = {"y": rows, "hovertext": hover, "hovertemplate": "%{hovertext}<extra></extra>"}
    data = [{"type": "bar", "orientation": "h", "x": [y.bits["stored"] for y in info.layers], **shared,
             "name": words["coding_stored"], "marker": {"color": colours.front, "line": {"width": 0}}}]  # fmt: skip
    paint = {"nominal": colours.text, "entropy": colours.dense, "context": colours.baseline}
    for name, symbol in OTHERS.items():
        marker = {"symbol": symbol, "size": 15 if name == "nominal" else 11, "color": paint[name],
                  "line": {"width": 2, "color": paint[name]}}  # fmt: skip
        data.append({"type": "scatter", "mode": "markers", "x": [y.bits[name] for y in info.layers], **shared,
                     "name": words[f"coding_{name}"], "marker": marker, "cliponaxis": False})  # fmt: skip
    column = {"title": words["axis_coding"], "range": [0, high * ROOM], **ticks(0, high, "{:g}".format)}
    drawn = rows_layout(colours, [y.layer for y in info.layers], [column], ROW_PIXELS, bargap=0.42)
    legend = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"color": colours.text, "size": 12},
              "itemclick": False, "itemdoubleclick": False}  # fmt: skip
    drawn |= {"showlegend": True, "legend": legend, "height": drawn["height"] + LEGEND}
    drawn["margin"] = {**drawn["margin"], "t": LEGEND}
    return {"data": data, "layout": drawn}


def alt_text(info: Coding, labels: Labels | None = None) -> str:
    """The figure in words."""
    words = labels_of(labels)
    if not info.layers:
        return words["alt_coding_empty"]
    return words["alt_coding"].format(count=len(info.layers), **{n: f"{b:.2f}" for n, b in info.bits.items()})


def _bits(row: Row, name: str) -> float:
    size = row["bytes"] if name == "stored" else row[f"{name}_bytes"]
    return 8 * float(size or 0) / int(row["count"])


def _hover(layer: Coded, words: Labels) -> str:
    return words["coding_hover"].format(
        name=layer.layer.replace("<", "&lt;"), count=f"{layer.weights:,}", size=format_bytes(layer.size),
        **{n: f"{b:.2f}" for n, b in layer.bits.items()},
    )  # fmt: skip
