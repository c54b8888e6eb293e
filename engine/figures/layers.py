"""A network layer by layer: bytes, multiply-adds, zeros and bits, row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.panes import axis_name, rows_layout, ticks
from engine.figures.theme import Theme, theme_of
from engine.units import format_bytes, format_count, format_share

Row = Mapping[str, Any]
MEASURES = ("packed_bytes", "macs", "zeros", "bits")
FULL_BITS = 32
BITS = {"tickmode": "array", "tickvals": [0, 8, 16, 32], "ticktext": ["0", "8", "16", "32"]}
ROW_PIXELS, ROOM = 34, 1.42  # room to the right of the longest bar for its number


class Layer(NamedTuple):
    """One layer. ``zeros`` is a fraction of its weights, ``bits`` those of a weight; None: not known."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    nonzero: int
    zeros: float | None
    bits: float | None
    packed_bytes: float | None
    macs: float | None


class Layers(NamedTuple):
    """``layers`` in the order in which data pass them; totals are sums of what is known."""

    layers: tuple[Layer, ...]
    packed_bytes: float
    macs: float


def layers_info(layers: Sequence[Row]) -> Layers:
    """``layers`` is the list of an inspection: name, kind, shape, parameters, nonzero, zeros, bits, bytes, macs."""
    rows = tuple(
        Layer(
            str(r["name"]), str(r.get("kind") or ""), tuple(r.get("shape") or ()), int(r.get("parameters") or 0),
            int(r.get("nonzero") or 0), r.get("zeros"), r.get("bits"), r.get("packed_bytes"), r.get("macs"),
        )
        for r in layers
    )  # fmt: skip
    return Layers(rows, sum(r.packed_bytes or 0 for r in rows), sum(r.macs or 0 for r in rows))


def layers_figure(info: Layers, theme: Theme | str = "light", *, labels: Labels | None = None) -> dict[str, Any]:
    """Four charts over the same layers as a plotly dict: a bar each, its number beside it."""
    colours, words = theme_of(theme), labels_of(labels)
    paint = {"packed_bytes": colours.front, "macs": colours.teacher, "zeros": colours.rest, "bits": colours.dense}
    columns, data = [], []
    for i, measure in enumerate(MEASURES):
        values = [getattr(layer, measure) for layer in info.layers]
        high = {"zeros": 1.0, "bits": FULL_BITS}.get(measure) or max((v or 0 for v in values), default=0) or 1
        scale = BITS if measure == "bits" else ticks(0, high, _ticker(measure), 3)
        columns.append({"title": words[f"layer_{measure}"], "range": [0, high * ROOM], **scale})
        data.append(_bars(info, i, measure, paint[measure], colours, words))
    return {"data": data, "layout": rows_layout(colours, [y.name for y in info.layers], columns, ROW_PIXELS,
                                                bargap=0.42)}  # fmt: skip


def alt_text(info: Layers, labels: Labels | None = None) -> str:
    """The layers for those who cannot see them: the largest and the one with most arithmetic."""
    words = labels_of(labels)
    if not info.layers:
        return words["alt_layers_empty"]
    largest = max(info.layers, key=lambda y: y.packed_bytes or 0)
    busiest = max(info.layers, key=lambda y: y.macs or 0)
    return words["alt_layers"].format(
        count=len(info.layers), largest=largest.name, size=format_bytes(largest.packed_bytes or 0),
        total=format_bytes(info.packed_bytes), busiest=busiest.name,
        share=format_share((busiest.macs or 0) / info.macs) if info.macs else "?",
    )  # fmt: skip


def _bars(info: Layers, number: int, measure: str, colour: str, theme: Theme, words: Labels) -> dict[str, Any]:
    values = [getattr(layer, measure) for layer in info.layers]
    write = _writer(measure)
    return {
        "type": "bar", "orientation": "h", "xaxis": axis_name(number), "y": list(range(len(values))),
        "x": [v or 0 for v in values], "marker": {"color": colour, "line": {"width": 0}},
        "text": ["?" if v is None else write(v) for v in values], "textposition": "outside", "cliponaxis": False,
        "textfont": {"color": theme.text, "size": 12}, "hovertext": [_hover(y, info, words) for y in info.layers],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip


def _hover(layer: Layer, info: Layers, words: Labels) -> str:
    shape = " × ".join(map(str, layer.shape)) or "?"
    share = (layer.packed_bytes or 0) / info.packed_bytes if info.packed_bytes else 0.0
    return words["layer_hover"].format(
        name=layer.name.replace("<", "&lt;"), kind=layer.kind, shape=shape, parameters=f"{layer.parameters:,}",
        nonzero=f"{layer.nonzero:,}", share=format_share(share),
    )  # fmt: skip


def _writer(measure: str) -> Callable[[float], str]:
    writers: dict[str, Callable[[float], str]] = {
        "packed_bytes": format_bytes, "macs": format_count, "zeros": lambda v: f"{100 * v:.0f} %",
    }  # fmt: skip
    return writers.get(measure, lambda v: f"{v:g}")


def _ticker(measure: str) -> Callable[[float], str]:
    write = _writer(measure)
    return lambda v: "0" if v == 0 else write(v)
