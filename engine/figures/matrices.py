"""A layer's weights as a matrix of colours, before and after a method acted; and tables of cosines side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.figures.labels import Labels, labels_of
from engine.figures.theme import CIVIDIS, CLEAR, Theme, layout, theme_of

ROW_PIXELS, TITLE_PIXELS, GAP_PIXELS = 6, 22, 12
ZERO = {"light": "#a9b0b9", "dark": "#7d8792"}
MIDDLE = {"light": "#efece5", "dark": "#31363d"}
MOST_SHARE = 99.5  # percentile of |weight| at which the colours end
Matrix = NDArray[Any]


class Matrices(NamedTuple):
    """``before`` and ``after`` [out, columns]; not a number where a channel is gone. ``scale``: where colours end."""

    before: Matrix
    after: Matrix
    scale: float
    zeros: float
    gone: int


def matrices_info(before: Matrix, after: Matrix, kept: Sequence[Sequence[int]] | None = None) -> Matrices:
    """``kept``: the output and input channels of ``before`` that ``after`` has, in its order, where it is smaller."""
    old, new = before.astype(float), after.astype(float)
    zeros = float((new == 0).mean()) if new.size else 0.0
    gone = 0
    if kept is not None:
        new, gone = _placed(old, new, kept), len(old) - len(kept[0])
    scale = float(np.percentile(np.abs(old), MOST_SHARE)) or 1.0
    return Matrices(old, new, scale, zeros, gone)


def matrices_figure(info: Matrices, theme: Theme | str = "light", *, labels: Labels | None = None) -> dict[str, Any]:
    """Before above, after below: blue is negative, orange positive, grey exactly zero, empty gone."""
    colours, words = theme_of(theme), labels_of(labels)
    sides = (("matrix_before", info.before), ("matrix_after", info.after))
    pixels = [max(len(m), 8) * ROW_PIXELS for _, m in sides]
    height = sum(pixels) + 2 * TITLE_PIXELS + GAP_PIXELS
    data: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    notes = []
    top = height
    for i, ((name, matrix), rows) in enumerate(zip(sides, pixels, strict=True)):
        end = "" if i == 0 else "2"
        low = top - TITLE_PIXELS - rows
        axes |= {f"xaxis{end}": _bare(f"y{end}"), f"yaxis{end}": _bare(f"x{end}") | {
            "domain": [max(low / height, 0.0), (low + rows) / height], "autorange": "reversed"}}  # fmt: skip
        data += _heat(matrix, info.scale, colours, words, end)
        notes.append(_note(words[name], top / height, colours))
        top = low - GAP_PIXELS
    margin = {"l": 2, "r": 2, "t": 2, "b": 2}
    return {
        "data": data,
        "layout": layout(colours, height + 4, annotations=notes, dragmode=False, margin=margin, **axes),
    }


def alt_matrices(info: Matrices, labels: Labels | None = None) -> str:
    """Both matrices for those who cannot see them."""
    words = labels_of(labels)
    gone = words["alt_matrix_gone"].format(count=info.gone) if info.gone else ""
    rows, columns = info.before.shape
    told: str = words["alt_matrix"].format(rows=rows, columns=columns, zeros=f"{100 * info.zeros:.1f} %", gone=gone)
    return told.rstrip()


def alike_figure(
    pair: Sequence[Matrix], names: Sequence[str], theme: Theme | str = "light", *, labels: Labels | None = None
) -> dict[str, Any]:
    """Two tables of cosines [n, n] side by side: the teacher's, then the student's."""
    colours, words = theme_of(theme), labels_of(labels)
    scale = [[i / (len(CIVIDIS) - 1), c] for i, c in enumerate(CIVIDIS)]
    low = min(float(np.min(m)) for m in pair)
    data, notes, axes = [], [], {}
    for i, (table, title) in enumerate(zip(pair, ("alike_teacher", "alike_student"), strict=True)):
        end = "" if i == 0 else "2"
        data.append({
            "type": "heatmap", "z": table.astype(float).round(3).tolist(), "x": list(names), "y": list(names),
            "xaxis": f"x{end}", "yaxis": f"y{end}", "zmin": low, "zmax": 1.0, "colorscale": scale, "showscale": False,
            "hovertemplate": "%{y}, %{x}: %{z:.2f}<extra></extra>",
        })  # fmt: skip
        axes[f"xaxis{end}"] = _bare(f"y{end}") | {"domain": [0.5 * i + 0.01, 0.5 * i + 0.49]}
        axes[f"yaxis{end}"] = _bare(f"x{end}") | {"domain": [0.0, 0.92], "autorange": "reversed"}
        notes.append(_note(words[title], 1.0, colours) | {"x": 0.5 * i + 0.01})
    margin = {"l": 2, "r": 2, "t": 2, "b": 2}
    return {"data": data, "layout": layout(colours, 240, annotations=notes, dragmode=False, margin=margin, **axes)}


def alt_alike(pair: Sequence[Matrix], labels: Labels | None = None) -> str:
    """Both tables for those who cannot see them."""
    means = [float(m.astype(float)[~np.eye(len(m), dtype=bool)].mean()) for m in pair]
    return labels_of(labels)["alt_alike"].format(teacher=f"{means[0]:.2f}", student=f"{means[1]:.2f}")


def _placed(old: Matrix, new: Matrix, kept: Sequence[Sequence[int]]) -> Matrix:
    """``new`` at the places of ``old`` that it came from, nothing elsewhere."""
    rows, inputs = kept
    wide = new.shape[1] // max(len(inputs), 1)
    columns = [i * wide + k for i in inputs for k in range(wide)]
    full = np.full(old.shape, np.nan)
    full[np.ix_(list(rows), columns)] = new
    return full


def _heat(matrix: Matrix, scale: float, theme: Theme, words: Labels, end: str) -> list[dict[str, Any]]:
    zero = matrix == 0
    values = _cells(np.where(zero, np.nan, np.round(matrix, 4)))
    axes = {"xaxis": f"x{end}", "yaxis": f"y{end}", "showscale": False, "hoverongaps": False}
    colours = [[0, "#0072B2"], [0.5, MIDDLE[theme.name]], [1, "#D55E00"]]
    weights = {
        "type": "heatmap", "z": values, "zmin": -scale, "zmax": scale, "colorscale": colours,
        "hovertemplate": words["matrix_hover"] + "<extra></extra>", **axes,
    }  # fmt: skip
    if not zero.any():
        return [weights]
    grey = ZERO[theme.name]
    nothing = {
        "type": "heatmap", "z": _cells(np.where(zero, 0.0, np.nan)), "zmin": 0, "zmax": 1,
        "colorscale": [[0, grey], [1, grey]], "hovertemplate": words["matrix_zero"] + "<extra></extra>", **axes,
    }  # fmt: skip
    return [weights, nothing]


def _cells(matrix: Matrix) -> list[list[float | None]]:
    """Lists with None where there is no number."""
    return [[None if v != v else v for v in row] for row in matrix.tolist()]


def _bare(anchor: str) -> dict[str, Any]:
    return {"visible": False, "anchor": anchor, "fixedrange": True}


def _note(text: str, top: float, theme: Theme) -> dict[str, Any]:
    return {
        "xref": "paper", "yref": "paper", "x": 0, "y": top, "xanchor": "left", "yanchor": "top", "text": text,
        "showarrow": False, "font": {"size": 13, "color": theme.text}, "bgcolor": CLEAR,
    }  # fmt: skip
