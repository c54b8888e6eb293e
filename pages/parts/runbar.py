"""Presets, the expected seconds, the Run button; and while something runs: progress, live curves, cancel."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api
from engine.home import Home
from engine.units import format_seconds
from pages.parts import choices, curves, frame, state, who
from pages.parts.choices import Form
from pages.parts.words import find, say

Status = Mapping[str, Any]
PRESETS: dict[str, dict[str, Any]] = {
    "start": {},
    "small": {"student": "plain_29k", "epochs": 5, "sparsity": 0.7, "bits": 4},
    "fast": {"student": "plain_5k", "epochs": 5, "pruning": "none", "bits": choices.FULL_PRECISION},
}
ALIVE = ("queued", "running")
SEEN = "_seen"
ORDER = ("trial", "dense", "baseline", "grid", "retime", "other")


def bar(home: Home, form: Form, recipe: Mapping[str, Any], known: bool, runs: int) -> None:
    """One row: presets, what the run is expected to take, Run."""
    with st.container(border=True, key="run_bar", horizontal=True, vertical_alignment="center", gap="medium"):
        _presets(form)
        st.markdown(say("run.known") if known else expected(home, recipe, runs), width="stretch")
        st.button(say("run.button"), key="run", type="primary", help=say("run.help"), on_click=_start,
                  args=(home, dict(recipe)), width=140)  # fmt: skip


def _presets(form: Form) -> None:
    """Buttons, not a choice with a value: a browser that is a moment behind would send its old value as a click."""
    active = active_preset(form)
    with st.container(key="preset", horizontal=True, gap=None, width="content"):
        for name in PRESETS:
            st.button(say(f"preset.{name}"), key=f"preset_{name}", help=say("preset.help"), on_click=_apply_preset,
                      args=(name, form.get("task")), type="primary" if name == active else "secondary")  # fmt: skip


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


def progress(home: Home, keys: Mapping[str, str], theme: str) -> bool:
    """The panel of the runs named by role in ``keys``, polled only while one is alive; whether the trial itself is."""
    shown = watched(home, keys)
    alive = any(s["state"] in ALIVE for s in shown)
    st.session_state[SEEN] = _signature(home, shown, keys)
    if shown:
        st.fragment(frame.guarded(_panel), run_every=1.0 if alive else None)(home, keys, theme)
    return any(s["role"] == "trial" and s["state"] in ALIVE for s in shown)


def watched(home: Home, keys: Mapping[str, str]) -> list[Status]:
    """Everything alive in this home, the page's own trial first; and what this session started that ended badly."""
    found = [{**status, "role": _role(status, keys)} for status in api.active(home)]
    alive = {s["key"] for s in found}
    for name in (j for j in state.jobs() if j not in alive and (j == keys["trial"] or j.startswith("retime:"))):
        status = api.status(home, name)
        if status["state"] in ("failed", "cancelled"):
            found.append({**status, "role": _role(status, keys)})
    return sorted(found, key=lambda s: (ORDER.index(s["role"]), s["state"] != "running"))


def _role(status: Status, keys: Mapping[str, str]) -> str:
    if status["kind"] == "grid":
        return "grid" if keys["dense"] in status["key"] else "other"
    if status["kind"] != "trial":
        return str(status["kind"])
    return next((role for role in ("trial", "dense", "baseline") if keys[role] == status["key"]), "other")


def _panel(home: Home, keys: Mapping[str, str], theme: str) -> None:
    shown = watched(home, keys)
    if _signature(home, shown, keys) != st.session_state.get(SEEN):
        st.rerun()
    with st.container(border=True, key="progress"):
        left, right = st.columns([1.2, 1], gap="medium", vertical_alignment="center")
        with left:
            _runs(home, shown, keys)
        with right:
            curves.live(shown, theme)


def _runs(home: Home, shown: Sequence[Status], keys: Mapping[str, str]) -> None:
    """What ended badly, then the run that matters most now, then the others in a line each."""
    for status in shown:
        if status["state"] == "failed":
            st.error(say("progress.failed", reason=status.get("error") or ""))
        elif status["state"] == "cancelled":
            st.info(say("progress.cancelled"))
    alive = [s for s in shown if s["state"] in ALIVE]
    alive.sort(key=lambda s: (s["role"] != "trial", s["state"] != "running"))
    if alive:
        _lead(home, alive[0], keys)
        rest = [describe(s) for s in _one_a_role(alive[1:], alive[0]["role"])]
        st.caption("  \n".join(rest))


def _lead(home: Home, status: Status, keys: Mapping[str, str]) -> None:
    """A bar, what the run does, the time left, and a button that cancels it."""
    bar, button = st.columns([3, 1], vertical_alignment="center")
    share = min(1.0, max(0.0, float((status.get("progress") or {}).get("fraction") or 0.0)))
    bar.progress(share, text=describe(status))
    button.button(say("progress.cancel"), key=f"cancel_{status['key']}", on_click=_cancel, width="stretch",
                  args=(home, keys["trial"], status["key"]), help=say("progress.cancel_help"))  # fmt: skip


def _one_a_role(shown: Sequence[Status], lead: str) -> list[Status]:
    """A grid is several jobs; people see one."""
    found = {
        s["key"] if s["role"] == "other" else s["role"]: s
        for s in reversed(shown)
        if s["role"] != lead or lead == "other"
    }
    return sorted(found.values(), key=lambda s: ORDER.index(s["role"]))


def describe(status: Status) -> str:
    """A run's state in half a line."""
    doing: Status = status.get("progress") or {}
    recipe: Status = status.get("recipe") or {}
    student = recipe.get("dense", recipe).get("student", "")
    role = "other_run" if status["role"] == "other" else status["role"]
    parts = [say(f"progress.{role}", student=str(student).replace("_", " "))]
    if status["state"] == "queued":
        place = status.get("place")
        parts.append(say("progress.queued", place=place) if place else say("progress.queued_next"))
    elif doing.get("doing") == "training":
        parts.append(say("progress.training", epoch=doing.get("epoch") or 1, epochs=doing.get("epochs") or 1))
    else:
        word = str(doing.get("doing") or "starting")
        parts.append(find(f"progress.doing.{word.replace(' ', '_')}") or word)
    if status.get("seconds_left"):
        parts.append(say("progress.left", seconds=format_seconds(max(1, round(status["seconds_left"])))))
    if (status.get("attempt") or 1) > 1:
        parts.append(say("progress.retry", attempt=status["attempt"]))
    return " · ".join(parts)


def _signature(home: Home, shown: Sequence[Status], keys: Mapping[str, str]) -> tuple[Any, ...]:
    """What makes the rest of the page worth drawing again: a run that began or ended, a grid with a new stage."""
    states = tuple(sorted((s["key"], s["state"]) for s in shown))
    grid = api.grid_status(home, keys["dense"])
    measured = grid["done"] + grid["preview"]
    return states, grid["state"], grid["done"] // 24, measured // 24


def _apply_preset(name: str, task: str) -> None:
    state.choose({**preset(name, task), "point": ""})


def _start(home: Home, recipe: Mapping[str, Any]) -> None:
    """Submit what the page shows; a refusal is said where errors are said, on the rerun that follows."""
    with frame.told():
        api.ensure_runner(home)
        submitted = api.submit(home, recipe, who.who())
        state.remember_job(submitted["key"])
        state.choose({"point": submitted["key"][:12]})


def _cancel(home: Home, run: str, key: str) -> None:
    """Withdraw the page's run with its companions; what belongs to another run by its own key."""
    with frame.told():
        if not api.cancel(home, run, who.who()):
            api.cancel(home, key, who.who())
