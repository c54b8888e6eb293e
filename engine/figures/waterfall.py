"""What each step of a trial cost: quality, bytes and time after it, and how far it moved each of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from engine.figures.hover import quality_words
from engine.figures.labels import Labels, labels_of
from engine.figures.panes import axis_name, rows_layout, ticks
from engine.figures.theme import Theme, theme_of
from engine.units import format_bytes, format_ms

Row = Mapping[str, Any]
Change = Literal["first", "better", "worse", "level"]
MEASURES = ("quality", "packed_bytes", "latency_ms")
SAME = {"quality": 0.0005, "packed_bytes": 1.005, "latency_ms": 1.02}
UNSURE_RATIO = 1.05  # of times without an interval: timing stops when it is known to 5 %
ROW_PIXELS, QUALITY_MARGIN = 52, 0.12


class Step(NamedTuple):
    """One measure after one step. ``start`` is the value before it (None for the first step), ``said`` the change.

    ``low`` and ``high`` are the 95 % interval, None where there is none. ``simulated``: not this number format's time.
    """

    value: float
    low: float | None
    high: float | None
    start: float | None
    change: Change
    said: str
    simulated: bool


class Pane(NamedTuple):
    """One measure through all steps (None: not measured there) and the ends of its axis."""

    measure: str
    steps: tuple[Step | None, ...]
    low: float
    high: float


class Waterfall(NamedTuple):
    """``names`` of the steps in order; ``panes`` hold one step for each of them."""

    metric: str
    names: tuple[str, ...]
    panes: tuple[Pane, ...]


def waterfall_info(
    phases: Sequence[Row], metric: str = "accuracy", direction: str = "maximize", *, labels: Labels | None = None
) -> Waterfall:
    """``phases`` is the list of an inspection: name, quality, packed_bytes, latency_ms with their intervals.

    The first row is the dense student. Bytes and time are better when they fall, quality by its ``direction``.
    """
    words = labels_of(labels)
    panes = [_pane(phases, measure, direction, words) for measure in MEASURES]
    return Waterfall(metric, tuple(str(p["name"]) for p in phases), tuple(p for p in panes if any(p.steps)))


def waterfall_figure(
    info: Waterfall, theme: Theme | str = "light", *, labels: Labels | None = None
) -> dict[str, Any]:  # fmt: skip
    """One chart a measure over the same steps, as a plotly dict; a bar is the change, a mark the value after it."""
    colours, words = theme_of(theme), labels_of(labels)
    columns, data, notes = [], [], []
    for i, pane in enumerate(info.panes):
        title = words[f"step_{pane.measure}"].format(metric=words[f"metric_{info.metric}"])
        scale = ticks(pane.low, pane.high, lambda v, m=pane.measure: _tick(m, v, info.metric))  # type: ignore[misc]
        columns.append({"title": title, "range": [pane.low, pane.high], **scale})
        data += [_bars(pane, i, colours), _marks(pane, i, colours, info, words)]
        notes += _notes(pane, i, colours, info.metric)
    shape = rows_layout(colours, info.names, columns, ROW_PIXELS, annotations=notes, bargap=0.72, barmode="overlay")
    return {"data": data, "layout": shape}


def alt_text(info: Waterfall, labels: Labels | None = None) -> str:
    """The steps for those who cannot see them."""
    words = labels_of(labels)
    if not info.names:
        return words["alt_steps_empty"]
    said = []
    for i, name in enumerate(info.names):
        values = [_words(p.measure, s, info.metric) for p in info.panes if (s := p.steps[i])]
        said.append(words["alt_step"].format(name=name, values=", ".join(values)))
    return words["alt_steps"].format(count=len(info.names), steps="; ".join(said))


def _pane(phases: Sequence[Row], measure: str, direction: str, words: Labels) -> Pane:
    steps: list[Step | None] = []
    last: Step | None = None
    for phase in phases:
        step = _step(phase, measure, last, direction, words)
        steps.append(step)
        last = step or last
    low, high = _span(measure, [s for s in steps if s])
    return Pane(measure, tuple(steps), low, high)


def _step(phase: Row, measure: str, last: Step | None, direction: str, words: Labels) -> Step | None:
    value = _number(phase.get(measure))
    if value is None:
        return None
    name, unit = (measure[:-3], "_ms") if measure == "latency_ms" else (measure, "")
    low, high = (_number(phase.get(f"{name}_{end}{unit}")) for end in ("low", "high"))
    simulated = measure == "latency_ms" and bool(phase.get("simulated"))
    step = Step(value, low, high, None, "first", words["step_simulated_short"] if simulated else "", simulated)
    if last is None:
        return step
    change = _change(measure, last, step, direction)
    said = step.said or _said(measure, last.value, value, change, words)
    return step._replace(start=last.value, change=change, said=said)


def _change(measure: str, before: Step, after: Step, direction: str) -> Change:
    if measure == "quality":
        gained = after.value - before.value if direction == "maximize" else before.value - after.value
        return "level" if abs(gained) < SAME[measure] else "better" if gained > 0 else "worse"
    if before.value <= 0 or after.value <= 0:
        return "level"
    ratio = before.value / after.value
    if max(ratio, 1 / ratio) < SAME[measure] or (measure == "latency_ms" and not _apart(before, after)):
        return "level"
    return "better" if ratio > 1 else "worse"


def _apart(one: Step, other: Step) -> bool:
    """Whether two times differ for sure: their intervals do not touch (stricter than a paired comparison)."""
    if None in (one.low, one.high, other.low, other.high):
        return max(one.value, other.value) > UNSURE_RATIO * min(one.value, other.value)
    return bool(one.low > other.high or other.low > one.high)  # type: ignore[operator]


def _said(measure: str, before: float, after: float, change: Change, words: Labels) -> str:
    if change == "level":
        return words[f"step_level_{measure}"]
    if measure == "quality":
        sign = "+" if after >= before else "−"
        return words["step_points"].format(points=f"{sign}{100 * abs(after - before):.1f}")
    ratio = max(before / after, after / before)
    shown = f"{ratio:.2f}" if ratio < 1.1 else f"{ratio:.2g}" if ratio < 100 else f"{ratio:.0f}"
    return words[f"step_{change}_{measure}"].format(ratio=shown)


def _span(measure: str, steps: Sequence[Step]) -> tuple[float, float]:
    """Sizes and times start at zero; quality is shown around its own values, where its differences can be seen."""
    ends = [v for s in steps for v in (s.value, s.low, s.high) if v is not None] or [0.0, 1.0]
    low, high = min(ends), max(ends)
    if measure != "quality":
        return 0.0, high * 1.08 or 1.0
    margin = max((high - low) * QUALITY_MARGIN, 0.002)
    return low - margin, high + margin


def _bars(pane: Pane, number: int, theme: Theme) -> dict[str, Any]:
    """The change of each step; the first bar reaches from zero, where the axis has a zero."""
    paint = {"first": theme.rest, "better": theme.front, "worse": theme.slower, "level": theme.muted}
    shown = [(i, s) for i, s in enumerate(pane.steps) if s and (s.start is not None or pane.low == 0.0)]
    return {
        "type": "bar", "orientation": "h", "xaxis": axis_name(number), "hoverinfo": "skip",
        "y": [i for i, _ in shown], "base": [s.start or 0.0 for _, s in shown],
        "x": [s.value - (s.start or 0.0) for _, s in shown],
        "marker": {"color": [paint[s.change] for _, s in shown], "line": {"width": 0}},
    }  # fmt: skip


def _marks(pane: Pane, number: int, theme: Theme, info: Waterfall, words: Labels) -> dict[str, Any]:
    shown = [(i, s) for i, s in enumerate(pane.steps) if s]
    both = [(s.low, s.high, s.value) for _, s in shown]
    hover = [_hover(info.names[i], pane.measure, s, info.metric, words) for i, s in shown]
    return {
        "type": "scatter", "mode": "markers", "xaxis": axis_name(number), "cliponaxis": False,
        "x": [s.value for _, s in shown], "y": [i for i, _ in shown], "hovertext": hover,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"size": 9, "color": theme.text, "line": {"width": 1.5, "color": theme.text},
                   "symbol": ["diamond-open" if s.simulated else "diamond" for _, s in shown]},
        "error_x": {"type": "data", "symmetric": False, "color": theme.text, "thickness": 1.2, "width": 3,
                    "array": [0.0 if high is None else high - v for _, high, v in both],
                    "arrayminus": [0.0 if low is None else v - low for low, _, v in both]},
    }  # fmt: skip


def _notes(pane: Pane, number: int, theme: Theme, metric: str) -> list[dict[str, Any]]:
    """The value and its change above each bar, at the left edge, where nothing else is."""
    return [
        {"xref": f"{axis_name(number)} domain", "yref": "y", "x": 0.015, "y": i - 0.3, "showarrow": False,
         "xanchor": "left", "yanchor": "middle", "text": _words(pane.measure, step, metric, bold=True),
         "font": {"size": 12, "color": theme.text}}
        for i, step in enumerate(pane.steps) if step
    ]  # fmt: skip


def _words(measure: str, step: Step, metric: str, bold: bool = False) -> str:
    value = _write(measure, step.value, metric)
    shown = f"<b>{value}</b>" if bold else value
    return f"{shown} ({step.said})" if step.said else shown


def _hover(name: str, measure: str, step: Step, metric: str, words: Labels) -> str:
    lines = [words["step_after"].format(name=name), _words(measure, step, metric, bold=True)]
    if step.low is not None and step.high is not None:
        ends = [_write(measure, v, metric) for v in (step.low, step.high)]
        lines.append(words["step_interval"].format(low=ends[0], high=ends[1]))
    if step.simulated:
        lines.append(words["step_simulated"])
    return "<br>".join(lines)


def _write(measure: str, value: float, metric: str) -> str:
    if measure == "quality":
        return quality_words(value, metric)
    return format_bytes(value) if measure == "packed_bytes" else format_ms(value)


def _tick(measure: str, value: float, metric: str) -> str:
    if measure == "quality" and metric == "accuracy":
        return f"{100 * value:.3g} %"
    return "0" if value == 0 else _write(measure, value, metric)


def _number(value: Any) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
