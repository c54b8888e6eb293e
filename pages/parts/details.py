"""What happened: one sentence about the point in focus; its recipe, its numbers and its command line on demand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from engine import api, api_statistics
from engine.errors import StillhouseError
from engine.home import Home
from pages.parts import choices, control, links, state, story
from pages.parts.points import Focus
from pages.parts.words import find, say

Row = Mapping[str, Any]


def panel(home: Home, focus: Focus | None, asked: bool) -> None:
    """The point in focus, or what to do to get one."""
    with control.container(border=True, key="story"):
        if focus is None:
            st.html(f'<p class="sh-story">{escape(say("story.nothing_active" if asked else "story.nothing"))}</p>')
            return
        row = focus.row
        run = api.result(home, row["key"])
        said = story.html(story.sentence(run, str(row.get("role")), paired(home, run)))
        text, more = st.columns([5.6, 1], vertical_alignment="center")
        text.html(f'<p class="sh-sub">{escape(_heading(focus))}</p><p class="sh-story">{said}</p>')
        with more, control.popover(say("fact.details"), key="details", width="stretch"):
            _numbers(row)
            _recipe(run, row, focus)
        with more:
            links.link("trial", {"key": row["key"][: links.SHOWN_KEY]}, say("fact.page"), say("fact.page_help"))


def _heading(focus: Focus) -> str:
    role = str(focus.row.get("role"))
    what = find(f"story.{role}_role") or say(f"story.{focus.reason}")
    return f"{what}: {story.recipe_words(focus.row)}"


def paired(home: Home, run: Row) -> dict[str, dict[str, float]]:
    """Paired differences to the teacher and the dense student, where both sides' predictions are kept."""
    # shipped results keep no predictions: then the plain difference stays
    found = _differences(home, run["key"], str([(run.get(name) or {}).get("key") for name in story.OTHERS]),
                         bool(run.get("preview")))  # fmt: skip
    return {name: pair for name, pair in found.items() if name in story.OTHERS}


@st.cache_resource(max_entries=512, show_spinner=False)
def _differences(_home: Home, key: str, others: str, preview: bool) -> dict[str, dict[str, Any]]:
    return api_statistics.differences(_home, key)


def _numbers(row: Row) -> None:
    cells = "".join(
        f"<div><dt>{escape(t)}</dt><dd>{escape(v)}<small>{escape(n)}</small></dd></div>"
        for t, v, n in story.numbers(row)
    )
    st.html(f'<dl class="sh-facts">{cells}</dl>')


def _recipe(run: Row, row: Row, focus: Focus) -> None:
    origin, machine = say(f"origin.{row['origin']}"), row.get("machine") or ""
    st.caption(say("fact.made", origin=origin, machine=machine, when=when(row["created"])))
    st.code(row["key"], language=None)
    with st.container(horizontal=True):
        if focus.reason != "measured" and expressible(run["recipe"]):
            control.button(say("fact.settings"), key="use_settings", on_click=_use, args=(dict(run["recipe"]),))
        if focus.reason == "clicked":
            control.button(say("fact.close"), key="close_point", on_click=state.choose, args=({"point": ""},))
    st.code(json.dumps(run["recipe"], indent=1), language="json", height=220)


def expressible(recipe: Row) -> bool:
    """Whether the page's controls can show exactly this recipe."""
    values = {k: v for k, v in choices.values_of(recipe).items() if v is not None or k == "labels"}
    form = choices.read(values)
    if form.problems:
        return False
    try:
        return api.check(choices.to_recipe(form)).key == api.check(recipe).key
    except StillhouseError:
        return False


def _use(recipe: Row) -> None:
    state.choose({**choices.read(choices.values_of(recipe)).values, "point": ""})


def when(created: Any) -> str:
    """A date as it is stored for shipped results, or the local date and time of seconds since 1970."""
    if isinstance(created, (int, float)):
        import datetime

        return datetime.datetime.fromtimestamp(created).strftime("%Y-%m-%d %H:%M")
    return str(created)
