"""The left side of *Front*: what is shown, and the limits, each to be typed or slid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import streamlit as st

from engine import api_points, catalogue
from engine.api_points import Table
from engine.errors import InputError
from engine.home import Home
from pages.parts import catalogue_words, control, front_data, front_state, subject
from pages.parts.front_state import LIMITS, MOST_SWEEPS, ORIGINS, Limit
from pages.parts.words import find, line, say

STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
FLOOR_STEPS = 21
Values = Mapping[str, Any]


def panel(home: Home, values: Values, table: Table) -> None:
    """All of it, top to bottom."""
    with control.container(key="front_axes"):
        _group("axes")
        tasks = list(catalogue.current().rows["tasks"])
        if len(tasks) > 1:
            _select("task", tasks, values["task"], lambda name: catalogue_words.title_of("tasks", name))
        _select("cost", list(api_points.COSTS), values["cost"], _named("cost"))
        _select("quality", _qualities(table, values), values["quality"], _named("quality"))
    with control.container(key="front_limits"):
        _group("limits")
        for name, limit in LIMITS.items():
            _limit(name, limit, values[name], table)
    with control.container(key="front_points"):
        _group("points")
        _origins(values)
        _sweeps(home, values)
        _machines(values, table)


def label(kind: str, name: str) -> str:
    """A choice in words."""
    places = {"cost": f"front_cost.{name}", "quality": f"front_quality.{name}", "origin": f"front_origin.{name}"}
    return find(places[kind]) or name.replace("_", " ")


def machine_name(table: Table, machine: str) -> str:
    """A machine as people call it, with "here" where it is this one."""
    found = next((m for m in table.machines if m["id"] == machine), None)
    if found is None:
        return say("front_filter.any_machine") if machine == api_points.ANY else machine
    return say("front_filter.here" if found["here"] else "front_filter.machine_count", name=found["name"],
               count=found["rows"])  # fmt: skip


def _group(name: str) -> None:
    st.html(f'<h3 class="sh-group">{escape(say(f"front_filter.{name}"))}</h3>')


def _named(kind: str) -> Any:
    return lambda name: label(kind, name)


def _select(name: str, options: Sequence[str], value: str, words: Any) -> None:
    key = f"front_{name}"
    st.session_state[key] = value
    title, help_text = say(f"front_filter.{name}"), say(f"front_filter.{name}_help")
    control.selectbox(title, options, key=key, format_func=words, help=help_text,
                      on_change=_keep, args=(name, key))  # fmt: skip


def _keep(name: str, key: str) -> None:
    # a limit on the quality of one task means nothing for another
    other = {"min_quality": None, "sweeps": [], "quality": "quality"} if name == "task" else {}
    front_state.choose(**{name: st.session_state[key]}, **other)


def _qualities(table: Table, values: Values) -> list[str]:
    """The task's own quality, and others that some point has."""
    found = [n for n in api_points.QUALITIES if n == "quality" or np.isfinite(table.columns[n]).any()]
    return found if values["quality"] in found else [*found, values["quality"]]


def _origins(values: Values) -> None:
    key = "front_origins"
    st.session_state[key] = list(values["origins"])
    control.pills(
        say("front_filter.origins"),
        list(ORIGINS),
        key=key,
        selection_mode="multi",
        format_func=_named("origin"),
        help=say("front_filter.origins_help"),
        on_change=_keep,
        args=("origins", key),
    )


def _sweeps(home: Home, values: Values) -> None:
    """Sweeps to compare; without any in this home a line says where they come from."""
    names = {s["id"]: s["name"] or say("front_filter.unnamed") for s in front_data.sweeps(home, values["task"])}
    chosen = [next((i for i in names if i.startswith(s)), s) for s in values["sweeps"]]
    if not names and not chosen:
        st.caption(say("front_filter.no_sweeps"))
        return
    names |= {s: say("front_filter.gone", id=s) for s in chosen if s not in names}
    key = "front_sweeps"
    st.session_state[key] = chosen
    control.multiselect(say("front_filter.sweeps"), list(names), key=key, format_func=names.__getitem__,
                        max_selections=MOST_SWEEPS, help=say("front_filter.sweeps_help"),
                        placeholder=say("front_filter.sweeps_none"), on_change=_keep, args=("sweeps", key))  # fmt: skip


def _machines(values: Values, table: Table) -> None:
    ids = [str(m["id"]) for m in table.machines]
    if not ids:
        return
    options = [*ids, api_points.ANY] if len(ids) > 1 else ids
    chosen = values["machine"] or ids[0]
    options = options if chosen in options else [*options, chosen]
    key = "front_machine"
    st.session_state[key] = chosen
    control.selectbox(say("front_filter.machine"), options, key=key, help=say("front_filter.machine_help"),
                      format_func=lambda m: machine_name(table, m), on_change=_machine, args=(key, ids[0]))  # fmt: skip


def _machine(key: str, usual: str) -> None:
    chosen = st.session_state[key]
    front_state.choose(machine="" if chosen == usual else chosen)


def _limit(name: str, limit: Limit, value: float | None, table: Table) -> None:
    """One budget: a field to type into and a slider, which say the same."""
    text, slider = f"front_{name}", f"front_{name}_slider"
    options = _ladder(limit, table, value)
    st.session_state[text] = "" if value is None else limit.written(value, subject.metric())
    st.session_state[slider] = value
    title, help_text = say(f"front_limit.{name}"), say(f"front_limit.{name}_help")
    with control.container(key=f"front_limit_{name}"):
        control.text_input(
            title,
            key=text,
            help=help_text,
            max_chars=20,
            placeholder=say(f"front_limit.{name}_example"),
            on_change=_typed,
            args=(name, text),
        )
        control.select_slider(title, options, key=slider, format_func=_written(limit), label_visibility="collapsed",
                              help=help_text, on_change=_keep, args=(name, slider))  # fmt: skip


def _written(limit: Limit) -> Any:
    measure = subject.metric()
    return lambda value: say("front_limit.none") if value is None else limit.written(value, measure)


def _typed(name: str, key: str) -> None:
    """What was typed, or one line on what is allowed."""
    text = str(st.session_state[key]).strip()
    try:
        front_state.choose(**{name: _read(name, text) if text else None})
    except InputError as problem:
        front_state.complain(line(problem))


def _read(name: str, text: str) -> float:
    return LIMITS[name].read(text, say(f"front_limit.{name}"), subject.metric())


def _ladder(limit: Limit, table: Table, value: float | None) -> list[float | None]:
    """Even steps over what was measured; a typed value in between gets a step of its own. None is "no limit"."""
    found = table.columns[limit.column]
    found = found[np.isfinite(found) & (found > 0)]
    steps: set[float] = set() if value is None else {value}
    if len(found) and limit.floor and not subject.is_share(subject.metric()):
        best = math.floor(float(found.min()) * 20)
        steps |= {i / 20 for i in range(best, best + FLOOR_STEPS + 1)}
        return [*sorted(steps, reverse=True), None] if subject.direction() == "maximize" else [*sorted(steps), None]
    if len(found) and limit.floor:
        top = math.ceil(float(found.max()) * 200)  # in half points
        steps |= {i / 200 for i in range(max(top - FLOOR_STEPS, 0), top + 1)}
    elif len(found):
        powers = range(math.floor(math.log10(found.min())), math.ceil(math.log10(found.max())) + 1)
        every = [s * 10.0**p for p in powers for s in STEPS]
        steps |= {float(f"{s:.2g}") for s in every if found.min() <= s <= found.max() * 1.5}
    order: list[float | None] = [*sorted(steps)]
    return [None, *order] if limit.floor else [*order, None]
