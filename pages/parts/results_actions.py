"""What can be done with the chosen rows: open, star, write a note, compare, delete."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine import api_keep
from engine.home import Home
from pages.parts import control, frame, links, results_state, who
from pages.parts.results_table import MOST_COMPARED, Index, Marks, View
from pages.parts.words import count, say

NOTE = "results_note"
REASONS_SHOWN = 3


def bar(home: Home, view: View, known: Index, marks: Marks) -> None:
    """One line that is always there, so that the table does not move when a row is ticked."""
    chosen, me = view.chosen, who.who()
    with control.container(horizontal=True, vertical_alignment="center", key="results_actions"):
        said = "chosen" if len(chosen) > 1 else "chosen_one" if chosen else "choose"
        st.html(f'<p class="sh-sub">{say(f"results_page.{said}", count=count(len(chosen)))}</p>', width="content")
        _open(chosen)
        _star(home, chosen, marks, me)
        with control.popover(
            say("results_do.note"), key="results_note_menu", disabled=not chosen, help=say("results_help.note")
        ):
            _note(home, chosen, marks, me)
        _compare(view)
        with control.popover(
            say("results_do.delete"), key="results_delete_menu", disabled=not chosen, help=say("results_help.delete")
        ):
            _delete(home, chosen, me)
        control.button(
            say("results_do.clear"),
            key="results_clear",
            disabled=not chosen,
            help=say("results_help.clear"),
            on_click=results_state.clear_choice,
            type="tertiary",
        )


def _open(chosen: Sequence[str]) -> None:
    if control.button(
        say("results_do.open"), key="results_open", disabled=len(chosen) != 1, help=say("results_help.open")
    ):
        links.go("trial", {"key": chosen[0][: links.SHOWN_KEY]})


def _star(home: Home, chosen: Sequence[str], marks: Marks, me: str) -> None:
    mine = bool(chosen) and all(marks.get(key, {}).get("mine") for key in chosen)
    control.button(
        say("results_do.unstar" if mine else "results_do.star"),
        key="results_star",
        disabled=not chosen,
        help=say("results_help.star"),
        on_click=_set_stars,
        args=(home, tuple(chosen), me, not mine),
    )


def _note(home: Home, chosen: Sequence[str], marks: Marks, me: str) -> None:
    if len(chosen) == 1:
        for note in marks.get(chosen[0], {}).get("notes", ()):
            if note["who"] != me:
                st.text(say("results_page.noted", name=note["name"] or say("results_page.somebody"), note=note["note"]))
    own = {n["note"] for key in chosen for n in marks.get(key, {}).get("notes", ()) if n["who"] == me}
    name = f"{NOTE}_{hash(tuple(chosen)) & 0xFFFFFFFF:x}"
    control.text_area(
        say("results_do.note_label", count=count(len(chosen))),
        own.pop() if len(own) == 1 else "",
        key=name,
        max_chars=api_keep.NOTE_LENGTH,
        help=say("results_help.note"),
    )
    control.button(
        say("results_do.note_keep"),
        key="results_note_keep",
        type="primary",
        help=say("results_help.note_keep"),
        on_click=_write,
        args=(home, tuple(chosen), me, name),
    )


def _compare(view: View) -> None:
    able = 2 <= len(view.chosen) <= MOST_COMPARED
    words = "results_do.compared" if view.beside else "results_do.compare"
    control.button(say(words), key="results_compare", disabled=not able, type="primary" if able else "secondary",
                   help=say("results_help.compare"),
                   on_click=functools.partial(results_state.choose, beside=not view.beside))  # fmt: skip


def _delete(home: Home, chosen: Sequence[str], me: str) -> None:
    st.markdown(say("results_do.delete_sure", count=count(len(chosen))))
    control.button(
        say("results_do.delete_yes"),
        key="results_delete",
        type="primary",
        help=say("results_help.delete_yes"),
        on_click=_remove,
        args=(home, tuple(chosen), me, who.is_host()),
    )


def _set_stars(home: Home, keys: Sequence[str], me: str, on: bool) -> None:
    with frame.told():
        for key in keys:
            api_keep.star(home, key, me, on)


def _write(home: Home, keys: Sequence[str], me: str, name: str) -> None:
    with frame.told():
        for key in keys:
            api_keep.note(home, key, me, str(st.session_state.get(name, "")))


def _remove(home: Home, keys: Sequence[str], me: str, host: bool) -> None:
    with frame.told():
        _told(api_keep.delete(home, keys, me, host))
    results_state.clear_choice()


def _told(found: dict[str, Any]) -> None:
    if found["deleted"]:
        results_state.tell(say("results_do.deleted", count=count(len(found["deleted"]))))
    reasons = list(dict.fromkeys(found["refused"].values()))[:REASONS_SHOWN]
    if reasons:
        results_state.refuse(say("results_do.kept", count=count(len(found["refused"])), reasons="; ".join(reasons)))
