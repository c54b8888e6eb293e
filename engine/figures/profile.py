"""Time of a call by operator, for a network and its dense student; conversions between formats are hatched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.figures.labels import Labels, labels_of
from engine.figures.panes import rows_layout, ticks
from engine.figures.theme import Theme, theme_of
from engine.units import format_ms, format_share

Row = Mapping[str, Any]
SIDES = ("student", "dense")
CONVERSION, KINDS = "conversion", ("integer", "float", "conversion", "other")
REST = ""  # the row of what no operator takes: ONNX Runtime itself
ROW_PIXELS, LEGEND, ROOM, MOST = 36, 34, 1.14, 14


class Operators(NamedTuple):
    """All operators of one type: how many of them and their milliseconds a call, each by side (student, dense)."""

    op: str
    kind: str
    counts: Mapping[str, int]
    times: Mapping[str, float]


class ProfileInfo(NamedTuple):
    """``rows`` by falling time, last what ONNX Runtime itself takes, if known; ``totals`` and ``shares`` by side."""

    batch: int
    rows: tuple[Operators, ...]
    totals: Mapping[str, float]
    shares: Mapping[str, Mapping[str, float]]


def profile_info(sides: Mapping[str, Row]) -> ProfileInfo:
    """``sides``: ``student`` and maybe ``dense``, each a profile as plain data (:mod:`engine.measure.profile`)."""
    grouped: dict[tuple[str, str], dict[str, list[float]]] = {}
    for side, found in sides.items():
        for node in found["nodes"]:
            grouped.setdefault((node["op"], node["kind"]), {}).setdefault(side, []).append(node["milliseconds"])
    rows = [
        Operators(op, kind, {s: len(t) for s, t in by.items()}, {s: sum(t) for s, t in by.items()})
        for (op, kind), by in grouped.items()
    ]
    rows.sort(key=lambda r: -max(r.times.values()))
    rows = [*rows[: MOST - 1], _others(rows[MOST - 1 :])] if len(rows) > MOST else rows
    totals = {s: float(p["milliseconds"]) for s, p in sides.items()}
    rest = {s: max(0.0, totals[s] - sum(n["milliseconds"] for n in p["nodes"])) for s, p in sides.items()}
    if max(rest.values(), default=0.0) > 0:
        rows.append(Operators(REST, "other", {}, rest))
    shares = {s: {k: _share(p, k) for k in KINDS} for s, p in sides.items()}
    batch = next((int(p["batch"]) for p in sides.values()), 1)
    return ProfileInfo(batch, tuple(rows), totals, shares)


def profile_figure(info: ProfileInfo, theme: Theme | str = "light", *, labels: Labels | None = None) -> dict[str, Any]:
    """Two bars for each type of operator, as a plotly dict."""
    colours, words = theme_of(theme), labels_of(labels)
    high = max((t for r in info.rows for t in r.times.values()), default=0.0) or 1.0
    paint = {"student": colours.front, "dense": colours.dense}
    data: list[dict[str, Any]] = []
    for side in (s for s in SIDES if s in info.totals):
        for hatched in (False, True):
            rows = [(i, r) for i, r in enumerate(info.rows) if side in r.times and (r.kind == CONVERSION) == hatched]
            marker: dict[str, Any] = {"color": paint[side], "line": {"width": 1, "color": paint[side]}}
            if hatched:
                marker |= {"pattern": {"shape": "/", "fgcolor": paint[side], "bgcolor": colours.panel, "size": 6,
                                       "solidity": 0.35, "fillmode": "replace"}}  # fmt: skip
            name = words[f"profile_{side}"]
            data.append({
                "type": "bar", "orientation": "h", "x": [r.times[side] for _, r in rows], "y": [i for i, _ in rows],
                "name": words["profile_conversion"].format(name=name) if hatched else name, "constraintext": "none",
                "offset": [_place(r, side)[0] for _, r in rows], "width": [_place(r, side)[1] for _, r in rows],
                "marker": marker, "hovertext": [_hover(info, r, side, words) for _, r in rows],
                "hovertemplate": "%{hovertext}<extra></extra>", "text": [format_ms(r.times[side]) for _, r in rows],
                "textposition": "outside", "textfont": {"color": colours.muted, "size": 11}, "cliponaxis": False,
                "showlegend": bool(rows),
            })  # fmt: skip
    names = [words["profile_rest"] if r.op == REST else r.op for r in info.rows]
    column = {"title": words["axis_profile"], "range": [0, high * ROOM], **ticks(0, high * ROOM, _tick)}
    drawn = rows_layout(colours, names, [column], ROW_PIXELS, barmode="overlay")
    legend = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"color": colours.text, "size": 12},
              "itemclick": False, "itemdoubleclick": False}  # fmt: skip
    drawn |= {"showlegend": True, "legend": legend, "height": drawn["height"] + LEGEND}
    drawn["margin"] = {**drawn["margin"], "t": LEGEND}
    return {"data": data, "layout": drawn}


def alt_text(info: ProfileInfo, labels: Labels | None = None) -> str:
    """The figure in words."""
    words = labels_of(labels)
    known = [r for r in info.rows if r.op != REST and r.times.get("student")]
    if not known:
        return words["alt_profile_empty"]
    most = max(known, key=lambda r: r.times["student"])
    shares = {k: format_share(v) for k, v in info.shares["student"].items()}
    said = words["alt_profile"].format(total=format_ms(info.totals["student"]), op=most.op, batch=info.batch,
                                       took=format_ms(most.times["student"]), **shares)  # fmt: skip
    if "dense" in info.totals:
        said += " " + words["alt_profile_dense"].format(total=format_ms(info.totals["dense"]))
    return said


def _others(rows: list[Operators]) -> Operators:
    """What is too small for a row of its own, together."""
    sides = sorted({s for r in rows for s in r.times})
    counts = {s: sum(r.counts.get(s, 0) for r in rows) for s in sides}
    return Operators("…", "other", counts, {s: sum(r.times.get(s, 0.0) for r in rows) for s in sides})


def _share(profile: Row, kind: str) -> float:
    whole = float(profile["milliseconds"]) or 1.0
    return sum(float(n["milliseconds"]) for n in profile["nodes"] if n["kind"] == kind) / whole


def _place(row: Operators, side: str) -> tuple[float, float]:
    """Where a bar begins beside its row's middle, and its thickness: one bar in the middle, or two around it."""
    if len(row.times) == 1:
        return -0.2, 0.4
    return (-0.38, 0.36) if side == SIDES[0] else (0.02, 0.36)


def _tick(value: float) -> str:
    return format_ms(value) if value else "0"


def _hover(info: ProfileInfo, row: Operators, side: str, words: Labels) -> str:
    share = format_share(row.times[side] / (info.totals[side] or 1.0))
    name = words["profile_rest"] if row.op == REST else row.op.replace("<", "&lt;")
    return words["profile_hover"].format(
        name=name, kind=words[f"profile_kind_{row.kind}"], side=words[f"profile_{side}"],
        time=format_ms(row.times[side]), share=share, count=row.counts.get(side, 1),
    )  # fmt: skip
