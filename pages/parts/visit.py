"""A first visit to Explore in six short steps: what each place is for, said above it, while the place is outlined.

It begins by itself for somebody who has not been here, unless they came by a link that shows something already; Skip or
the last step are remembered for that person. ``?visit=3`` opens a step, and only then the address follows the steps.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from html import escape

import streamlit as st

from engine import api_people
from engine.errors import InputError
from engine.home import Home
from pages.parts import carried, control, frame, who
from pages.parts.words import line, say

PARAMETER = "visit"
STEP, LINKED, REFUSED, AT = "_visit", "_visit_linked", "_visit_refused", "_visit_at"
LAG_SECONDS = 2.0  # a browser that has not yet taken over a step must not undo it
# what is outlined at each step: keys of containers and widgets; those that are not on the page outline nothing
PLACES: dict[str, tuple[str, ...]] = {
    "models": ("teacher", "student"),
    "temperature": ("temperature", "soft"),
    "run": ("run_bar",),
    "point": ("chart_packed_bytes", "chart_latency_ms"),
    "what_if": ("what_if", "sparsity", "bits"),
    "more": (),
}
STEPS = tuple(PLACES)
READ_ON = '[data-testid="stHeader"] a:is([href*="learn"], [href*="methods"])'
SHOWS_ALREADY = ("point", "lesson")  # in an address; so do the lists of what is hidden or locked, and the presenter


def sync(home: Home) -> int:
    """The step to show, from 1 on, or 0 for none; reads the address before the page writes it."""
    asked = carried.own().get(PARAMETER, "")
    recent = time.monotonic() - st.session_state.get(AT, -math.inf) < LAG_SECONDS
    if carried.presenting():
        return 0
    if asked and not recent:
        _take(asked)
    if STEP not in st.session_state:
        st.session_state[STEP] = int(_newcomer(home))
    return int(st.session_state[STEP])


def parameter() -> dict[str, str]:
    """What the address says of the visit."""
    step = st.session_state.get(STEP, 0)
    return {PARAMETER: str(step)} if step and st.session_state.get(LINKED) else {}


def offer(step: int) -> None:
    """Below the settings: the visit once more."""
    if not step and not carried.presenting():
        control.button(say("visit.again"), key="visit_again", type="tertiary", on_click=_go, args=(1,),
                       help=say("visit.again_help"))  # fmt: skip


def callout(home: Home, step: int) -> Callable[[], None] | None:
    """What draws the step in the place of the page's lead; None without a visit."""
    return functools.partial(_draw, home, step) if step else None


def read(asked: str) -> int:
    """The step that an address names; 0 for one that is none."""
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= 3 else 0
    return number if number <= len(STEPS) else 0


def _take(asked: str) -> None:
    if step := read(asked):
        st.session_state[STEP], st.session_state[LINKED] = step, True
        return
    problem = InputError(say("url.where", name=PARAMETER), asked[:40], say("visit.allowed", last=len(STEPS)))
    st.session_state[REFUSED] = line(problem)


def _newcomer(home: Home) -> bool:
    shown = any(name in carried.own() for name in SHOWS_ALREADY) or any(carried.get(n) for n in carried.LISTS)
    return not shown and not api_people.has_visited(home, who.who())


def _draw(home: Home, step: int) -> None:
    name, last = STEPS[step - 1], step == len(STEPS)
    with control.container(horizontal=True, vertical_alignment="center", gap="small", key="visit"):
        count = say("visit.count", step=step, last=len(STEPS))
        said = f"<b>{escape(count)}</b> {escape(say(f'visit.{name}'))}"
        st.html(f'{_outlined(name)}<p class="sh-visit" role="status">{said}</p>')
        if step > 1:
            control.button(say("visit.back"), key="visit_back", type="tertiary", on_click=_go, args=(step - 1,))
        control.button(say("visit.done" if last else "visit.next"), key="visit_next",
                       on_click=_end if last else _go, args=(home,) if last else (step + 1,))  # fmt: skip
        if not last:
            control.button(say("visit.skip"), key="visit_skip", type="tertiary", help=say("visit.skip_help"),
                           on_click=_end, args=(home,))  # fmt: skip


def refused() -> list[str]:
    """What the address asked of the visit and did not get; said once."""
    return [st.session_state.pop(REFUSED)] if REFUSED in st.session_state else []


def _outlined(name: str) -> str:
    """The style that outlines a step's places."""
    places = ", ".join(f".st-key-{key}" for key in PLACES[name]) or READ_ON
    offset = "4px" if PLACES[name] else "0"
    look = f"outline: 2px solid var(--sh-accent); outline-offset: {offset}; border-radius: 6px;"
    return f"<style>{places} {{ {look} }}</style>"


def _go(step: int) -> None:
    st.session_state[STEP], st.session_state[AT] = step, time.monotonic()
    st.session_state.setdefault(LINKED, False)


def _end(home: Home) -> None:
    _go(0)
    st.session_state[LINKED] = False
    with frame.told():
        api_people.note_visit(home, who.who())
