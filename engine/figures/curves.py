"""Training curves: quality on validation above, training loss below, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.hover import quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of


class Curves(NamedTuple):
    """One entry an epoch, counted on through all phases; ``breaks`` are the epochs after which a new phase starts.

    A loss or quality that is not a number is None: a gap in the line.
    """

    metric: str
    epochs: tuple[int, ...]
    losses: tuple[float | None, ...]
    qualities: tuple[float | None, ...]
    breaks: tuple[int, ...]


def curves_info(curve: Sequence[Mapping[str, Any]], metric: str = "accuracy") -> Curves:
    """``curve`` is a result's or a status' list of ``{"epoch", "loss", "quality", "phase"}``."""
    phases = [int(point.get("phase") or 0) for point in curve]
    breaks = tuple(i for i in range(1, len(phases)) if phases[i] != phases[i - 1])
    losses = tuple(_number(point.get("loss")) for point in curve)
    qualities = tuple(_number(point.get("quality")) for point in curve)
    return Curves(metric, tuple(range(1, len(curve) + 1)), losses, qualities, breaks)


def curves_figure(
    info: Curves, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 320
) -> dict[str, Any]:
    """Two panes over one epoch axis, as a plotly dict."""
    colours, words = theme_of(theme), labels_of(labels)
    quality = words["curve_quality"].format(metric=words[f"metric_{info.metric}"])
    data = [
        _line(info.epochs, info.qualities, "y", colours.front, "circle", quality),
        _line(info.epochs, info.losses, "y2", colours.slower, "square", words["curve_loss"]),
    ]
    share = ".0%" if info.metric == "accuracy" else ".3~g"
    dividers = [
        {"type": "line", "x0": b + 0.5, "x1": b + 0.5, "y0": 0, "y1": 1, "yref": "paper",
         "line": {"color": colours.muted, "dash": "dot", "width": 1}} for b in info.breaks
    ]  # fmt: skip
    last = max(len(info.epochs), 1)
    x_axis = axis(colours, words["curve_epoch"], range=[0.8, last + 0.2], dtick=max(1, round(last / 10)), anchor="y2")
    return {"data": data, "layout": layout(
        colours, height, xaxis=x_axis, shapes=dividers, dragmode=False,
        yaxis=axis(colours, words[f"metric_{info.metric}"], domain=[0.54, 1], tickformat=share),
        yaxis2=axis(colours, words["curve_loss"], domain=[0, 0.44]),
    )}  # fmt: skip


def alt_text(info: Curves, labels: Labels | None = None) -> str:
    """The curves for those who cannot see them."""
    words = labels_of(labels)
    known = [(a, b) for a, b in zip(info.losses, info.qualities, strict=True) if a is not None and b is not None]
    if not known:
        return words["alt_curves_empty"]
    (first_loss, first), (last_loss, last) = known[0], known[-1]
    return words["alt_curves"].format(
        count=len(info.epochs), metric=words[f"metric_{info.metric}"], first_loss=f"{first_loss:.3g}",
        last_loss=f"{last_loss:.3g}", first=quality_words(first, info.metric), last=quality_words(last, info.metric),
    )  # fmt: skip


def _line(xs: Sequence[int], ys: Sequence[float | None], y_axis: str, colour: str, symbol: str, name: str) -> Any:
    return {
        "type": "scatter", "mode": "lines+markers", "x": list(xs), "y": list(ys), "yaxis": y_axis, "name": name,
        "line": {"color": colour, "width": 2}, "marker": {"symbol": symbol, "size": 6, "color": colour},
        "hovertemplate": "%{y:.4~g}<extra></extra>",
    }  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
