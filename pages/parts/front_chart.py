"""The chart of *Front*: drawn once a change, a click opens the point's page, pictures and a page to take away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import plotly.io
import streamlit as st

from engine import figures
from engine.figures.front_figure import colour_of, symbol_of
from engine.figures.front_info import FrontInfo
from engine.figures.hover import quality_words
from engine.figures.pareto_info import cost_words
from engine.units import format_share
from pages.parts import carried, charts, control, front_filters, front_state, links, words
from pages.parts.drawing import Drawn
from pages.parts.front_data import Shown
from pages.parts.front_state import PICTURES
from pages.parts.remembered import by_language
from pages.parts.words import count, inside, say, sentences

HEIGHT = 430
OPENED = "_front_clicked"
RERUN: Any = "rerun"
PAPER = "theme.{theme}.backgroundColor"
PICTURE_SCALE = 2
SIGNS = {"circle": "●", "square": "■", "diamond": "◆", "triangle-up": "▲", "cross": "✚", "x": "✖"}


def info_of(shown: Shown) -> FrontInfo:
    """What the chart shows, remembered."""
    return _info(shown, shown.stamp)


def panel(shown: Shown, info: FrontInfo, theme: str) -> None:
    """Title, chart, one line of facts, what to take away."""
    with control.container(border=True, key="front_chart"):
        drawn, alt = _drawn(shown, info, shown.stamp, theme)
        named = charts.title(_title(shown), _sub(shown))
        if carried.presenting():
            st.html(named)
            kind = PICTURES[0]
        else:
            kind = _taken(shown, drawn, named)
        _clickable(drawn, alt, _config(shown, kind))
        _facts(shown, info, theme)


def _taken(shown: Shown, drawn: Drawn, named: str) -> str:
    """The title, and beside it what can be taken away; the kind of picture that the camera makes."""
    title, picture, page = st.columns([5, 1.25, 1.25], vertical_alignment="center")
    title.html(named)
    with picture:
        kind = control.segmented_control(say("front_chart.picture"), PICTURES, key=front_state.hold("picture"),
                                         format_func=str.upper, help=say("front_chart.picture_help"), required=True,
                                         on_change=front_state.held, args=("picture",), label_visibility="collapsed",
                                         width="stretch")  # fmt: skip
    with page:
        control.download_button(say("front_chart.page"), _page(drawn), file_name=f"{_file(shown)}.html",
                                mime="text/html", width="stretch", key="front_page", help=say("front_chart.page_help"),
                                on_click="ignore")  # fmt: skip
    return kind or PICTURES[0]


def clicked(event: Any, name: str) -> None:
    """Open the page of the point behind a click; a selection stays with its chart, so it opens the page once."""
    key = figures.key_of(event)
    if key and st.session_state.get(OPENED) != (name, key):
        st.session_state[OPENED] = (name, key)
        links.go("trial", {"key": key[: links.SHOWN_KEY]})
    if not key and st.session_state.get(OPENED, ("",))[0] == name:
        st.session_state.pop(OPENED, None)


def _clickable(drawn: Drawn, alt: str, config: Mapping[str, Any]) -> None:
    place: Any = {"height": "stretch"} if carried.presenting() else {}
    event = control.plotly_chart(drawn, key="chart_front", theme=None, on_select=RERUN, selection_mode="points",
                                 config=dict(config), alt=alt, **place)  # fmt: skip
    clicked(event, "front")


@by_language(max_entries=24)
def _info(_shown: Shown, stamp: int) -> FrontInfo:
    answer = _shown.answer or {}
    limits, at_least = _shown.limits
    best, second = (str(row["key"]) if (row := answer.get(name)) else None for name in ("best", "runner_up"))
    return figures.front_info(
        _shown.view.rows, _shown.cost, _shown.view.columns, quality=_shown.quality, direction=_shown.direction,
        counts=_shown.view.full, series=_shown.series, limit=limits.get(_shown.cost), at_least=at_least,
        inside=_shown.inside, best=best, runner_up=second, box=_shown.box, metric=_shown.metric, labels=words.labels(),
        chances=_shown.chances,
    )  # fmt: skip


@by_language(max_entries=24)
def _drawn(_shown: Shown, _info: FrontInfo, stamp: int, theme: str) -> tuple[Drawn, str]:
    paper = str(st.get_option(PAPER.format(theme=theme)) or "")
    more = {"paper": paper} if paper else {}
    drawn = figures.front_figure(_info, theme, labels=words.labels(), height=HEIGHT, **more)
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    if not len(_info.xs):
        drawn["layout"]["annotations"] = [{"text": say("front_chart.empty"), "xref": "paper", "yref": "paper", "x": 0.5,
                                           "y": 0.5, "showarrow": False}]  # fmt: skip
    return Drawn(drawn), figures.alt_front(_info, words.labels())


def _title(shown: Shown) -> str:
    quality, cost = front_filters.label("quality", shown.quality), front_filters.label("cost", shown.cost)
    return escape(say("front_chart.title", quality=quality, cost=inside(cost)))


def _sub(shown: Shown) -> str:
    away = shown.view.foreign
    said = say("front_chart.sub")
    if away and shown.cost.startswith("latency"):
        name = next((m["name"] for m in shown.table.machines if m["id"] == shown.view.machine), shown.view.machine)
        said = sentences(said, say("front_chart.foreign", count=count(away), name=name))
    return escape(said)


def _facts(shown: Shown, info: FrontInfo, theme: str) -> None:
    """One line a front: how many points, its knee, the share of the box that it dominates."""
    lines = "".join(_fact(info, i, theme) for i in range(len(info.lines)))
    st.html(f'<div class="sh-fronts">{lines}</div>')
    low, high, worst, best = info_box(shown)
    if len(info.xs) and not carried.presenting():
        said = say("front_chart.share_help", low=cost_words(low, shown.cost), high=cost_words(high, shown.cost),
                   worst=quality_words(worst, info.metric), best=quality_words(best, info.metric))  # fmt: skip
        st.caption(said)


def info_box(shown: Shown) -> tuple[float, float, float, float]:
    """The corners of what a front can dominate."""
    return shown.box


def _fact(info: FrontInfo, position: int, theme: str) -> str:
    line = info.lines[position]
    own = line.style == "front"
    sign = "" if own else f'<b style="color:{colour_of(line.style, theme)}">{SIGNS[symbol_of(line.style)]}</b> '
    total = sum(len(g.rest) + len(g.front) for g in info.groups if own or g.style == line.style)
    said = say(
        "front_chart.own" if own else "front_chart.line",
        points=count(total),
        front=count(len(line.points)),
        share=format_share(line.share),
    )
    if line.knee is not None:
        quality = quality_words(float(info.ys[line.knee]), info.metric)
        said += say("front_chart.knee", quality=quality, cost=cost_words(float(info.xs[line.knee]), info.cost))
    name = "" if own else f"<b>{escape(line.name)}</b>: "
    return f"<div>{sign}{name}{escape(said)}</div>"


def _config(shown: Shown, kind: str) -> dict[str, Any]:
    """Plotly's own camera makes the picture, in the browser."""
    picture = {"format": kind, "filename": _file(shown), "scale": PICTURE_SCALE if kind == "png" else 1}
    return {"displaylogo": False, "scrollZoom": False, "doubleClick": "reset", "displayModeBar": True,
            "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
            "toImageButtonOptions": picture}  # fmt: skip


def _page(drawn: Drawn) -> Callable[[], str]:
    """A page with the chart and all that draws it inside: written when it is asked for, works without any network."""

    def write() -> str:
        return str(plotly.io.to_html(drawn, include_plotlyjs=True, full_html=True, config={"displaylogo": False}))

    return write


def _file(shown: Shown) -> str:
    return f"stillhouse-{shown.table.task}-{shown.quality}-{shown.cost}"
