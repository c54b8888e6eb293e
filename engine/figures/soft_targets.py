"""Bars of a teacher's soft targets: softmax(logits / T), and how temperature spreads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.errors import InputError
from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of
from engine.units import format_share

ALT_BARS = 3


class SoftTargets(NamedTuple):
    """``shares`` sum to one; ``label`` is the hard label's class or None; ``entropy`` is in bits."""

    temperature: float
    names: tuple[str, ...]
    shares: tuple[float, ...]
    label: int | None
    top: int
    entropy: float


def soft_targets(logits: Sequence[float], temperature: float) -> tuple[float, ...]:
    """softmax(logits / temperature), Hinton et al. 2015 (arXiv:1503.02531), equation 1; safe for large logits."""
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError("temperature", temperature, "a number above 0")
    highest = max(logits)
    powers = [math.exp((value - highest) / temperature) for value in logits]
    total = math.fsum(powers)
    return tuple(p / total for p in powers)


def soft_targets_info(
    logits: Sequence[float], temperature: float, names: Sequence[str], label: int | None = None
) -> SoftTargets:
    """What the bars show. ``logits`` and ``names`` hold one entry a class."""
    if len(logits) != len(names) or not logits:
        raise ValueError(f"{len(logits)} logits and {len(names)} class names; there must be one of each a class")
    shares = soft_targets([float(v) for v in logits], temperature)
    top = max(range(len(shares)), key=lambda i: shares[i])
    entropy = -math.fsum(p * math.log2(p) for p in shares if p > 0)
    return SoftTargets(float(temperature), tuple(names), shares, label, top, entropy + 0.0)


def soft_targets_figure(
    info: SoftTargets, theme: Theme | str = "light", *, labels: Labels | None = None, height: int = 300
) -> dict[str, Any]:
    """Horizontal bars, first class on top; the hard label is named and outlined."""
    colours, words = theme_of(theme), labels_of(labels)
    marked = [f"<b>{n}</b> ({words['soft_label']})" if i == info.label else n for i, n in enumerate(info.names)]
    bars = {
        "type": "bar", "orientation": "h", "x": list(info.shares), "y": list(range(len(info.names))),
        "text": [format_share(p) for p in info.shares], "textposition": "outside", "cliponaxis": False,
        "textfont": {"color": colours.text},
        "hovertext": [words["soft_bar"].format(name=n, share=format_share(p))
                      for n, p in zip(info.names, info.shares, strict=True)],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"color": [colours.teacher if i == info.label else colours.rest for i in range(len(info.names))],
                   "line": {"width": [2 if i == info.label else 0 for i in range(len(info.names))],
                            "color": colours.text}},
    }  # fmt: skip
    x_title = words["soft_x"].format(temperature=f"{info.temperature:g}")
    x_axis = axis(colours, x_title, range=[0, 1.12], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    y_axis = axis(colours, "", tickmode="array", tickvals=list(range(len(info.names))), ticktext=marked,
                  autorange="reversed", showgrid=False, ticks="")  # fmt: skip
    shape = layout(colours, height, xaxis=x_axis, yaxis=y_axis, bargap=0.25, dragmode=False)
    return {"data": [bars], "layout": shape}


def alt_text(info: SoftTargets, labels: Labels | None = None) -> str:
    """The bars for those who cannot see them: the largest ones and the label."""
    words = labels_of(labels)
    order = sorted(range(len(info.shares)), key=lambda i: -info.shares[i])[:ALT_BARS]
    bars = ", ".join(words["soft_bar"].format(name=info.names[i], share=format_share(info.shares[i])) for i in order)
    label = "-" if info.label is None else info.names[info.label]
    return words["alt_soft"].format(temperature=f"{info.temperature:g}", bars=bars, label=label)
