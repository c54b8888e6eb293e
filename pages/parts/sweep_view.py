"""A sweep that was started: how far it is, what can be done with it, its front as it grows, what failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from engine import api, api_people, api_sweeps
from engine.home import Home
from engine.units import format_seconds
from pages.parts import (
    control,
    details,
    frame,
    sweep_charts,
    sweep_list,
    sweep_plan,
    sweep_sides,
    sweep_state,
    sweep_table,
    who,
)
from pages.parts.sweep_words import setting_words
from pages.parts.words import count, say

Status = Mapping[str, Any]
ALIVE, POLL_SECONDS, GRID_STEP = "running", 1.0, 12
SEEN = "_sweep_seen"
SHOWN_ERRORS = 20


def panel(home: Home, name: str, look: str) -> None:
    """Everything about one sweep; raises NotFoundError when it is gone."""
    status = api_sweeps.status(home, name)
    st.session_state[SEEN] = _signature(status)
    alive = status["state"] == ALIVE or bool(status["running"])
    st.fragment(frame.guarded(_head), run_every=POLL_SECONDS if alive else None)(home, status["id"])
    _errors(status)
    rows = api_sweeps.rows(home, status["id"])
    sweep_charts.front(rows, look, say("sweep_view.front_empty"))
    if status["axes"]:
        sweep_sides.panel(home, status, rows, look)
    sweep_table.panel(home, status, rows)
    _json(status)


def _signature(status: Status) -> tuple[Any, ...]:
    """What makes the rest of the page worth drawing again."""
    names = ("id", "name", "state", "done", "failed", "trials")
    return *(status[n] for n in names), status["grid_points"] // GRID_STEP


def _head(home: Home, name: str) -> None:
    # a button in here draws this part alone: what concerns the rest of the page draws all of it
    if not sweep_state.opened() or not name.startswith(sweep_state.opened()) or frame.FAILURES in st.session_state:
        st.rerun()
    status = api_sweeps.status(home, name)
    if _signature(status) != st.session_state.get(SEEN):
        st.rerun()
    with control.container(border=True, key="sweep_head"):
        _title(home, status)
        st.progress(min(1.0, status["done"] / max(1, status["trials"])), text=progress_words(status))
        _actions(home, status)


def _title(home: Home, status: Status) -> None:
    names = api_people.names(home)
    asker = sweep_list.asker(status, names)
    made = say("sweep_view.made", who=asker, when=details.when(status["created"]))
    reason = say("sweep_view.reason", reason=status["reason"]) if status["reason"] not in ("", status["state"]) else ""
    lines = [made, reason, "" if _mine(status) else say("sweep_view.not_yours", who=asker)]
    quiet = " · ".join(escape(line) for line in lines if line)
    st.html(
        f'<h2 class="sh-title">{sweep_list.badge(status)} {escape(status["name"])}</h2><p class="sh-sub">{quiet}</p>'
    )


def progress_words(status: Status) -> str:
    """How far it is, in one line."""
    parts = [say("sweep_view.progress", done=count(status["done"]), trials=count(status["trials"]))]
    parts += [say(f"sweep_view.{n}", count=status[n]) for n in ("running", "queued", "failed") if status[n]]
    if status["grid_points"]:
        parts.append(say("sweep_view.points", count=count(status["grid_points"])))
    if status["state"] == ALIVE and status["seconds_left"]:
        parts.append(say("sweep_view.left", seconds=format_seconds(max(1, round(status["seconds_left"])))))
    if status["budget_seconds"]:
        spent, budget = format_seconds(status["spent_seconds"]), format_seconds(status["budget_seconds"])
        parts.append(say("sweep_view.spent", spent=spent, budget=budget))
    return " · ".join(parts)


def _mine(status: Status) -> bool:
    return who.is_host() or status["who"] == who.who()


def _actions(home: Home, status: Status) -> None:
    name, state = status["id"], status["state"]
    with control.container(horizontal=True, vertical_alignment="center", key="sweep_actions"):
        if _mine(status):
            if state == ALIVE:
                _action("pause", _call, home, api_sweeps.pause, name)
            if state in ("paused", "cancelled") or (state == "done" and status["failed"]):
                _action("resume", _resume, home, name)
            if state in (ALIVE, "paused"):
                _action("cancel", _call, home, api_sweeps.cancel, name)
            if status["trials"] < status["combinations"]:
                _extend(home, status)
            _rename(home, status)
            if state != ALIVE:
                _action("forget", _forget, home, name)
        _action("copy", _copy, dict(status["spec"]))


def _action(word: str, call: Callable[..., None], *args: Any) -> None:
    control.button(
        say(f"sweep_view.{word}"), key=f"sweep_{word}", help=say(f"sweep_view.{word}_help"), on_click=call, args=args
    )


def _call(home: Home, what: Callable[..., Any], name: str) -> None:
    with frame.told():
        what(home, name, who.who(), who.is_host())


def _resume(home: Home, name: str) -> None:
    with frame.told():
        api.ensure_runner(home)
        api_sweeps.resume(home, name, who.who(), who.is_host())


def _forget(home: Home, name: str) -> None:
    with frame.told():
        api_sweeps.forget(home, name, who.who(), who.is_host())
        sweep_state.open_sweep("")


def _copy(spec: Mapping[str, Any]) -> None:
    with frame.told():
        sweep_state.begin(spec)


def _extend(home: Home, status: Status) -> None:
    rest = status["combinations"] - status["trials"]
    help_text = say("sweep_view.extend_help", count=count(status["combinations"]))
    with control.popover(say("sweep_view.extend"), help=help_text, key="sweep_extend"):
        control.number_input(say("sweep_view.extend_count"), 1, min(rest, 2000), min(rest, 10), key="sweep_further",
                             help=help_text)  # fmt: skip
        control.button(
            say("sweep_view.extend_go"), key="sweep_extend_go", on_click=_extended, args=(home, status["id"])
        )


def _extended(home: Home, name: str) -> None:
    with frame.told():
        api.ensure_runner(home)
        api_sweeps.extend(home, name, int(st.session_state["sweep_further"]), who.who(), who.is_host())


def _rename(home: Home, status: Status) -> None:
    with control.popover(say("sweep_view.rename"), help=say("sweep_view.rename_help"), key="sweep_rename"):
        control.text_input(
            say("sweep_view.rename_name"),
            status["name"],
            key=f"sweep_new_name_{status['id']}",
            max_chars=80,
            help=say("sweep_view.rename_help"),
        )
        control.button(say("sweep_view.rename_go"), key="sweep_rename_go", on_click=_renamed, args=(home, status["id"]))


def _renamed(home: Home, name: str) -> None:
    with frame.told():
        words = st.session_state[f"sweep_new_name_{name}"]
        api_sweeps.rename(home, name, words, who.who(), who.is_host())


def _errors(status: Status) -> None:
    """What failed, each with its settings and the reason."""
    errors: Sequence[Mapping[str, Any]] = status["errors"]
    if not errors:
        return
    title = say("sweep_view.errors_one") if len(errors) == 1 else say("sweep_view.errors", count=len(errors))
    with control.expander(title, expanded=True, key="sweep_errors"):
        lines = [
            f"<li><b>{escape(setting_words(e['setting']) or e['key'][:12])}</b><br>{escape(str(e['error']))}</li>"
            for e in errors[:SHOWN_ERRORS]
        ]
        st.html(f'<ul class="sh-list sh-bad">{"".join(lines)}</ul>')


def _json(status: Status) -> None:
    with control.expander(say("sweep_view.json"), key="sweep_spec"):
        text = json.dumps(status["spec"], indent=1, ensure_ascii=False)
        st.code(text, language="json", height=260)
        sweep_plan.download(text, "sweep_spec_download")
