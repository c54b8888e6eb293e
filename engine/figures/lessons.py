"""What a loss says about one image: both answers class by class, and where it pushes the student's scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.panes import axis_name, rows_layout, ticks
from engine.figures.soft_targets import soft_targets
from engine.figures.theme import Theme, theme_of
from engine.units import format_share

ROW_PIXELS = 25


class Lesson(NamedTuple):
    """By class: the teacher's share (empty without one), the student's, and the push on its score; ``label`` a class.

    A push is minus the gradient of the loss by the score; it has no unit of its own, only signs and proportions matter.
    """

    names: tuple[str, ...]
    teacher: tuple[float, ...]
    student: tuple[float, ...]
    push: tuple[float, ...]
    label: int


def lesson_info(
    names: Sequence[str], student: Sequence[float], push: Sequence[float], label: int,
    teacher: Sequence[float] | None = None,
) -> Lesson:  # fmt: skip
    """``student`` and ``teacher`` are scores (logits), one a class, as is ``push``."""
    if not len(names) == len(student) == len(push):
        raise ValueError(f"{len(names)} names, {len(student)} scores and {len(push)} pushes; one of each a class")
    shares = [soft_targets([float(v) for v in side], 1.0) if side is not None else () for side in (teacher, student)]
    return Lesson(tuple(names), shares[0], shares[1], tuple(float(p) for p in push), label)


def lesson_figure(info: Lesson, theme: Theme | str = "light", *, labels: Labels | None = None) -> dict[str, Any]:
    """Shares on the left, pushes on the right, a row a class."""
    colours, words = theme_of(theme), labels_of(labels)
    rows = list(range(len(info.names)))
    sides = [("teacher", info.teacher, colours.teacher, -0.2), ("student", info.student, colours.front, 0.2)]
    data: list[dict[str, Any]] = []
    for name, shares, colour, shift in sides:
        if shares:
            data.append({
                "type": "bar", "orientation": "h", "x": list(shares), "y": [r + shift for r in rows], "width": 0.36,
                "name": words[f"lesson_{name}"], "marker": {"color": colour}, "xaxis": axis_name(0),
                "hovertext": [f"{n}: {format_share(s)}" for n, s in zip(info.names, shares, strict=True)],
                "hovertemplate": "%{hovertext}<extra></extra>",
            })  # fmt: skip
    data.append({
        "type": "bar", "orientation": "h", "x": list(info.push), "y": rows, "width": 0.6, "xaxis": axis_name(1),
        "showlegend": False, "hovertext": [f"{n}: {p:+.3g}" for n, p in zip(info.names, info.push, strict=True)],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"color": [colours.slower if p > 0 else colours.rest for p in info.push]},
    })  # fmt: skip
    far = max((abs(p) for p in info.push), default=0.0) or 1.0
    columns: list[dict[str, Any]] = [
        {"title": words["lesson_shares"], "range": [0, 1.02], **ticks(0, 1, lambda v: f"{100 * v:.0f} %", 4)},
        {"title": words["lesson_push"], "range": [-1.12 * far, 1.12 * far], "zeroline": True,
         "zerolinecolor": colours.muted, **ticks(-far, far, lambda v: f"{v:g}", 4)},
    ]  # fmt: skip
    marked = [f"{n} ✓" if i == info.label else n for i, n in enumerate(info.names)]
    legend = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12, "color": colours.text}}
    shape = rows_layout(colours, marked, columns, ROW_PIXELS, showlegend=True, legend=legend)
    shape["height"] += 24
    return {"data": data, "layout": shape}


def alt_lesson(info: Lesson, labels: Labels | None = None) -> str:
    """The lesson for those who cannot see it."""
    words = labels_of(labels)
    order = sorted(range(len(info.push)), key=lambda i: -info.push[i])
    return words["alt_lesson"].format(
        label=info.names[info.label], share=format_share(info.student[info.label]), up=info.names[order[0]],
        down=info.names[order[-1]],
    )  # fmt: skip
