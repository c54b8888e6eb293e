"""The class chart: everybody's measured points since the host cleared it, one's own marked; alone, simply one's own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from engine import api, api_class, api_points
from engine.api_class import Asked, Board
from engine.errors import unknown_name
from engine.figures.class_points import alt_text, class_figure, class_info
from engine.home import Home
from engine.units import format_bytes, format_ms
from pages.parts import carried, charts, control, details, frame, links, points, story, subject, who
from pages.parts.drawing import Drawn
from pages.parts.remembered import by_language
from pages.parts.words import count, labels, line, say

COST, ASKED = "class_cost", "_class_cost_asked"  # the first is its name in the address too
COSTS = ("packed_bytes", "latency_ms")
LIVE_SECONDS = 3.0
LISTED = 40  # rows of the table, the best first
HEIGHT, LETTERS = 360, 13
LARGE_HEIGHT, LARGE_LETTERS = 500, 18


def panel(home: Home, task: str, look: str) -> None:
    """The chart of a task, drawn again every three seconds while somebody's work runs, and for who teaches."""
    live = _live(home)
    st.fragment(frame.guarded(_panel), run_every=LIVE_SECONDS if live else None)(home, task, look, live)


def presented() -> bool:
    """Whether this page is shown to a room."""
    return carried.presenting()


def watching() -> bool:
    """Whether the reader follows the class: before a room, or as the host of one."""
    return presented() or (who.shared() and who.is_host())


def called(board: Board, person: str) -> str:
    """What a reader is told of a person: "you", the name that they typed, else a short made-up one."""
    if person == who.who():
        return say("class_chart.you")
    guest = say("class_chart.machine") if person == api.LOCAL else say("who.guest", short=person[:4])
    return board.names.get(person) or guest


def _live(home: Home) -> bool:
    return watching() or api_points.busy(home)


def _panel(home: Home, task: str, look: str, live: bool) -> None:
    board = api_class.board(home, task)
    with control.container(border=True, key="class_chart"):
        cost = _head(home, board)
        shown = _drawn(
            board, board.stamp, who.who(), who.shared(), cost, look, presented(), _measure(), _teacher(home, task)
        )
        control.plotly_chart(shown[0], key="chart_class", theme=None, config=charts.CONFIG, alt=shown[1])
        st.caption(_facts(board))
        if board.points:
            with control.expander(say("class_chart.list"), key="class_list"):
                st.html(_table(board, board.stamp, who.who(), who.shared()))
    if live and not _live(home):
        st.rerun()  # nothing is on its way any more: the page is drawn once more and then rests


def _head(home: Home, board: Board) -> str:
    """The title, which cost is shown, and for the host the way to begin anew; the cost."""
    title, which, begin = st.columns([3.4, 1.5, 1.1], vertical_alignment="center")
    kind = "class" if who.shared() else "alone"
    title.html(charts.title(say(f"class_chart.title_{kind}"), _since(board, kind)))
    with which:
        cost = _cost()
    if who.is_host():
        with begin, control.popover(say("class_chart.clear"), key="class_clear", help=say("class_chart.clear_help"),
                           width="stretch"):  # fmt: skip
            st.markdown(say("class_chart.clear_sure"))
            control.button(say("class_chart.clear_yes"), key="class_clear_yes", type="primary", on_click=_clear,
                      args=(home,), help=say("class_chart.clear_help"))  # fmt: skip
    return cost


def _cost() -> str:
    """The cost that the chart shows, which the address says where it is not the usual one."""
    asked = st.query_params.get(COST, COSTS[0])
    if asked != st.session_state.get(ASKED):
        st.session_state[ASKED], st.session_state[COST] = asked, asked if asked in COSTS else COSTS[0]
    elif COST not in st.session_state:  # the widget was not drawn for a while and has forgotten
        st.session_state[COST] = asked if asked in COSTS else COSTS[0]
    control.segmented_control(say("class_chart.cost"), COSTS, key=COST, required=True, width="stretch",
                              format_func=lambda name: say(f"class_chart.{name}"), label_visibility="collapsed",
                              on_change=_chosen, help=say("class_chart.cost_help"))  # fmt: skip
    if asked not in COSTS:
        st.warning(say("url.kept", problem=line(unknown_name(say("url.where", name=COST), asked[:40], COSTS))))
    return str(st.session_state[COST])


def _chosen() -> None:
    chosen = st.session_state[ASKED] = str(st.session_state[COST])
    if chosen != COSTS[0]:
        st.query_params[COST] = chosen
    else:
        st.query_params.pop(COST, None)


def _since(board: Board, kind: str) -> str:
    if not board.since:
        return say(f"class_chart.sub_{kind}")
    return say(f"class_chart.since_{kind}", when=details.when(board.since))


def _clear(home: Home) -> None:
    """A press may come from a page that was drawn for a host who is none any more: asked again here."""
    with frame.told():
        api_class.clear(home, who.is_host())


def _facts(board: Board) -> str:
    """How much there is, and what is still to come."""
    said = [say("class_chart.points", points=count(len(board.points)))]
    if who.shared():
        said = [say("class_chart.people", points=count(len(board.points)), people=count(board.people))]
    if board.waiting:
        said.append(say("class_chart.waiting", count=count(board.waiting)))
    return say("class_chart.join").join(said)


def _measure() -> tuple[str, str]:
    return subject.metric(), subject.direction()


def _teacher(home: Home, task: str) -> float | None:
    found = points.teacher_of(api.rows(home, task, ("trial", "shipped")))
    return float(found["quality"]) if found else None


@by_language(max_entries=128)
def _drawn(_board: Board, stamp: int, me: str, shared: bool, cost: str, look: str, large: bool,
           measure: tuple[str, str], teacher: float | None) -> tuple[Drawn, str]:  # fmt: skip
    """The chart as one person sees it; equal boards are drawn once for each."""
    rows, names = [p.row for p in _board.points], [_names(_board, p) if shared else [] for p in _board.points]
    mine = [me in p.people or not shared for p in _board.points]
    spoken = labels()
    info = class_info(rows, names, mine, cost, people=_board.people, metric=measure[0], direction=measure[1],
                      teacher=teacher, labels=spoken)  # fmt: skip
    height, size = (LARGE_HEIGHT, LARGE_LETTERS) if large else (HEIGHT, LETTERS)
    drawn = class_figure(info, look, labels=spoken, height=height, size=size)
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    return Drawn(drawn), alt_text(info, spoken)


def _names(board: Board, point: Asked) -> list[str]:
    """Who asked for a point, oneself first."""
    me = who.who()
    return [called(board, person) for person in sorted(point.people, key=lambda person: person != me)]


@by_language(max_entries=64)
def _table(_board: Board, stamp: int, me: str, shared: bool) -> str:
    """The points in words, the best first: for who sees no chart, and as links to each point's page."""
    sign = 1 if subject.direction() == "maximize" else -1
    best = sorted(_board.points, key=lambda p: -sign * p.row["quality"])[:LISTED]
    head = "".join(f"<th>{escape(say(f'class_chart.{name}'))}</th>" for name in _columns(shared))
    body = "".join(_line(_board, point, me, shared) for point in best)
    more = len(_board.points) - len(best)
    rest = f"<p>{escape(say('class_chart.more', count=count(more)))}</p>" if more > 0 else ""
    return f'<table class="sh-class"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}'


def _columns(shared: bool) -> Sequence[str]:
    return ("settings", "quality", "packed_bytes", "latency_ms", *(("who",) if shared else ()))


def _line(board: Board, point: Asked, me: str, shared: bool) -> str:
    row: Any = point.row
    link = f'<a href="{escape(links.trial(row["key"]))}" target="_self">{escape(story.recipe_words(row))}</a>'
    time = format_ms(row["latency_ms"]) if row.get("latency_ms") else ""
    cells = [link, escape(subject.quality(row)), escape(format_bytes(row["packed_bytes"])), escape(time)]
    if shared:
        cells.append(escape(say("story.comma").join(_names(board, point))))
    own = ' class="sh-own"' if shared and me in point.people else ""
    return f"<tr{own}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
