"""Around every page: the home, one line for every error, and a garbage collection now and then."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Any, ParamSpec

# Plotly looks whether pandas is there while it draws; were the first table to bring it, a chart that another person's
# page draws at that moment would meet half of it
import pandas as pd  # noqa: F401
import streamlit as st

from engine import api, api_people
from engine.errors import StillhouseError
from engine.home import Home
from pages.parts import carried, control, language, share, who
from pages.parts.words import line, say, say_in

FAILURES, NAME, REFUSED, NOTICES = "_failures", "person_name", "_language_refused", "_notices"
COLLECT_SECONDS = 30.0
PATIENCE_SECONDS = 6.0  # a browser draws the first page before the workers take the cores to warm up
_P = ParamSpec("_P")
opened = threading.Event()  # somebody has asked for the first page
_last = {"collected": time.monotonic()}  # the first page need not wait for one


def home() -> Home:
    """The home that this server shows."""
    return Home.locate()


def guarded(draw: Callable[_P, Any]) -> Callable[_P, None]:
    """Draw something; what goes wrong is said in one line, in its place, and a mistake of ours goes to the log.

    Also for fragments, which run without the page around them.
    """

    @functools.wraps(draw)
    def safe(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            draw(*args, **kwargs)
        except StillhouseError as problem:
            st.error(line(problem))
        except Exception:
            logging.getLogger("stillhouse").exception("drawing a page")
            st.error(say("error.unexpected"))

    return safe


def heading(title: str, lead: str, instead: Callable[[], None] | None = None) -> None:
    """The page's name, one line on what it is for, the other languages; where several people are, who looks at it.

    ``instead`` draws something in the place of the line.
    """
    line_of_it = "" if instead or carried.presenting() else f"<p>{escape(lead)}</p>"
    brand = f'<div class="sh-brand"><h1>{escape(title)}</h1>{line_of_it}</div>'
    with control.container(horizontal=True, vertical_alignment="center", key="heading"):
        st.html(f'<div lang="{language.current()}">{brand}</div>')
        if instead:
            instead()
        share.offer()
        if carried.presenting():
            control.button(say("share.leave"), key="leave_presenting", type="tertiary", on_click=carried.choose,
                           args=("present", ""), help=say("share.leave_help"))  # fmt: skip
        tongues()
        if who.shared():
            person(home())
    st.session_state[NOTICES] = st.container()
    if refused := st.session_state.pop(REFUSED, ""):
        known = say("story.comma").join(language.NAMES)
        st.warning(say("language.refused", name=language.PARAMETER, value=refused, known=known))


def tongues() -> None:
    """A button for each language that is not spoken now, named as its readers call it."""
    for name, title in language.NAMES.items():
        if name != language.current():
            control.button(title, key=f"language_{name}", type="tertiary", on_click=language.choose, args=(name,),
                           help=say_in(name, "language.help"))  # fmt: skip


def person(where: Home) -> None:
    """What the others see of this person, and the place to type a name."""
    with control.popover(who.plain(who.name(where)), help=say("who.help"), key="person", width="content"):
        if NAME not in st.session_state:
            st.session_state[NAME] = who.typed(where)
        control.text_input(say("who.ask"), key=NAME, max_chars=api_people.NAME_LENGTH, on_change=_rename, args=(where,),
                           placeholder=say("who.placeholder"), help=say("who.ask_help"))  # fmt: skip
        st.caption(say("who.host" if who.is_host() else "who.note"))


def _rename(where: Home) -> None:
    """Keep what was typed; nothing typed keeps the name as it was."""
    wanted = str(st.session_state.get(NAME, "")).strip()
    if wanted:
        with told():
            api_people.remember(where, who.who(), wanted)
    st.session_state.pop(NAME, None)  # drawn again as it is kept


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Inside a callback there is no page yet: keep the error's line for the rerun that follows."""
    try:
        yield
    except StillhouseError as problem:
        st.session_state[FAILURES] = [*st.session_state.get(FAILURES, ()), line(problem)]


def failures() -> list[str]:
    """What callbacks could not do; each is said once."""
    return list(st.session_state.pop(FAILURES, ()))


@st.cache_resource(show_spinner=False)
def start_runner(root: str) -> bool:
    """Start the runner when the first page of this server opens, so that the first run finds it warm."""
    opened.set()
    try:
        api.ensure_runner(Home.locate(root), PATIENCE_SECONDS)
    except StillhouseError as problem:
        sys.stderr.write(say("error.runner", reason=str(problem)) + os.linesep)
        return False
    return True


def finish() -> None:
    """After a page: what its address locks in vain is said below its heading, and the dialog of links stays open."""
    place = st.session_state.pop(NOTICES, None)
    for problem in share.mistakes():
        with place or st.container():
            st.warning(problem)
    share.draw()
    collect()


def collect() -> None:
    """Full collections are left out of reruns (runner.postScriptGC); this is the periodic one, after the page."""
    now = time.monotonic()
    if now - _last["collected"] > COLLECT_SECONDS:
        _last["collected"] = now
        gc.collect()
