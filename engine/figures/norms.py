"""BatchNorm's statistics of a layer, channel by channel, before and after they were measured anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of

HEIGHT = 250


class Norms(NamedTuple):
    """Mean and variance by channel: (before, after) each."""

    mean: tuple[tuple[float, ...], tuple[float, ...]]
    variance: tuple[tuple[float, ...], tuple[float, ...]]


def norms_info(mean: Sequence[Sequence[float]], variance: Sequence[Sequence[float]]) -> Norms:
    """Each of two rows [channels]: before and after."""
    pairs = [tuple(tuple(float(v) for v in row) for row in rows) for rows in (mean, variance)]
    if len({len(row) for pair in pairs for row in pair}) != 1 or any(len(pair) != 2 for pair in pairs):
        raise ValueError("mean and variance need two rows of one length: before and after")
    return Norms((pairs[0][0], pairs[0][1]), (pairs[1][0], pairs[1][1]))


def norms_figure(info: Norms, theme: Theme | str = "light", *, labels: Labels | None = None) -> dict[str, Any]:
    """A pane for the means, one for the variances; a line joins the two values of each channel."""
    colours, words = theme_of(theme), labels_of(labels)
    data: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    for i, (name, (before, after)) in enumerate((("norm_mean", info.mean), ("norm_variance", info.variance))):
        end = "" if i == 0 else "2"
        at = {"xaxis": f"x{end}", "yaxis": f"y{end}", "type": "scatter", "showlegend": i == 0}
        lines_x = [v for c in range(len(before)) for v in (c, c, None)]
        lines_y = [v for pair in zip(before, after, strict=True) for v in (*pair, None)]
        data += [
            {**at, "mode": "lines", "x": lines_x, "y": lines_y, "line": {"color": colours.rest, "width": 1},
             "hoverinfo": "skip", "showlegend": False},
            _marks(at, before, words["matrix_before"], colours.dense, "circle-open", words),
            _marks(at, after, words["matrix_after"], colours.front, "circle", words),
        ]  # fmt: skip
        domain = [0.0, 0.46] if i == 0 else [0.54, 1.0]
        axes[f"xaxis{end}"] = axis(colours, words["norm_channel"], domain=domain, anchor=f"y{end}", fixedrange=True)
        axes[f"yaxis{end}"] = axis(colours, words[name], anchor=f"x{end}", fixedrange=True)
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12, "color": colours.text}}
    return {"data": data, "layout": layout(colours, HEIGHT, showlegend=True, legend=legend, dragmode=False, **axes)}


def alt_norms(info: Norms, labels: Labels | None = None) -> str:
    """The statistics for those who cannot see them."""
    moved = [sum(abs(a - b) for a, b in zip(*pair, strict=True)) / len(pair[0]) for pair in info]
    return labels_of(labels)["alt_norms"].format(
        channels=len(info.mean[0]), mean=f"{moved[0]:.2g}", variance=f"{moved[1]:.2g}"
    )


def _marks(
    at: dict[str, Any], values: Sequence[float], name: str, colour: str, symbol: str, words: Labels
) -> dict[str, Any]:
    return {
        **at, "mode": "markers", "x": list(range(len(values))), "y": list(values), "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": 8},
        "hovertemplate": words["norm_hover"].format(name=name) + "<extra></extra>",
    }  # fmt: skip
