"""Below the chart of *Front*: try the finalists for longer, and how far short runs can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from engine import api, api_longer, figures
from engine.errors import InputError, StillhouseError
from engine.figures.hover import quality_words
from engine.home import Home
from engine.units import format_seconds
from pages.parts import catalogue_words, charts, control, frame, front_chart, front_state, links, story, subject, who
from pages.parts.front_data import Shown
from pages.parts.front_state import MOST_COUNT, USUAL_TIMES
from pages.parts.remembered import by_language
from pages.parts.words import count, find, labels, line, say, sentences

ROW_PIXELS = 35
NO_ADVICE = ("weak", "unsure", "few")
Json = Mapping[str, Any]


def panel(home: Home, shown: Shown, theme: str) -> None:
    """The choice of finalists with what they would take; below it how well short runs ranked long ones."""
    _finalists(home, shown)
    try:
        answer = api_longer.short_and_long(home, shown.table.task)
    except StillhouseError as problem:
        st.warning(line(problem))
        return
    st.html(f'<h3 class="sh-group">{escape(say("front_longer.trust_title"))}</h3>')
    if not answer["steps"]:
        st.caption(say("front_longer.no_pairs"))
        return
    step = _step(answer["steps"])
    st.html(f'<p class="sh-story">{story.html(advice(step, answer["metric"], answer["trusted"]))}</p>')
    knobs = _knob_words(step["knobs"])
    if knobs:
        st.html(f'<p class="sh-sub">{story.html(knobs)}</p>')
    _figures(answer, step, shown, theme)
    _table(step, answer["metric"])
    st.caption(_sources(answer, step))


def advice(step: Json, metric: str, trusted: float) -> str:
    """What to make of short runs, in two sentences with ** around what matters; or why no advice is given."""
    whole = step["whole"]
    if whole["verdict"] == "few":
        return say("front_longer.few", pairs=count(whole["pairs"]), units=count(whole["units"]))
    numbers = say("front_longer.numbers", value=_rho(whole["spearman"]), low=_rho(whole["low"]),
                  high=_rho(whole["high"]), pairs=count(whole["pairs"]))  # fmt: skip
    if whole["verdict"] in NO_ADVICE:
        return say(f"front_longer.{whole['verdict']}", numbers=numbers, trusted=_rho(trusted))
    regret, tries = _points(whole["regret"], metric), whole["tries"]
    cost = say("front_longer.cost", regret=regret)
    if tries > 1:
        left = _points(whole["tops"][tries], metric)
        cost = say("front_longer.cost_more", regret=regret, tries=count(tries), left=left)
    return sentences(say(f"front_longer.{whole['verdict']}", numbers=numbers), cost)


def _finalists(home: Home, shown: Shown) -> None:
    st.html(f'<h3 class="sh-group">{escape(say("front_longer.try_title"))}</h3>')
    which, how_many, times = st.columns([1.2, 1.6, 1.4], vertical_alignment="bottom", gap="medium")
    with which:
        rule = control.segmented_control(say("front_longer.which"), api_longer.RULES, key=front_state.hold("rule"),
                                         required=True, help=say("front_longer.which_help"), args=("rule",),
                                         on_change=front_state.held,
                                         format_func=lambda name: say(f"front_longer.rule_{name}"))  # fmt: skip
    with how_many:
        most = control.slider(say("front_longer.count"), 1, MOST_COUNT, key=front_state.hold("count"), args=("count",),
                              on_change=front_state.held, help=say("front_longer.count_help"))  # fmt: skip
    with times:
        factor = control.segmented_control(say("front_longer.times"), api_longer.TIMES, key=front_state.hold("times"),
                                           required=True, help=say("front_longer.times_help"), args=("times",),
                                           on_change=front_state.held,
                                           format_func=lambda n: say("front_longer.times_word", times=n))  # fmt: skip
    keys = api_longer.finalists(shown.view, most, rule or api_longer.RULES[0], shown.cost, shown.quality,
                                shown.direction)  # fmt: skip
    if not keys:
        st.caption(say("front_longer.nobody"))
        return
    plan = api_longer.plan(home, keys, factor or USUAL_TIMES)
    said, button = st.columns([4.4, 1.2], vertical_alignment="center")
    said.html(f'<p class="sh-sub">{story.html(_planned(plan, factor or USUAL_TIMES))}</p>')
    fresh = [t["key"] for t in plan["trials"] if t["state"] in (None, "failed", "cancelled")]
    with button:
        control.button(say("front_longer.start"), key="front_longer_start", type="primary", width="stretch",
                       disabled=not fresh, help=say("front_longer.start_help"), on_click=_start,
                       args=(home, fresh, factor or USUAL_TIMES))  # fmt: skip
    _chosen(plan, shown)


def _start(home: Home, keys: Sequence[str], times: int) -> None:
    with frame.told():
        api.ensure_runner(home)
        api_longer.start(home, keys, times, who.who(), who.is_host())


def _planned(plan: Json, times: int) -> str:
    """What a press on the button would do."""
    trials = plan["trials"]
    left = len(trials) - plan["known"] - plan["open"]
    said = []
    if left:
        said.append(say("front_longer.plan", count=count(left), times=times, seconds=format_seconds(plan["seconds"]),
                        low=format_seconds(plan["low"]), high=format_seconds(plan["high"])))  # fmt: skip
    if plan["known"]:
        said.append(say("front_longer.known", count=count(plan["known"]), of=count(len(trials))))
    if plan["open"]:
        said.append(say("front_longer.open", count=count(plan["open"])))
    if plan["refused"]:
        reason = plan["refused"][0]["reason"]
        said.append(say("front_longer.refused", count=count(len(plan["refused"])), reason=reason))
    return sentences(*said)


def _chosen(plan: Json, shown: Shown) -> None:
    """The finalists: short reading, long reading where there is one, else what is happening to it."""
    rows, places = shown.table.rows, shown.table.position
    found = [(t, rows[places[t["key"]]], places.get(t["longer"])) for t in plan["trials"] if t["key"] in places]
    if not found:
        return
    scale = subject.scale()
    longs = [None if place is None else rows[place] for _, _, place in found]
    columns = {
        "page": [links.trial(t["key"]) for t, _, _ in found],
        "recipe": [story.recipe_words(row) for _, row, _ in found],
        "short": [scale * row["quality"] for _, row, _ in found],
        "epochs": [t["epochs"] for t, _, _ in found],
        "long": [None if row is None else scale * row["quality"] for row in longs],
        "state": [_state(t["state"]) for t, _, _ in found],
        "long_page": [None if row is None else links.trial(str(row["key"])) for row in longs],
    }
    if not any(longs):
        columns = {name: values for name, values in columns.items() if name not in ("long", "long_page")}
    _frame(columns, "front_longer_chosen", say("front_longer.chosen_alt", count=len(found)))


def _state(state: str | None) -> str:
    return find(f"front_longer.state_{state or 'none'}") or str(state)


def _step(steps: Sequence[Json]) -> Json:
    """The lengths that are compared; a choice only where there are several."""
    if len(steps) == 1:
        return steps[0]
    names = [say("front_longer.step", short=s["short"], long=s["long"], pairs=count(s["pairs"])) for s in steps]
    key = front_state.hold("step")
    if st.session_state[key] > len(steps):
        allowed = say("front_longer.step_allowed", most=len(steps))
        st.warning(say("url.kept", problem=line(InputError("step", st.session_state[key], allowed))))
        st.session_state[key] = 1
    place = control.selectbox(say("front_longer.steps"), range(1, len(steps) + 1), key=key, width=340, args=("step",),
                              format_func=lambda n: names[n - 1], on_change=front_state.held,
                              help=say("front_longer.steps_help"))  # fmt: skip
    return steps[(place or 1) - 1]


def _knob_words(knobs: Sequence[Json]) -> str:
    """Which settings short runs may decide about, and which not."""
    known = [k for k in knobs if k["verdict"] != "few"]
    sides = [[_name(k["knob"]) for k in known if k["advised"] == advised] for advised in (True, False)]
    said = [say(f"front_longer.{name}", knobs=say("story.comma").join(side))
            for name, side in zip(("knobs_yes", "knobs_no"), sides, strict=True) if side]  # fmt: skip
    return sentences(*said)


def _figures(answer: Json, step: Json, shown: Shown, theme: str) -> None:
    stamp = (shown.table.version, step["short"], step["long"], step["pairs"])
    left, right = st.columns(2, gap="medium")
    with left:
        st.html(charts.title(escape(say("front_longer.pairs_title")), escape(say("front_longer.pairs_sub"))))
        drawn, alt = _pairs(step, answer["metric"], answer["direction"], stamp, theme)
        event: Any = control.plotly_chart(drawn, key="chart_longer", theme=None, on_select=front_chart.RERUN, alt=alt,
                                          selection_mode="points", config=charts.CONFIG)  # fmt: skip
        front_chart.clicked(event, "longer")
    with right:
        sub = say("front_longer.ranks_sub", trusted=_rho(answer["trusted"]))
        st.html(charts.title(escape(say("front_longer.ranks_title")), escape(sub)))
        drawn, alt = _trust(step, answer["trusted"], stamp, theme)
        control.plotly_chart(drawn, key="chart_trust", theme=None, config=charts.CONFIG, alt=alt)


@by_language(max_entries=32)
def _pairs(_step: Json, metric: str, direction: str, stamp: Any, theme: str) -> tuple[go.Figure, str]:
    info = figures.longer_info(_step, metric, direction, labels())
    return _framed(figures.longer_figure(info, theme, labels=labels())), figures.alt_longer(info, labels())


@by_language(max_entries=32)
def _trust(_step: Json, trusted: float, stamp: Any, theme: str) -> tuple[go.Figure, str]:
    info = figures.trust_info(_step, trusted, labels())
    return _framed(figures.trust_figure(info, theme, labels=labels())), figures.alt_trust(info, labels())


def _framed(drawn: dict[str, Any]) -> go.Figure:
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    return go.Figure(drawn)


def _table(step: Json, metric: str) -> None:
    """Every comparison with its numbers."""
    named = [(say("front_longer.whole"), "", step["whole"]), (say("front_longer.within"), "", step["within"])]
    named += [(_name(k["knob"]), say("story.comma").join(k["values"]), k) for k in step["knobs"]]
    scale = subject.scale(metric)
    rows = [row for _, _, row in named]
    columns = {
        "compared": [name for name, _, _ in named], "values": [values for _, values, _ in named],
        "pairs": [r["pairs"] for r in rows], "units": [r["units"] for r in rows],
        "spearman": [r["spearman"] for r in rows], "low": [r["low"] for r in rows], "high": [r["high"] for r in rows],
        "regret": [_scaled(r["regret"], scale) for r in rows],
        "regret_high": [_scaled(r["regret_high"], scale) for r in rows],
        "top3": [_scaled(r["tops"].get(3), scale) for r in rows],
        "verdict": [say(f"front_longer.verdict_{r['verdict']}") for r in rows],
    }  # fmt: skip
    _frame(columns, "front_longer_table", say("front_longer.table_alt"))


def _frame(columns: Mapping[str, Sequence[Any]], key: str, alt: str) -> None:
    formats = {"short": "%.2f", "long": "%.2f", "spearman": "%.2f", "low": "%.2f", "high": "%.2f", "regret": "%.2f",
               "regret_high": "%.2f", "top3": "%.2f"}  # fmt: skip
    shown: dict[str, Any] = {}
    for name in columns:
        title, help_text = say(f"front_longer_column.{name}"), find(f"front_longer_help.{name}")
        if name in ("page", "long_page"):
            shown[name] = st.column_config.LinkColumn(title, display_text=say("front_column.open"), help=help_text)
        elif name in formats:
            shown[name] = st.column_config.NumberColumn(title, format=formats[name], help=help_text)
        else:
            shown[name] = st.column_config.Column(title, help=help_text)
    rows = max((len(values) for values in columns.values()), default=0)
    control.dataframe(dict(columns), key=key, hide_index=True, height=ROW_PIXELS * (rows + 1) + 3, column_config=shown,
                      alt=alt)  # fmt: skip


def _sources(answer: Json, step: Json) -> str:
    shipped, about = step["pairs"] - step["here"], answer["atlas"]
    parts: list[tuple[bool, Callable[[], str]]] = [
        (bool(step["here"]), lambda: say("front_longer.from_here", count=count(step["here"]))),
        (bool(shipped and about), lambda: say("front_longer.from_atlas", count=count(shipped), **about)),
    ]
    said = [write() for wanted, write in parts if wanted]
    return sentences(*said, say("front_longer.how"))


def _name(knob: str) -> str:
    return find(f"front_longer_knob.{knob}") or catalogue_words.setting(knob)


def _rho(value: float) -> str:
    return f"{value:.2f}"


def _points(value: float, metric: str) -> str:
    """A difference of qualities: percentage points of an accuracy."""
    return (
        say("front_longer.points", points=f"{100 * value:.2f}")
        if metric == "accuracy"
        else quality_words(value, metric)
    )


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else scale * value
