"""Which settings matter, as bars: each one's share in what separates the best points from the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of
from engine.units import format_share

BAR_PIXELS = 34


class ImportancesInfo(NamedTuple):
    """Names of the settings with their shares (sum 1), largest first."""

    names: tuple[str, ...]
    shares: tuple[float, ...]


def importances_info(shares: Mapping[str, float], labels: Labels | None = None) -> ImportancesInfo:
    """``shares`` maps knobs to what ``engine.api_front.importances`` gives."""
    words = labels_of(labels)
    order = sorted(shares, key=lambda name: (-shares[name], name))
    return ImportancesInfo(tuple(words[f"knob_{name}"] for name in order), tuple(shares[name] for name in order))


def importances_figure(info: ImportancesInfo, theme: Theme | str = "light", *,
                       labels: Labels | None = None) -> dict[str, Any]:  # fmt: skip
    """Horizontal bars with their shares as a plain plotly dict; as high as it needs to be."""
    colours, words = theme_of(theme), labels_of(labels)
    bars = {"type": "bar", "orientation": "h", "x": list(info.shares), "y": list(info.names), "hoverinfo": "skip",
            "text": [format_share(s) for s in info.shares], "textposition": "outside", "cliponaxis": False,
            "marker": {"color": colours.front}, "textfont": {"color": colours.text}}  # fmt: skip
    top = max(info.shares, default=1.0)
    x_axis = axis(colours, words["importance_axis"], tickformat=".0%", range=[0, top * 1.15])
    y_axis = axis(colours, "", autorange="reversed", showgrid=False, ticks="", tickfont={"color": colours.text})
    height = 90 + BAR_PIXELS * max(len(info.names), 1)
    return {"data": [bars] if info.names else [],
            "layout": layout(colours, height, xaxis=x_axis, yaxis=y_axis, bargap=0.35,
                             margin={"l": 150, "r": 48, "t": 8, "b": 52})}  # fmt: skip


def alt_text(info: ImportancesInfo, labels: Labels | None = None) -> str:
    """The bars for those who cannot see them."""
    words = labels_of(labels)
    if not info.names:
        return words["alt_importances_empty"]
    said = ", ".join(f"{n} {format_share(s)}" for n, s in zip(info.names, info.shares, strict=True))
    return words["alt_importances"].format(shares=said)
