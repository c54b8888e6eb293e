"""The live figure of a lesson: its controls, the picture that follows them at once, a few numbers beside it.

The page that shows one reads the figure's parameters from its address (:func:`read`), hands the values to
:func:`panel` and writes back what :func:`to_address` says when they have ``moved``. A slider redraws the figure alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from html import escape
from typing import Any

import numpy as np
import streamlit as st

from engine import live
from engine.errors import InputError
from engine.figures.svg import wide
from engine.figures.theme import theme_of
from engine.knobs import Knob
from engine.live import Fact, Live
from engine.live.data import IMAGES
from engine.units import format_bytes, format_count, format_ms, format_share
from pages.parts import control, frame
from pages.parts.catalogue_words import class_name
from pages.parts.words import find, line, say, times

PREFIX = "live_"
GIVEN, KEPT = "_live_given", "_live_kept"
SHORT, LADDER = 21, 80  # letters of choices that fit side by side; steps of a logarithmic slider
Values = Mapping[str, Any]
Moved = Callable[[dict[str, Any]], None]


class Spoken(Mapping[str, str]):
    """The words of one figure by name: its own, then what all figures say."""

    def __init__(self, figure: str) -> None:
        self.places = (f"live.{figure}", "live.common")

    def __getitem__(self, name: str) -> str:
        if name.startswith("class_"):
            return class_name(IMAGES, name.removeprefix("class_"))
        for place in self.places:
            if (found := find(f"{place}.{name}")) is not None:
                return found
        raise KeyError(f"no message {name!r} in {' or '.join(self.places)}")

    def __iter__(self) -> Iterator[str]:
        return iter(())  # messages are looked up, never listed

    def __len__(self) -> int:
        return 0


def panel(name: str, settings: Values, look: str, moved: Moved | None = None) -> None:
    """Draw a figure's controls and the figure. ``settings``: what the page's address and the lesson say, checked.

    What a person moves stays until other settings are given. ``moved`` is called inside the fragment, with all values,
    when they are no longer those that were given.
    """
    figure = live.find(name)
    given = (name, tuple(sorted(figure.check(settings).items())))
    if st.session_state.get(GIVEN) != given:
        st.session_state[GIVEN], st.session_state[KEPT] = given, dict(given[1])
        for knob in figure.knobs:
            st.session_state.pop(PREFIX + knob.name, None)
    _fragment(name, look, moved)


def read(name: str, address: Mapping[str, str], usual: Values | None = None) -> tuple[dict[str, Any], list[str]]:
    """Values that an address gives a figure, others as ``usual`` or at their default; what was refused, in words."""
    figure, problems = live.find(name), list[str]()
    values = figure.check(usual or {})
    for knob in figure.knobs:
        if knob.name in address:
            try:
                values[knob.name] = knob.parse(address[knob.name], say("url.where", name=knob.name))
            except InputError as problem:
                problems.append(line(problem))
    return values, problems


def to_address(name: str, values: Values, usual: Values | None = None) -> dict[str, str]:
    """The parameters of those values that are not the usual ones."""
    figure = live.find(name)
    before = figure.check(usual or {})
    return {n: _text(v) for n, v in figure.check(values).items() if v != before[n]}


def parameters(name: str) -> tuple[str, ...]:
    """The names that a figure uses in an address."""
    return tuple(k.name for k in live.find(name).knobs)


def drawn(name: str, values: Values, look: str) -> tuple[str, list[tuple[str, str]]]:
    """A figure as HTML, and its facts as words: name and value."""
    figure, words = live.find(name), Spoken(name)
    info = _info(name, tuple(sorted(values.items())))
    alt = escape(figure.alt(info, words))
    picture = figure.draw(info, theme_of(look), words)
    return f'<div class="sh-live" role="img" aria-label="{alt}">{picture}</div>', [
        (words[f"fact.{fact.name}"], written(fact)) for fact in figure.facts(info)
    ]


def written(fact: Fact) -> str:
    """A fact's value with its unit."""
    value = fact.value
    shown = {"bytes": format_bytes, "share": format_share, "times": times, "ms": format_ms,
             "count": format_count}.get(fact.unit, _short)  # fmt: skip
    return say(f"live.unit.{fact.unit or 'none'}", value=shown(value).replace("-", "−"))


@functools.lru_cache(maxsize=512)
def _info(name: str, values: tuple[tuple[str, Any], ...]) -> Any:
    """Thirty people who look at one lesson mostly look at the same thing."""
    return live.find(name).info(dict(values))


@st.fragment
@frame.guarded
def _fragment(name: str, look: str, moved: Moved | None) -> None:
    figure = live.find(name)
    kept = st.session_state.setdefault(KEPT, figure.check({}))
    for knob in figure.knobs:  # a control that was not drawn for a while has lost its own copy
        st.session_state.setdefault(PREFIX + knob.name, kept[knob.name])
    with control.container(horizontal=True, key="live_controls", gap="medium"):
        for knob in figure.knobs:
            _control(figure, knob)
    values = figure.check({k.name: st.session_state[PREFIX + k.name] for k in figure.knobs})
    html, facts = drawn(name, values, look)
    st.markdown(html, unsafe_allow_html=True)
    told = "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in facts)
    st.html(f'<dl class="sh-facts sh-live-facts">{told}</dl>')
    if values != kept:
        st.session_state[KEPT] = values
        if moved:
            moved(dict(values))


def _control(figure: Live, knob: Knob) -> None:
    words = Spoken(figure.name)
    key, label, told = PREFIX + knob.name, words[f"label.{knob.name}"], words.get(f"help.{knob.name}", knob.help)
    if knob.choices:
        option = functools.partial(_option, words, knob.name)
        short = sum(wide(option(c)) for c in knob.choices) <= SHORT
        pick: Any = control.segmented_control if short else control.selectbox
        more: Any = {"required": True} if pick is control.segmented_control else {}
        pick(label, knob.choices, key=key, help=told, format_func=option, **more)
    elif knob.type == "bool":
        control.toggle(label, key=key, help=told)
    elif knob.log:
        control.select_slider(label, _ladder(knob, st.session_state[key]), key=key, help=told,
                              format_func=functools.partial(_amount, knob.unit))  # fmt: skip
    else:
        kind: Any = float if knob.type == "float" else int
        control.slider(label, kind(knob.low or 0), kind(knob.high or 1), key=key, help=told, step=kind(knob.step or 1),
                       format="percent" if knob.unit == "%" else None)  # fmt: skip


def _option(words: Spoken, knob: str, value: str) -> str:
    return words[f"option.{knob}.{value}"]


def _ladder(knob: Knob, now: float) -> list[float]:
    """Even steps on a logarithmic scale, and the present value."""
    steps = np.geomspace(knob.low or 1, knob.high or 1, LADDER)
    found = {float(f"{v:.3g}") for v in steps} | {now}
    inside = {v for v in found if (knob.low or 0) <= v <= (knob.high or v)}
    return sorted({int(v) for v in inside} if knob.type == "int" else inside)


def _amount(unit: str, value: float) -> str:
    return format_bytes(value) if unit == "bytes" else times(value) if unit == "times" else f"{value:,.4g}"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _text(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else (
        f"{value:.12g}" if isinstance(value, float) else str(value)
    )  # fmt: skip
