"""Which classes a network mixes up, and what compression changed in that."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of

Mode = Literal["answers", "change"]
Table = Sequence[Sequence[int]]
DEEP = 0.55  # share of the scale from which a number is written in the other ink


class Confusion(NamedTuple):
    """``counts`` [label][answer]; as "change" they are this network's minus the dense student's.

    ``worst`` is (label, answer, count) of the most frequent mix-up, or of the largest increase; None without any.
    ``most`` is the largest count off the diagonal (of changes: anywhere), the end of the colours.
    """

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    mode: Mode
    worst: tuple[int, int, int] | None
    most: int


def confusion_info(names: Sequence[str], matrix: Table, mode: Mode = "answers") -> Confusion:
    """``matrix`` [C][C] with one row a label and one column an answer, counts or (mode "change") their differences."""
    size = len(names)
    if len(matrix) != size or any(len(line) != size for line in matrix):
        raise ValueError(f"{size} names and a matrix of {len(matrix)} rows; it must be square with one row a name")
    counts = tuple(tuple(int(v) for v in line) for line in matrix)
    off = [(counts[a][b], a, b) for a in range(size) for b in range(size) if a != b]
    count, a, b = max(off, key=lambda entry: entry[0], default=(0, 0, 0))
    seen = off if mode == "answers" else [(v, 0, 0) for line in counts for v in line]
    most = max((abs(entry[0]) for entry in seen), default=0)
    return Confusion(tuple(names), counts, mode, (a, b, count) if count > 0 else None, most)


def confusion_figure(
    info: Confusion, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 470,
    selected: tuple[int, int] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A map with a number in each cell as a plotly dict; a click gives [label, answer] in ``customdata``.

    Right answers stay uncoloured among answers, or mistakes could not be told apart beside them.
    """
    colours, words = theme_of(theme), labels_of(labels)
    size, most = len(info.names), max(info.most, 1)
    shown = [[_value(info, a, b) for b in range(size)] for a in range(size)]
    names = [html.escape(n, quote=False) for n in info.names]
    heat = {
        "type": "heatmap", "z": shown, "x": list(range(size)), "y": list(range(size)), "xgap": 1, "ygap": 1,
        "colorscale": _colours(info, colours), "showscale": False, "hoverinfo": "skip",
        "zmin": -most if info.mode == "change" else 0, "zmax": most,
    }  # fmt: skip
    across = {"tickmode": "array", "tickvals": list(range(size)), "ticktext": names, "showgrid": False,
              "showline": False, "ticks": "", "fixedrange": True}  # fmt: skip
    x_axis = axis(colours, words["confusion_x"], **across, tickangle=-40, range=[-0.5, size - 0.5])
    y_axis = axis(colours, words["confusion_y"], **across, range=[size - 0.5, -0.5])
    return {"data": [heat, _numbers(info, colours, words)], "layout": layout(
        colours, height, xaxis=x_axis, yaxis=y_axis, dragmode=False, clickmode="event+select",
        shapes=_outline(selected, colours),
    )}  # fmt: skip


def alt_text(info: Confusion, labels: Labels | None = None) -> str:
    """The matrix for those who cannot see it: how many are right, and the most frequent mix-up."""
    words = labels_of(labels)
    right = sum(info.counts[i][i] for i in range(len(info.names)))
    total = sum(sum(line) for line in info.counts)
    worst = ""
    if info.worst:
        a, b, count = info.worst
        worst = words[f"alt_confusion_worst_{info.mode}"].format(
            label=info.names[a], answer=info.names[b], count=f"{count:,}"
        )
    values = {"right": f"{right:+,}" if info.mode == "change" else f"{right:,}", "total": f"{total:,}"}
    return f"{words[f'alt_confusion_{info.mode}'].format(**values)} {worst}".strip()


def cell_of(event: Any) -> tuple[int, int] | None:
    """(label, answer) of the clicked cell, or None; ``event`` is what ``st.plotly_chart`` keeps."""
    selection = event.get("selection") if hasattr(event, "get") else getattr(event, "selection", None)
    for point in (selection or {}).get("points") or ():
        data = point.get("customdata")
        if isinstance(data, dict):
            data = [data.get("0"), data.get("1")]
        if isinstance(data, (list, tuple)) and len(data) >= 2 and all(isinstance(v, (int, float)) for v in data[:2]):
            return int(data[0]), int(data[1])
    return None


def _value(info: Confusion, label: int, answer: int) -> int | None:
    return None if info.mode == "answers" and label == answer else info.counts[label][answer]


def _colours(info: Confusion, theme: Theme) -> list[list[Any]]:
    ground = theme.panel if theme.name == "light" else "#262b33"
    if info.mode == "answers":
        return [[0, ground], [1, theme.slower]]
    return [[0, "#0072B2"], [0.5, ground], [1, theme.slower]]


def _numbers(info: Confusion, theme: Theme, words: Labels) -> dict[str, Any]:
    """Invisible markers that carry the numbers, the hover text and what a click means."""
    cells = [(a, b) for a in range(len(info.names)) for b in range(len(info.names))]
    return {
        "type": "scatter", "mode": "markers+text", "x": [b for _, b in cells], "y": [a for a, _ in cells],
        "text": [_text(info, a, b) for a, b in cells], "textposition": "middle center",
        "textfont": {"size": 12, "color": [_ink(info, a, b, theme) for a, b in cells]},
        "customdata": [[a, b] for a, b in cells], "hovertemplate": "%{hovertext}<extra></extra>",
        "hovertext": [_hover(info, a, b, words) for a, b in cells],
        "marker": {"symbol": "square", "size": 26, "opacity": 0},
        "selected": {"marker": {"opacity": 0}}, "unselected": {"marker": {"opacity": 0}, "textfont": {}},
    }  # fmt: skip


def _text(info: Confusion, label: int, answer: int) -> str:
    count = info.counts[label][answer]
    if info.mode == "change":
        return f"{count:+d}".replace("-", "−") if count else ""
    return str(count) if count else ""


def _ink(info: Confusion, label: int, answer: int, theme: Theme) -> str:
    if info.mode == "answers" and label == answer:
        return theme.muted
    deep = abs(info.counts[label][answer]) >= DEEP * max(info.most, 1)
    return "#ffffff" if deep else theme.text


def _hover(info: Confusion, label: int, answer: int, words: Labels) -> str:
    name = "right" if label == answer else "wrong"
    return words[f"confusion_{info.mode}_{name}"].format(
        label=html.escape(info.names[label]), answer=html.escape(info.names[answer]),
        count=_text(info, label, answer) or "0", total=sum(info.counts[label]),
    )  # fmt: skip


def _outline(cell: tuple[int, int] | None, theme: Theme) -> list[dict[str, Any]]:
    if cell is None:
        return []
    label, answer = cell
    ends = {"x0": answer - 0.5, "x1": answer + 0.5, "y0": label - 0.5, "y1": label + 0.5}
    return [{"type": "rect", **ends, "line": {"color": theme.text, "width": 2.5}}]
