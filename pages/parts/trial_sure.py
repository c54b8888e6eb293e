"""How sure the numbers are: intervals of every measure, paired differences, and what other seeds give."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go
import streamlit as st

from engine import api, api_statistics, figures
from engine.api_statistics import OTHERS, USUAL_SEEDS
from engine.errors import StillhouseError
from engine.figures import certainty, hover
from engine.figures.certainty import Bar
from engine.home import Home
from pages.parts import charts, control, frame, links, subject, trial_html, who
from pages.parts.words import find, say

Row = Mapping[str, Any]
SHARES = (*hover.SHARES, "agreement", "calibration_error")
POLL_SECONDS = 2.0
OPENED = "_sure_clicked"
ON_SELECT: Literal["rerun"] = "rerun"


def panel(home: Home, run: Row, look: str) -> None:
    """Measures on the left, differences on the right, seeds below."""
    found = api_statistics.seeds(home, run["key"])
    left, right = st.columns(2, gap="small")
    with left, control.container(border=True, height="stretch", key="sure_intervals"):
        st.html(charts.title(escape(say("trial_sure.intervals")), escape(say("trial_sure.intervals_sub"))))
        st.html(trial_html.table([say(f"trial_sure.head_{n}") for n in ("measure", "value", "interval", "method")],
                                 measures(api_statistics.intervals(home, run["key"]))))  # fmt: skip
    with right, control.container(border=True, height="stretch", key="sure_differences"):
        _differences(api_statistics.differences(home, run["key"]), found["differences"], look)
    with control.container(border=True, key="sure_seeds"):
        _seeds(home, run, found, look)


def measures(found: Mapping[str, Row]) -> list[list[str]]:
    """Measure, value, interval, method: one row each."""
    rows = []
    for name, one in found.items():
        value, low, high = (_number(name, one[k]) for k in ("value", "low", "high"))
        method = say(f"trial_sure.method_{one['method']}", count=f"{one['count']:,}")
        rows.append([find(f"trial_sure.measure.{name}") or name.replace("_", " "), value,
                     say("trial_sure.range", low=low, high=high), method])  # fmt: skip
    return rows


def bars(single: Mapping[str, Row], several: Mapping[str, Row], measure: str = "accuracy") -> list[Bar]:
    """A row for each companion: over seeds where there are several, and this run's own."""
    found = []
    scale, form = (100, "+.2f") if subject.is_share(measure) else (1, "+.3f")
    for name in OTHERS:
        for pair in (several.get(name), single.get(name)):
            if pair is not None:
                value, low, high = (scale * pair[k] for k in ("difference", "low", "high"))
                ends = {"points": f"{value:{form}}", "low": f"{low:{form}}", "high": f"{high:{form}}"}
                text = say(f"trial_sure.verdict_{pair['verdict']}", **ends)
                row = say("trial_sure.row", name=say(f"trial_sure.against_{name}"), runs=_runs(pair["seeds"]))
                found.append(Bar(row, value, low, high, pair["seeds"], text))
    return found


def _differences(single: Mapping[str, Row], several: Mapping[str, Row], look: str) -> None:
    st.html(charts.title(escape(say("trial_sure.differences")), escape(say("trial_sure.differences_sub"))))
    rows = bars(single, several, subject.metric())
    if not rows:
        st.caption(say("trial_sure.no_answers"))
        return
    drawn = certainty.differences_figure(rows, say("trial_sure.points_axis"), look)
    control.plotly_chart(_in_font(drawn), key="chart_sure_gaps", theme=None, config=charts.CONFIG,
                         alt=certainty.alt_text(rows))  # fmt: skip
    said = "".join(f"<li><b>{escape(b.name)}</b>: {escape(b.text)}</li>" for b in rows)
    st.html(f'<ul class="sh-sub">{said}</ul>')


def _seeds(home: Home, run: Row, found: Row, look: str) -> None:
    st.html(charts.title(escape(say("trial_sure.seeds")), escape(say("trial_sure.seeds_sub"))))
    mean, metric = found["quality"], str(run["quality"]["metric"])
    scale = 100 if metric in SHARES else 1
    dots = [(r["key"], scale * r["quality"], _seed(r, metric)) for r in found["seeds"]]
    if mean:
        value, low, high = (scale * mean[k] for k in ("value", "low", "high"))
        ends = {k: _number(metric, mean[k]) for k in ("value", "low", "high")}
        text = say("trial_sure.mean", count=mean["count"], **ends)
        bar = Bar(say("trial_sure.mean_short"), value, low, high, mean["count"], text)
        st.html(f'<p class="sh-story">{escape(text)}</p>')
        drawn = certainty.seeds_figure(
            dots, bar, say("trial_sure.share_axis" if scale == 100 else "trial_sure.value_axis"), look
        )
        event = control.plotly_chart(_in_font(drawn), key="chart_sure_seeds", theme=None, config=charts.CONFIG,
                                     on_select=ON_SELECT, selection_mode="points", alt=text)  # fmt: skip
        _open(event, run["key"])
    else:
        st.caption(say("trial_sure.one_seed"))
    if found["running"]:
        st.caption(say("trial_sure.running", count=len(found["running"])))
        st.fragment(frame.guarded(_waiting), run_every=POLL_SECONDS)(home, run["key"], len(found["seeds"]))
    elif len(found["seeds"]) < USUAL_SEEDS and _repeatable(run):
        control.button(
            say("trial_sure.more", count=USUAL_SEEDS),
            key="sure_more",
            on_click=_more,
            help=say("trial_sure.more_help", count=USUAL_SEEDS),
            args=(home, dict(run["recipe"])),
        )


def _seed(row: Row, metric: str) -> str:
    return say("trial_sure.seed", seed=row["seed"], value=_number(metric, row["quality"]))


def _open(event: Any, own: str) -> None:
    """A click on a seed opens its page, once."""
    key = figures.key_of(event)
    if key and key != own and st.session_state.get(OPENED) != key:
        st.session_state[OPENED] = key
        links.go("trial", {"key": key[: links.SHOWN_KEY], "view": "sure"})
    if not key:
        st.session_state.pop(OPENED, None)


def _waiting(home: Home, key: str, known: int) -> None:
    found = api_statistics.seeds(home, key)
    if len(found["seeds"]) != known or not found["running"]:
        st.rerun()


def _repeatable(run: Row) -> bool:
    try:
        api.check(run["recipe"])
    except StillhouseError:  # a teacher, or a plug-in that is not installed here
        return False
    return True


def _more(home: Home, recipe: Mapping[str, Any]) -> None:
    with frame.told():
        api.ensure_runner(home)
        api_statistics.submit(home, recipe, USUAL_SEEDS, who.who(), host=who.is_host())


def _runs(seeds: int) -> str:
    return say("trial_sure.runs_one") if seeds == 1 else say("trial_sure.runs_several", count=seeds)


def _number(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name in SHARES else f"{value:.4f}"


def _in_font(drawn: dict[str, Any]) -> go.Figure:
    drawn["layout"]["font"] = {**drawn["layout"]["font"], "family": charts.FONT}
    return go.Figure(drawn)
