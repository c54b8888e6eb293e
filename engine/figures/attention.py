"""One head's attention: rows are tokens that look, columns what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.figures.theme import CIVIDIS, Theme, axis, layout, theme_of
from engine.units import format_share


def attention_figure(
    shares: Sequence[Sequence[float]], tokens: Sequence[str], theme: Theme | str = "light", height: int = 420
) -> dict[str, Any]:
    """A heat map as a plotly dict; ``shares`` [T][T] sum to one in every row."""
    colours, places = theme_of(theme), list(range(len(tokens)))
    hover = [[f"{tokens[i]} → {tokens[j]}: {format_share(share)}" for j, share in enumerate(row)]
             for i, row in enumerate(shares)]  # fmt: skip
    drawn = {
        "type": "heatmap", "z": [list(row) for row in shares], "x": places, "y": places, "zmin": 0,
        "colorscale": [[i / (len(CIVIDIS) - 1), c] for i, c in enumerate(CIVIDIS)], "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra></extra>", "colorbar": {"thickness": 12, "outlinewidth": 0,
                                                                    "tickformat": ".0%"},
    }  # fmt: skip
    ticks = {"tickmode": "array", "tickvals": places, "ticktext": list(tokens), "showgrid": False}
    x_axis, y_axis = axis(colours, "", **ticks, tickangle=-60), axis(colours, "", **ticks, autorange="reversed")
    return {"data": [drawn], "layout": layout(colours, height, xaxis=x_axis, yaxis=y_axis, dragmode=False)}


def alt_attention(shares: Sequence[Sequence[float]], tokens: Sequence[str], words: str) -> str:
    """The strongest look of the map; ``words`` has places for ``one``, ``other`` and ``share``."""
    places = [(i, j) for i in range(len(tokens)) for j in range(len(tokens)) if i != j]
    i, j = max(places, key=lambda p: shares[p[0]][p[1]])
    return words.format(one=tokens[i], other=tokens[j], share=format_share(shares[i][j]))
