"""Before the start: what the sweep would do, how long it would take, its name and limits, Start; and its JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Literal

import streamlit as st

from engine import api, api_sweeps
from engine.errors import StillhouseError
from engine.home import Home
from engine.units import format_seconds
from pages.parts import control, frame, sweep_edit, sweep_link, sweep_state, who
from pages.parts.sweep_draft import Draft
from pages.parts.sweep_words import setting_words
from pages.parts.words import count, line, say

Plan = Mapping[str, Any]
MIME = "application/json"
STAY: Literal["ignore"] = "ignore"  # saving a file is no reason to draw the page again
REMEMBERED_SECONDS = 5.0  # a plan reads the store and the cache of trainings: both may change meanwhile
SHOWN_SKIPPED, SHOWN_FAULTS = 6, 4


def panel(home: Home, draft: Draft | None, spec: Mapping[str, Any]) -> None:
    """The card beside the form."""
    with control.container(border=True, key="sweep_plan"):
        st.html(f'<h2 class="sh-title">{escape(say("sweep_plan.title"))}</h2>')
        if draft is not None:
            _options(draft, _combinations(home, spec))
        plan, faults = _plan(home, draft, spec)
        if plan is not None:
            _facts(plan)
            _skipped(plan)
        _start(home, spec, plan, faults)
    _json(spec)


def _plan(home: Home, draft: Draft | None, spec: Mapping[str, Any]) -> tuple[Plan | None, list[str]]:
    """The plan, or why there is none."""
    faults = sweep_edit.faults(draft) if draft is not None else []
    if faults:
        return None, faults
    try:
        return _planned(home, json.dumps(spec, sort_keys=False), str(home.root)), []
    except StillhouseError as problem:
        return None, [line(problem)]


@st.cache_data(ttl=REMEMBERED_SECONDS, max_entries=64, show_spinner=False)
def _planned(_home: Home, text: str, root: str) -> dict[str, Any]:
    return api_sweeps.plan(_home, json.loads(text))


def _combinations(home: Home, spec: Mapping[str, Any]) -> int | None:
    try:
        return int(_planned(home, json.dumps(spec, sort_keys=False), str(home.root))["combinations"])
    except StillhouseError:
        return None


def _options(draft: Draft, combinations: int | None) -> None:
    """Name, companions and limits."""
    place = sweep_state.hold("sweep_option_name", draft.option("name"))
    control.text_input(say("sweep_plan.name"), key=place, max_chars=80, help=say("sweep_plan.name_help"),
                       on_change=_changed, args=("name", place))  # fmt: skip
    left, right = st.columns(2, gap="small", vertical_alignment="bottom")
    empty = say("sweep_plan.trials_empty", count=count(combinations)) if combinations else None
    _number(left, "trials", draft.option("trials"), empty)
    minutes = draft.option("budget_seconds")
    _number(right, "minutes", minutes and minutes / 60, say("sweep_plan.minutes_empty"))
    for name in ("grids", "baselines", "random"):
        value = draft.option("order") == "random" if name == "random" else draft.option(name)
        place = sweep_state.hold(f"sweep_option_{name}", value)
        note = (
            say(f"sweep_plan.{name}_help", count=api.GRID_POINTS) if name == "grids" else say(f"sweep_plan.{name}_help")
        )
        control.toggle(say(f"sweep_plan.{name}"), key=place, help=note, on_change=_changed, args=(name, place))


def _number(column: Any, name: str, value: float | None, empty: str | None) -> None:
    whole = name == "trials"
    place = sweep_state.hold(f"sweep_option_{name}", value if value is None else int(value) if whole else float(value))
    more: Any = {"min_value": 1, "max_value": 2000, "step": 1} if whole else {
        "min_value": 0.5, "max_value": 43_200.0, "step": 5.0, "format": "%g"}  # fmt: skip
    with column:
        control.number_input(say(f"sweep_plan.{name}"), value=None, key=place, help=say(f"sweep_plan.{name}_help"),
                             placeholder=empty, on_change=_changed, args=(name, place), **more)  # fmt: skip


def _changed(name: str, place: str) -> None:
    value = st.session_state[place]
    if name == "minutes":
        name, value = "budget_seconds", value and value * 60
    elif name == "random":
        name, value = "order", "random" if value else "all"
    elif name == "name":
        value = value.strip()
    sweep_state.edit(sweep_edit.option, name, value)


def _facts(plan: Plan) -> None:
    """Four numbers, each with what they rest on."""
    known = say("sweep_plan.fact_known", count=count(plan["known"]))
    single = plan["combinations"] == 1
    of_all = say("sweep_plan.fact_one") if single else say("sweep_plan.fact_of", count=count(plan["combinations"]))
    trained = say("sweep_plan.fact_trained", count=count(plan["trained"]))
    spread = say("sweep_plan.fact_range", low=_whole(plan["low"]), high=_whole(plan["high"]))
    cells = [
        (say("sweep_plan.fact_trials"), count(plan["trials"]), known if plan["known"] else of_all),
        (say("sweep_plan.fact_trainings"), count(plan["trainings"]),
         trained if plan["trained"] else say("sweep_plan.fact_shared")),
        (say("sweep_plan.fact_time"), _whole(plan["seconds"]),
         spread if plan["seconds"] >= 1 else say("sweep_plan.fact_nothing")),
    ]  # fmt: skip
    if plan["grid_points"]:
        cells.append((say("sweep_plan.fact_points"), count(plan["grid_points"]), say("sweep_plan.fact_points_note")))
    drawn = "".join(
        f"<div><dt>{escape(t)}</dt><dd>{escape(v)}<small>{escape(n)}</small></dd></div>" for t, v, n in cells
    )
    st.html(f'<dl class="sh-facts sh-plan">{drawn}</dl>')
    if plan["combinations"] == 1:
        st.caption(say("sweep_plan.hint"))


def _whole(seconds: float) -> str:
    return format_seconds(round(seconds))


def _skipped(plan: Plan) -> None:
    skipped = plan["skipped"]
    many = plan.get("left_out", len(skipped))
    if not many:
        return
    title = say("sweep_plan.skipped_one") if many == 1 else say("sweep_plan.skipped", count=count(many))
    with control.expander(title, key="sweep_skipped"):
        if many > SHOWN_SKIPPED:
            st.caption(say("sweep_plan.skipped_first", count=SHOWN_SKIPPED))
        lines = [f"<li><b>{escape(setting_words(s['setting']))}</b><br>{escape(s['reason'])}</li>" for s in skipped]
        st.html(f'<ul class="sh-list">{"".join(lines[:SHOWN_SKIPPED])}</ul>')


def _start(home: Home, spec: Mapping[str, Any], plan: Plan | None, faults: Sequence[str]) -> None:
    if faults:
        lines = "".join(f"<li>{escape(f)}</li>" for f in faults[:SHOWN_FAULTS])
        st.html(f'<p class="sh-bad">{escape(say("sweep_plan.cannot"))}</p><ul class="sh-list sh-bad">{lines}</ul>')
    label = say("sweep_plan.start_blank")
    if plan is not None:
        every = plan["known"] == plan["trials"] and plan["seconds"] < 1
        word = ("known" if every else "start") + ("_one" if plan["trials"] == 1 else "")
        label = say(f"sweep_plan.{word}", count=count(plan["trials"]))
    control.button(label, key="sweep_start", type="primary", width="stretch", help=say("sweep_plan.start_help"),
                   disabled=plan is None, on_click=_begin, args=(home, dict(spec)))  # fmt: skip


def _begin(home: Home, spec: Mapping[str, Any]) -> None:
    """Start it and show it; a refusal is said on the rerun that follows."""
    with frame.told():
        api.ensure_runner(home)
        started = api_sweeps.start(home, spec, who.who(), who.is_host())
        sweep_state.open_sweep(started["id"])


def _json(spec: Mapping[str, Any]) -> None:
    """The same sweep as text: to read, to save, to bring in."""
    text = json.dumps(spec, indent=1, ensure_ascii=False)
    with control.expander(say("sweep_json.title"), key="sweep_json"):
        st.caption(say("sweep_json.sub", command=say("sweep_json.command")))
        st.code(text, language="json", height=260)
        download(text, "sweep_download")
        control.text_area(say("sweep_json.paste"), key="sweep_pasted", height=120, help=say("sweep_json.paste_help"))
        control.button(say("sweep_json.use"), key="sweep_use", help=say("sweep_json.use_help"), on_click=_pasted)


def download(text: str, key: str) -> None:
    """A button that saves a sweep's JSON as a file."""
    control.download_button(say("sweep_json.download"), text, say("sweep_json.file"), MIME, key=key,
                            help=say("sweep_json.download_help"), on_click=STAY)  # fmt: skip


def _pasted() -> None:
    with frame.told():
        sweep_state.begin(sweep_link.parse(st.session_state["sweep_pasted"]))
        st.session_state["sweep_pasted"] = ""
