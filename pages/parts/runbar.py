"""Presets, the expected seconds, the Run button."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine import api, api_statistics, catalogue
from engine.api_statistics import USUAL_SEEDS
from engine.home import Home
from engine.units import format_seconds
from pages.parts import choices, control, frame, state, who
from pages.parts.choices import Form
from pages.parts.words import say

SEEDS = "seeds"
PRESETS: dict[str, dict[str, Any]] = {
    "start": {},
    "small": {"student": "plain_29k", "epochs": 5, "sparsity": 0.7, "bits": 4},
    "fast": {"student": "plain_5k", "epochs": 5, "pruning": "none", "bits": choices.FULL_PRECISION},
}


def bar(home: Home, form: Form, recipe: Mapping[str, Any], known: bool, runs: int) -> None:
    """One row: presets, what the run is expected to take, Run."""
    with control.container(border=True, key="run_bar", horizontal=True, vertical_alignment="center", gap="small"):
        _presets(form)
        st.markdown(say("run.known") if known else expected(home, recipe, runs), width="stretch")
        control.toggle(say("run.seeds", count=USUAL_SEEDS), key=SEEDS, help=say("run.seeds_help", count=USUAL_SEEDS))
        control.button(say("run.button"), key="run", type="primary", help=say("run.help"), on_click=_start,
                       args=(home, dict(recipe)), width=120)  # fmt: skip


def _presets(form: Form) -> None:
    """Buttons, not a choice with a value: a browser that is a moment behind would send its old value as a click."""
    active = active_preset(form)
    with control.container(key="preset", horizontal=True, gap=None, width="content"):
        for name in PRESETS:
            control.button(
                say(f"preset.{name}"),
                key=f"preset_{name}",
                help=say("preset.help"),
                on_click=_apply_preset,
                args=(name, form.get("task")),
                type="primary" if name == active else "secondary",
            )


def active_preset(form: Form) -> str | None:
    """The preset whose values the form shows, if any."""
    shown = _settings(form.values)
    return next((name for name in PRESETS if preset(name, form.get("task")) == shown), None)


@functools.lru_cache(maxsize=64)
def preset(name: str, task: str) -> dict[str, Any]:
    """All settings of a preset: the task's defaults with its own changes; do not alter the answer."""
    return _settings(choices.read({"task": task, **_changes(name, task)}).values)


def _changes(name: str, task: str) -> dict[str, Any]:
    """What a preset changes: its own student where the task has it, the task's usual or smallest one elsewhere."""
    changes, students = dict(PRESETS[name]), catalogue.current().students(task)
    if changes.get("student", students[0]) in students:
        return changes
    changes.pop("epochs", None)
    if name == "fast":
        return changes | {"student": students[0]}
    return changes | {"student": choices.defaults(task)["student"], "pruning": "magnitude"}


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in values.items() if n not in choices.VIEW}


def expected(home: Home, recipe: Mapping[str, Any], runs: int) -> str:
    """The seconds that Run is expected to take, before it is pressed; ``runs`` of this student have been timed here."""
    found = api.estimate(home, recipe)
    basis = "run.range_elsewhere" if not runs else "run.range_one" if runs == 1 else "run.range"
    spread = say(basis, low=format_seconds(found["low"]), high=format_seconds(found["high"]), count=runs)
    return f"{say('run.expected', seconds=format_seconds(round(found['seconds'])))} {spread}"


def _apply_preset(name: str, task: str) -> None:
    state.choose({**preset(name, task), "point": ""})


def _start(home: Home, recipe: Mapping[str, Any]) -> None:
    """Submit what the page shows; a refusal is said where errors are said, on the rerun that follows."""
    with frame.told():
        api.ensure_runner(home)
        seeds = USUAL_SEEDS if st.session_state.get(SEEDS) else 1
        submitted = api_statistics.submit(home, recipe, seeds, who.who(), host=who.is_host())
        state.remember_job(submitted["key"])
        state.choose({"point": submitted["key"][:12]})
