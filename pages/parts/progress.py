"""While something runs: what the page's own run does, its place in the queue, live curves, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import api, api_people
from engine.home import Home
from engine.units import format_seconds
from pages.parts import control, curves, frame, state, who
from pages.parts.words import find, say

Status = Mapping[str, Any]
ALIVE = ("queued", "running")
SEEN = "_seen"
ORDER = ("trial", "dense", "baseline", "grid", "retime", "other")
MOST = 4  # of one's works; a sweep has hundreds, and its own page


def panel(home: Home, keys: Mapping[str, str], theme: str) -> bool:
    """The panel of the runs named by role in ``keys``, polled only while one is alive; whether the trial itself is."""
    shown = watched(home, keys)
    alive = any(s["state"] in ALIVE for s in shown)
    st.session_state[SEEN] = _signature(home, shown, keys)
    if shown:
        st.fragment(frame.guarded(_panel), run_every=1.0 if alive else None)(home, keys, theme)
    return any(s["role"] == "trial" and s["state"] in ALIVE for s in shown)


def watched(home: Home, keys: Mapping[str, str]) -> list[Status]:
    """What is alive of the page's own runs (whoever wants them) and of what this person wants, the page's trial first;
    and what this session started that ended badly."""
    own = [*(keys[role] for role in ("trial", "dense", "baseline")), *api.grid_jobs(keys["dense"])]
    active = api.active(home, who.who(), MOST, own)
    found = [{**status, "role": _role(status, keys)} for status in active]
    alive = {s["key"] for s in found}
    for name in (j for j in state.jobs() if j not in alive and (j == keys["trial"] or j.startswith("retime:"))):
        status = api.status(home, name)
        if status["state"] in ("failed", "cancelled"):
            found.append({**status, "role": _role(status, keys)})
    return sorted(found, key=lambda s: (ORDER.index(s["role"]), s["state"] != "running"))


def _role(status: Status, keys: Mapping[str, str]) -> str:
    if status["kind"] == "grid":
        return "grid" if keys["dense"] in status["key"] else "other"
    if status["kind"] == "retime":
        return "retime"
    return next((role for role in ("trial", "dense", "baseline") if keys[role] == status["key"]), "other")


def _panel(home: Home, keys: Mapping[str, str], theme: str) -> None:
    shown = watched(home, keys)
    if _signature(home, shown, keys) != st.session_state.get(SEEN):
        st.rerun()
    with control.container(border=True, key="progress"):
        if not any(s["role"] in curves.DASHES and s["state"] == "running" for s in shown):
            _runs(home, shown, keys)
            return
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
        st.caption("  \n".join([*rest, *_others(home)]))


def _lead(home: Home, status: Status, keys: Mapping[str, str]) -> None:
    """A bar, what the run does, when it starts or ends, who else waits for it, and a button that cancels it."""
    bar, button = st.columns([3, 1], vertical_alignment="center")
    share = min(1.0, max(0.0, float((status.get("progress") or {}).get("fraction") or 0.0)))
    wanting, me = api_people.wanted_by(home, status["key"]), who.who()
    bar.progress(share, text=" · ".join([describe(status), *_wait(home, status, me), *_shared(wanting, me)]))
    with button.container(horizontal=True, gap="small"):
        if me in wanting:
            control.button(say("progress.cancel"), key=f"cancel_{status['key']}", on_click=_cancel, width="stretch",
                           args=(home, keys["trial"], status["key"]), help=say("progress.cancel_help"))  # fmt: skip
        if who.is_host() and set(wanting) - {me}:
            control.button(say("progress.stop"), key=f"stop_{status['key']}", on_click=_stop, width="stretch",
                           args=(home, status["key"]), help=say("progress.stop_help"))  # fmt: skip


def _wait(home: Home, status: Status, me: str) -> list[str]:
    """When queued work is expected to start, once this home has timed any."""
    seconds = api_people.waiting(home, status["key"], me)["seconds"] if status["state"] == "queued" else None
    return [say("progress.starts", seconds=format_seconds(round(seconds)))] if seconds and seconds >= 1 else []


def _shared(wanting: Sequence[str], me: str) -> list[str]:
    """Who else asked for a run, in words."""
    others = len(set(wanting) - {me})
    if not others:
        return []
    word = "shared" if me in wanting else "theirs"
    return [say(f"progress.{word}_one") if others == 1 else say(f"progress.{word}", count=others)]


def _others(home: Home) -> list[str]:
    """One line on what other people have in the queue."""
    crowd = api_people.crowd(home, who.who())
    return [say("progress.crowd", **crowd)] if crowd["works"] else []


def _one_a_role(shown: Sequence[Status], lead: str) -> list[Status]:
    """A grid is several jobs; people see one."""
    found = {
        s["key"] if s["role"] == "other" else s["role"]: s
        for s in reversed(shown)
        if s["role"] != lead or lead == "other"
    }
    return sorted(found.values(), key=lambda s: ORDER.index(s["role"]))


def describe(status: Status) -> str:
    """A run's name and state in half a line."""
    recipe: Status = status.get("recipe") or {}
    recipe = recipe.get("recipe") or recipe.get("dense") or recipe
    role = "other_run" if status["role"] == "other" else status["role"]
    name = say(f"progress.{role}", student=str(recipe.get("student", "")).replace("_", " "))
    return " · ".join([name, *doing_of(status)])


def doing_of(status: Status) -> list[str]:
    """What a run does, and how long it will go on, in a few words each."""
    doing: Status = status.get("progress") or {}
    parts = []
    if status["state"] == "queued":
        place = status.get("place")
        parts.append(say("progress.queued", place=place) if place else say("progress.queued_next"))
    elif doing.get("doing") == "training":
        word = "teacher_first" if doing.get("teacher") else "training"
        parts.append(say(f"progress.{word}", epoch=doing.get("epoch") or 1, epochs=doing.get("epochs") or 1,
                         teacher=str(doing.get("teacher") or "").replace("_", " ")))  # fmt: skip
    else:
        word = str(doing.get("doing") or "starting")
        parts.append(find(f"progress.doing.{word.replace(' ', '_')}") or word)
    if status.get("seconds_left"):
        parts.append(say("progress.left", seconds=format_seconds(max(1, round(status["seconds_left"])))))
    if (status.get("attempt") or 1) > 1:
        parts.append(say("progress.retry", attempt=status["attempt"]))
    return parts


def _signature(home: Home, shown: Sequence[Status], keys: Mapping[str, str]) -> tuple[Any, ...]:
    """What makes the rest of the page worth drawing again: a run that began or ended, a grid with a new stage."""
    states = tuple(sorted((s["key"], s["state"]) for s in shown))
    grid = api.grid_status(home, keys["dense"])
    measured = grid["done"] + grid["preview"]
    return states, grid["state"], grid["done"] // 24, measured // 24


def _cancel(home: Home, run: str, key: str) -> None:
    """Withdraw one's own wish: the page's run with its companions; what belongs to another run by its own key."""
    with frame.told():
        if not api.cancel(home, run, who.who()):
            api.cancel(home, key, who.who())


def _stop(home: Home, key: str) -> None:
    """The host stops a run for everybody."""
    with frame.told():
        if who.is_host():
            api.cancel(home, key, everybody=True)
