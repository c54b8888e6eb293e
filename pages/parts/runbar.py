"""Presets, the expected seconds, the Run button; and while something runs: progress, live curves, cancel."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api
from engine.home import Home
from engine.units import format_seconds
from pages.parts import choices, curves, frame, state
from pages.parts.choices import Form
from pages.parts.words import find, say

Status = Mapping[str, Any]
PRESETS: dict[str, dict[str, Any]] = {
    "start": {},
    "small": {"student": "plain_29k", "epochs": 5, "sparsity": 0.8, "bits": 4, "scale": "least_squares"},
    "fast": {"student": "plain_5k", "epochs": 5, "pruning": "none", "bits": choices.FULL_PRECISION},
}
ALIVE = ("queued", "running")
SEEN = "_seen"
ROLES = ("trial", "dense", "baseline", "grid")


def bar(home: Home, form: Form, recipe: Mapping[str, Any], known: bool, runs: int) -> None:
    """One row: presets, what the run is expected to take, Run."""
    with st.container(border=True, key="run_bar", horizontal=True, vertical_alignment="center", gap="medium"):
        st.session_state["preset"] = active_preset(form)
        st.segmented_control(say("preset.label"), list(PRESETS), key="preset", format_func=lambda p: say(f"preset.{p}"),
                             on_change=_apply_preset, args=(form.get("task"),), label_visibility="collapsed")  # fmt: skip
        st.markdown(say("run.known") if known else expected(home, recipe, runs), width="stretch")
        st.button(say("run.button"), key="run", type="primary", help=say("run.help"), on_click=_start,
                  args=(home, dict(recipe)), width=140)  # fmt: skip


def active_preset(form: Form) -> str | None:
    """The preset whose values the form shows, if any."""
    shown = _settings(form.values)
    return next((name for name in PRESETS if preset(name, form.get("task")) == shown), None)


@functools.lru_cache(maxsize=64)
def preset(name: str, task: str) -> dict[str, Any]:
    """All settings of a preset: the task's defaults with its own changes; do not alter the answer."""
    return _settings(choices.read({"task": task, **PRESETS[name]}).values)


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in values.items() if n not in choices.VIEW}


def expected(home: Home, recipe: Mapping[str, Any], runs: int) -> str:
    """The seconds that Run is expected to take, before it is pressed; ``runs`` of this student have been timed here."""
    found = api.estimate(home, recipe)
    basis = "run.range_elsewhere" if not runs else "run.range_one" if runs == 1 else "run.range"
    spread = say(basis, low=format_seconds(found["low"]), high=format_seconds(found["high"]), count=runs)
    return f"{say('run.expected', seconds=format_seconds(round(found['seconds'])))} {spread}"


def progress(home: Home, keys: Mapping[str, str], theme: str) -> None:
    """The panel of the runs named by role in ``keys``; polls once a second only while one of them is alive."""
    shown = watched(home, keys)
    alive = any(s["state"] in ALIVE for s in shown.values())
    st.session_state[SEEN] = _signature(home, shown, keys)
    if shown:
        st.fragment(frame.guarded(_panel), run_every=1.0 if alive else None)(home, keys, theme)


def watched(home: Home, keys: Mapping[str, str]) -> dict[str, Status]:
    """What is worth showing: the page's own trial and its companions while alive or ended badly, and other runs."""
    found: dict[str, Status] = {}
    mine = set(state.jobs())
    for status in api.active(home):
        role = next((r for r in ROLES if keys.get(r) == status["key"]), "other")
        found[status["key"]] = {**status, "role": role}
    for key in mine - set(found):
        status = api.status(home, key)
        if status["state"] in ("failed", "cancelled") and key == keys.get("trial"):
            found[key] = {**status, "role": "trial"}
    return dict(sorted(found.items(), key=lambda item: _rank(item[1])))


def _panel(home: Home, keys: Mapping[str, str], theme: str) -> None:
    shown = watched(home, keys)
    if _signature(home, shown, keys) != st.session_state.get(SEEN):
        st.rerun()
    with st.container(border=True, key="progress"):
        left, right = st.columns([1, 1.25], gap="large")
        with left:
            for status in shown.values():
                _line(home, status)
        with right:
            curves.live([s for s in shown.values() if s["role"] != "other"] or list(shown.values()), theme)


def _line(home: Home, status: Status) -> None:
    """One run: a bar with what it does and the time left, and a button that cancels it."""
    if status["state"] == "failed":
        st.error(say("progress.failed", reason=status.get("error") or ""))
        return
    if status["state"] == "cancelled":
        st.info(say("progress.cancelled"))
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        share = min(1.0, max(0.0, float((status.get("progress") or {}).get("fraction") or 0.0)))
        st.progress(share, text=describe(status))
        if status["role"] in ("trial", "other"):
            st.button(
                say("progress.cancel"), key=f"cancel_{status['key']}", on_click=_cancel, args=(home, status["key"])
            )


def describe(status: Status) -> str:
    """A run's state in half a line."""
    name, doing = say(f"progress.{status['role']}"), status.get("progress") or {}
    parts = [name]
    if status["state"] == "queued":
        place = status.get("place")
        parts.append(say("progress.queued", place=place) if place else say("progress.queued_next"))
    else:
        word = str(doing.get("doing") or "starting")
        word = find(f"progress.doing_words.{word}") or word
        training = doing.get("epochs") and doing.get("epoch") is not None
        parts.append(
            say("progress.running", doing=word, epoch=doing["epoch"], epochs=doing["epochs"]) if training else word
        )
    if status.get("seconds_left"):
        parts.append(say("progress.left", seconds=format_seconds(status["seconds_left"])))
    if (status.get("attempt") or 1) > 1:
        parts.append(say("progress.retry"))
    return " · ".join(parts)


def _signature(home: Home, shown: Mapping[str, Status], keys: Mapping[str, str]) -> tuple[Any, ...]:
    """What makes the rest of the page worth drawing again: a run that began or ended, a grid with a new stage."""
    states = tuple(sorted((k, s["state"]) for k, s in shown.items()))
    grid = api.grid_status(home, keys["dense"]) if keys.get("dense") else {}
    done = grid.get("done") or 0
    return states, grid.get("state"), bool(grid.get("preview")), done == grid.get("total"), done // 20


def _rank(status: Status) -> tuple[int, int]:
    order = (*ROLES, "other")
    return order.index(status["role"]), 0 if status["state"] == "running" else 1


def _apply_preset(task: str) -> None:
    name = st.session_state.get("preset")
    if name in PRESETS:
        state.choose({**preset(name, task), "point": ""})


def _start(home: Home, recipe: Mapping[str, Any]) -> None:
    """Submit what the page shows; a refusal is said where errors are said, on the rerun that follows."""
    with frame.told():
        api.ensure_runner(home)
        submitted = api.submit(home, recipe)
        for name in ("baseline", "dense", "key"):
            if submitted.get(name):
                state.remember_job(submitted[name])
        state.choose({"point": submitted["key"][:12]})


def _cancel(home: Home, key: str) -> None:
    with frame.told():
        api.cancel(home, key)
        for other in _companions(home, key):
            api.cancel(home, other)


def _companions(home: Home, key: str) -> Sequence[str]:
    """The dense student and baseline that were queued with the trial: whoever cancels the trial wants none of it."""
    mine = state.jobs()
    return [k for k in mine if k != key and api.status(home, k)["state"] == "queued"]
