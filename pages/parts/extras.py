"""Small choices of a page (which picture, which head of attention) in its address: checked, remembered, written back.

What a page shows in the first place has rules of its own (``*_state.py``). These choices belong to one widget each: an
:class:`Extra` is a knob, whose name stands in the address and whose bounds are checked, and the key of the widget.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from engine.errors import InputError
from engine.knobs import Knob
from pages.parts import state
from pages.parts.words import line, say

LAG_SECONDS, MOST_PAST = 2.0, 20
LONGEST = 500  # characters of a text that go into an address


@dataclass(frozen=True)
class Extra:
    """A choice: its knob (name in the address, type, bounds, default) and the key of its widget."""

    knob: Knob
    key: str


@dataclass
class _Kept:
    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] | None = None
    past: list[dict[str, str]] = field(default_factory=list)
    at: float = -math.inf
    problems: list[str] = field(default_factory=list)
    usual: dict[str, Any] = field(default_factory=dict)  # what a widget stands at by itself, as it was drawn last


def whole(name: str, key: str, default: int, low: int, high: int) -> Extra:
    """A whole number."""
    return Extra(Knob(name, "int", default, "", low, high), key)


def word(name: str, key: str, default: str = "", choices: Sequence[str] = ()) -> Extra:
    """A text, or one of a few words."""
    return Extra(Knob(name, "str", default, "", choices=tuple(choices)), key)


def sync(page: str, extras: Sequence[Extra], address: Mapping[str, str]) -> dict[str, str]:
    """Take the choices from the address where it is news, else from the widgets; what the address should say.

    Before any of the widgets is drawn: each finds its value under its key.
    """
    kept = _kept(page)
    part = {e.knob.name: address[e.knob.name] for e in extras if e.knob.name in address}
    held = {e.knob.name: st.session_state[e.key] for e in extras if e.key in st.session_state}
    moved = any(kept.values.get(name, value) != value for name, value in held.items())
    if _fresh(page, kept, part, address, moved):
        kept.values, kept.problems = _read(extras, part)
        kept.usual = {}
    else:
        kept.values = {e.knob.name: e.knob.default for e in extras} | kept.values | held
        kept.problems = [] if moved else kept.problems
    for extra in extras:
        value = kept.values[extra.knob.name]
        if extra.key not in st.session_state or st.session_state[extra.key] != value:
            st.session_state[extra.key] = value
    return _written(kept, extras, part)


def problems(page: str) -> list[str]:
    """What the address asked for and did not get; told until something is changed."""
    return list(_kept(page).problems)


def settle(page: str, extra: Extra, options: Sequence[Any], usual: Any) -> Any:
    """The choice, or ``usual`` where it is none of the ``options`` that there are, which is said at once."""
    value = st.session_state.get(extra.key, extra.knob.default)
    _kept(page).usual[extra.knob.name] = usual
    if value in options:
        return value
    if value != extra.knob.default:
        allowed = say("story.comma").join(str(o) for o in options)
        told = _told(InputError(say("url.where", name=extra.knob.name), value, allowed))
        _kept(page).problems.append(told)
        st.warning(told)
    st.session_state[extra.key] = _kept(page).values[extra.knob.name] = usual
    return usual


def _kept(page: str) -> _Kept:
    found: _Kept = st.session_state.setdefault(f"_extras_{page}", _Kept())
    return found


def _fresh(page: str, kept: _Kept, part: dict[str, str], address: Mapping[str, str], moved: bool) -> bool:
    """Whether the address is news: no late answer of the browser, and not the navigation's bare one on the way back."""
    if kept.written is None:
        return True
    returned = not address and st.session_state.get(state.LAST_PAGE, page) != page
    late = (moved or time.monotonic() - kept.at < LAG_SECONDS) and part in kept.past
    return part != kept.written and not returned and not late


def _read(extras: Sequence[Extra], part: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    values, told = {}, []
    for extra in extras:
        name = extra.knob.name
        values[name] = extra.knob.default
        if name in part:
            try:
                values[name] = extra.knob.parse(part[name], say("url.where", name=name))
            except InputError as problem:
                told.append(_told(problem))
    return values, told


def _told(problem: InputError) -> str:
    return say("url.kept", problem=line(problem))


def _written(kept: _Kept, extras: Sequence[Extra], part: dict[str, str]) -> dict[str, str]:
    usual = {e.knob.name: e.knob.default for e in extras}
    said = {n: v for n, v in kept.values.items() if n in usual and v is not None and v != usual[n]}
    written = {n: _text(v) for n, v in said.items() if v != kept.usual.get(n)}
    written = {n: text for n, text in written.items() if len(text) <= LONGEST}
    if written != kept.written:
        kept.at = time.monotonic()
    kept.past = [*(p for p in kept.past if p not in (part, written)), part, written][-MOST_PAST:]
    kept.written = written
    return written


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.12g}" if isinstance(value, float) else str(value)
