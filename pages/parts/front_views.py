"""Below the chart of *Front*: its points as a table, settings as parallel lines, which settings matter, longer runs."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from engine import api_chances, api_front, api_points, figures
from engine.api_points import View
from engine.figures.front_info import FrontInfo
from engine.figures.hover import quality_words
from engine.figures.pareto_info import cost_words
from engine.home import Home
from pages.parts import charts, control, frame, front_filters, front_longer, front_state, links, subject
from pages.parts.front_data import Shown
from pages.parts.front_state import TARGETS
from pages.parts.remembered import by_language
from pages.parts.words import count, find, labels, say, sentences

Row = Mapping[str, Any]
MOST_HEIGHT, ROW_PIXELS = 460, 36
POLL_SECONDS = 1.0
KEY = "front_view"


def panel(home: Home, shown: Shown, info: FrontInfo, chosen: str, theme: str) -> None:
    """The ``chosen`` view; only that one is made."""
    st.session_state[KEY] = chosen
    with control.container(border=True, key="front_views"):
        control.segmented_control(say("front_view.label"), front_state.VIEWS, key=KEY, required=True, on_change=_keep,
                                  format_func=lambda name: say(f"front_view.{name}"), help=say("front_view.help"),
                                  label_visibility="collapsed")  # fmt: skip
        if not len(info.xs):
            st.caption(say("front_view.empty"))
        elif chosen == "table":
            _table(home, shown, info)
        elif chosen == "parallel":
            _parallel(shown, theme)
        elif chosen == "longer":
            front_longer.panel(home, shown, theme)
        else:
            _importances(home, shown, theme)


def _keep() -> None:
    front_state.choose(view=st.session_state[KEY])


def _table(home: Home, shown: Shown, info: FrontInfo) -> None:
    st.caption(say("front_view.table_help"))
    rows, names = _front_rows(shown, info)
    scale = subject.scale()
    columns = {"page": [links.trial(str(r["key"])) for r in rows]}
    if len(info.lines) > 1:
        columns["series"] = names
    columns |= {
        "quality": [scale * r["quality"] for r in rows], "kilobytes": [r["packed_bytes"] / 1e3 for r in rows],
        "milliseconds": [r.get("latency_ms") for r in rows], "macs": [(r.get("macs") or 0) / 1e3 for r in rows],
    }  # fmt: skip
    columns |= _sure(home, shown, info, rows)
    words = ("student", "loss", "temperature", "pruning", "sparsity", "bits", "epochs", "origin", "machine")
    words = words if shown.view.machine == api_points.ANY else words[:-1]  # a column of equal words says nothing
    columns |= {name: [_worded(name, r.get(name)) for r in rows] for name in words}
    height = min(MOST_HEIGHT, ROW_PIXELS * (len(rows) + 1) + 4)
    control.dataframe(columns, key="front_table", hide_index=True, height=height, column_config=_columns(),
                      alt=say("front_view.table_alt", count=len(rows)))  # fmt: skip


def _worded(name: str, value: Any) -> Any:
    """Where a point comes from, as the other pages call it."""
    return (find(f"results_{name}.{value}") or value) if name == "origin" else value


def _sure(home: Home, shown: Shown, info: FrontInfo, rows: list[Row]) -> dict[str, list[Any]]:
    """How likely each point is on the front, its interval, and the cheapest that it cannot be told from."""
    scale, form = subject.scale(), subject.digits()
    ends = [(form % (scale * r["quality_low"]), form % (scale * r["quality_high"])) for r in rows]
    found: dict[str, list[Any]] = {"interval": [say("front_view.interval", low=low, high=high) for low, high in ends]}
    found["seeds"] = [r.get("seeds") or 1 for r in rows]
    if info.chance is None or len(info.lines) != 1:
        return found
    points = info.lines[0].points
    tied = _ties(home, rows, [float(x) for x in info.xs[points]], _told(shown, rows))
    found["chance"] = [float(c) for c in info.chance[points]]
    found["tied"] = [say("front_view.tied", quality=quality_words(rows[t]["quality"], info.metric),
                         cost=cost_words(float(info.xs[points[t]]), info.cost)) if t is not None else ""
                     for t in tied]  # fmt: skip
    return found


def _told(shown: Shown, rows: list[Row]) -> int:
    """Changes with the front's points, and not with the limits that somebody tries."""
    return hash((shown.table.version, shown.cost, tuple(row["key"] for row in rows)))


@st.cache_resource(max_entries=64, show_spinner=False)
def _ties(_home: Home, _rows: list[Row], _costs: list[float], stamp: int) -> list[int | None]:
    return api_chances.ties(_home, _rows, _costs)


def _front_rows(shown: Shown, info: FrontInfo) -> tuple[list[Row], list[str]]:
    """The rows of every front by rising cost, with the names of their series."""
    place = {str(row["key"])[: links.SHOWN_KEY]: row for row in shown.view.rows}
    pairs = [(place[info.keys[i]], line.name) for line in info.lines for i in line.points.tolist()]
    return [row for row, _ in pairs], [name for _, name in pairs]


def _columns() -> dict[str, Any]:
    number = functools.partial(st.column_config.NumberColumn)
    kinds: dict[str, Any] = {"quality": subject.digits(), "kilobytes": "%.2f", "milliseconds": "%.4f", "macs": "%.0f"}
    found = {name: number(say(f"front_column.{name}"), format=form) for name, form in kinds.items()}
    names = ("series", "student", "loss", "temperature", "pruning", "bits", "epochs", "origin", "machine")
    found |= {name: say(f"front_column.{name}") for name in names}
    found |= {n: st.column_config.TextColumn(say(f"front_column.{n}"), help=say(f"front_column.{n}_help"))
              for n in ("interval", "tied")}  # fmt: skip
    found["seeds"] = number(say("front_column.seeds"), help=say("front_column.seeds_help"))
    found["chance"] = number(say("front_column.chance"), format="percent", help=say("front_column.chance_help"))
    found["sparsity"] = number(say("front_column.sparsity"), format="percent")
    found["page"] = st.column_config.LinkColumn(say("front_column.page"), display_text=say("front_column.open"))
    return found


def _parallel(shown: Shown, theme: str) -> None:
    drawn, alt, total, left_out = _lines(shown, shown.stamp, theme)
    said = say("front_view.parallel_help", count=count(total))
    rest = say("front_view.parallel_rest", count=count(left_out)) if left_out else ""
    st.caption(sentences(said, rest))
    with control.container(key="front_parallel"):
        control.plotly_chart(drawn, key="chart_parallel", theme=None, config=charts.CONFIG, alt=alt)


@by_language(max_entries=32)
def _lines(_shown: Shown, stamp: int, theme: str) -> tuple[go.Figure, str, int, int]:
    info = figures.parallel_info(_shown.view.rows, _shown.cost, _shown.view.columns, quality=_shown.quality,
                                 direction=_shown.direction, metric=_shown.metric, labels=labels())  # fmt: skip
    drawn = figures.parallel_figure(info, theme, labels=labels())
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    return go.Figure(drawn), figures.alt_parallel(info, labels()), info.shown, info.left_out


def _importances(home: Home, shown: Shown, theme: str) -> None:
    """The child may need a few seconds: until then only this part asks again."""
    names = {"front": say("front_view.target_front"), "quality": front_filters.label("quality", shown.quality),
             "cost": front_filters.label("cost", shown.cost)}  # fmt: skip
    chosen = control.segmented_control(say("front_view.target"), TARGETS, key=front_state.hold("target"), required=True,
                                       format_func=names.__getitem__, help=say("front_view.target_help"),
                                       on_change=front_state.held, args=("target",))  # fmt: skip
    target = {"front": (shown.cost, shown.quality), "quality": (shown.quality,),
              "cost": (shown.cost,)}[chosen or TARGETS[0]]  # fmt: skip
    ready = api_front.importances(home, shown.table.task, target, shown.view, wait=False)
    if ready is None:
        _waiting(home, shown.table.task, target, shown.view)
    else:
        _bars(ready, shown, theme)


@st.fragment(run_every=POLL_SECONDS)
@frame.guarded
def _waiting(home: Home, task: str, target: tuple[str, ...], view: View) -> None:
    st.caption(say("front_view.counting"))
    if api_front.importances(home, task, target, view, wait=False) is not None:
        st.rerun()


def _bars(shares: Mapping[str, float], shown: Shown, theme: str) -> None:
    if not shares:
        st.caption(say("front_view.too_few"))
        return
    info = figures.importances_info(shares, labels())
    drawn = figures.importances_figure(info, theme, labels=labels())
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    alt = figures.alt_importances(info, labels())
    said = say("front_view.importances_help", count=count(min(len(shown.view.index), api_front.MOST_ROWS)))
    st.caption(said)
    with control.container(key="front_importances"):
        control.plotly_chart(drawn, key="chart_importances", theme=None, config=charts.CONFIG, alt=alt)
