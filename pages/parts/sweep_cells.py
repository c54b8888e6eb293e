"""One cell for one setting of a sweep: its value or values, and beside it how many it takes (one, a list, a range)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from engine.errors import InputError
from engine.knobs import Knob
from pages.parts import catalogue_words, control, subject, sweep_draft, sweep_edit, sweep_state
from pages.parts.sweep_draft import LIST, LOG, ONE, RANGE, Node, Setting
from pages.parts.words import count, find, line, number, say

SUGGESTED = {
    "temperature": (1.0, 2.0, 4.0, 8.0, 16.0), "weight": (0.0, 0.5, 0.9, 1.0), "epochs": (1, 2, 3, 5, 10),
    "sparsity": (0.0, 0.3, 0.5, 0.7, 0.8, 0.9), "labels": (100, 200, 500, 1000, 2000, 5000, 10_000, None),
    "seed": (0, 1, 2, 3, 4), "factor": (0.1, 0.5, 1.0, 2.0),
}  # fmt: skip
SHOWN_VALUES = 8
RARE = ("scope", "keep_first", "granularity", "scale")


def cell(node: Node, task: str, name: str) -> None:
    """Draw one setting; what is typed goes into the draft at once, or is refused in the line below it."""
    knob, setting = sweep_draft.knobs_of(node, task)[name], node.get(name)
    key = f"sw{node.uid}_{name}"
    with control.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", key=f"cell_{key}"):
        if setting.mode in (RANGE, LOG):
            _range(key, node, knob, setting)
        elif setting.mode == LIST:
            _list(key, node, knob, setting)
        else:
            _one(key, node, knob, setting)
        _mode(key, node, knob, setting)
    _below(key, knob, setting)


def label_of(name: str) -> str:
    """A setting's name in words."""
    return find(f"sweep_label.{name}") or catalogue_words.label(name)


def words_of(name: str, value: Any) -> str:
    """A value in words: a title from the catalogue, a message, a short number."""
    if name == "student":
        return catalogue_words.title_of("models", value)
    if name == "without" and value is not None:
        return catalogue_words.class_name(subject.task(), value)
    if isinstance(value, bool):
        return say("sweep_form.yes" if value else "sweep_form.no")
    if value is None:
        return find(f"option.{name}.none") or say("sweep_form.all")
    if isinstance(value, (int, float)):
        return count(value) if isinstance(value, int) and value >= 10_000 else number(value)
    return catalogue_words.option(name, value)


def rare(knob: Knob) -> bool:
    """Whether a knob waits behind "More"."""
    return knob.advanced or knob.name in RARE


def _mode(key: str, node: Node, knob: Knob, setting: Setting) -> None:
    place = sweep_state.hold(f"{key}_mode", setting.mode)

    def changed() -> None:
        sweep_state.refuse(key, None)
        chosen = sweep_edit.with_mode(setting, st.session_state[place], knob)
        sweep_state.edit(sweep_edit.put, node.uid, knob.name, chosen)

    control.selectbox(say("sweep_help.mode"), sweep_edit.modes(knob), key=place, on_change=changed, width=124,
                      label_visibility="collapsed", format_func=_mode_words)  # fmt: skip


def _mode_words(mode: str) -> str:
    return say(f"sweep_mode.{mode}")


def _one(key: str, node: Node, knob: Knob, setting: Setting) -> None:
    place = f"{key}_one"
    # what was refused stays in its field beside the reason
    if not sweep_state.refused(key):
        sweep_state.hold(place, setting.first)
    kind: Any = {"key": place, "on_change": _take_one, "args": (place, key, node.uid, knob), "help": knob.help}
    label = label_of(knob.name)
    if knob.choices or knob.type == "bool":
        options = _words(knob)
        nothing = words_of(knob.name, None) if knob.optional else None
        control.selectbox(label, options, format_func=_in_words(knob.name), placeholder=nothing, **kind)
    elif knob.type == "str":
        control.text_input(label, max_chars=100, **kind)
    else:
        control.number_input(label, value=None, placeholder=say("sweep_form.all"), **kind, **_numbers(knob))


def _words(knob: Knob) -> list[Any]:
    """The only values of a knob of words or of yes and no."""
    return [*([None] if knob.optional else []), *(knob.choices or (True, False))]


def _take_one(place: str, key: str, uid: int, knob: Knob) -> None:
    _take(key, uid, knob, ONE, [st.session_state[place]])


def _list(key: str, node: Node, knob: Knob, setting: Setting) -> None:
    place = f"{key}_list"
    if not sweep_state.refused(key):
        sweep_state.hold(place, list(setting.values))
    free = not knob.choices and knob.type != "bool"

    def changed() -> None:
        _take(key, node.uid, knob, LIST, st.session_state[place])

    control.multiselect(label_of(knob.name), _options(knob, setting, st.session_state.get(place, ())), key=place,
                        help=knob.help, on_change=changed, format_func=_in_words(knob.name), accept_new_options=free,
                        placeholder=say("sweep_form.values_placeholder"))  # fmt: skip


def _options(knob: Knob, setting: Setting, held: Sequence[Any]) -> list[Any]:
    if knob.choices or knob.type == "bool":
        return _words(knob)
    inside = [v for v in _suggestions(knob) if _fits(knob, v)]
    numbers = {*inside, *setting.values, *(v for v in held if not isinstance(v, str) or knob.type == "str")}
    ordered = sorted((n for n in numbers if n is not None), key=lambda n: (isinstance(n, str), n))
    return [*ordered, *([None] if knob.optional else []), *(v for v in held if isinstance(v, str) and v not in numbers)]


def _suggestions(knob: Knob) -> Sequence[Any]:
    few = knob.type == "int" and knob.high is not None and knob.low is not None and knob.high - knob.low < 20
    return range(int(knob.low or 0), int(knob.high or 0) + 1) if few else SUGGESTED.get(knob.name, ())


def _fits(knob: Knob, value: Any) -> bool:
    try:
        knob.check(value, knob.name)
    except InputError:
        return False
    return True


def _range(key: str, node: Node, knob: Knob, setting: Setting) -> None:
    shown = {"low": setting.low, "high": setting.high, "count": setting.count}
    places = {part: f"{key}_{part}" for part in shown}

    def changed() -> None:
        low, high, steps = (st.session_state[places[part]] for part in shown)
        if None in (low, high, steps):
            sweep_state.refuse(key, say("sweep_form.bad_range", most=sweep_draft.MOST_VALUES))
            return
        chosen = Setting(setting.mode, (), float(low), float(high), int(steps))
        sweep_state.refuse(key, None)
        sweep_state.edit(sweep_edit.put, node.uid, knob.name, chosen)

    whole = knob.type == "int"
    for part, value in shown.items():
        if not sweep_state.refused(key):
            sweep_state.hold(places[part], int(value) if part == "count" or whole else float(value))
        title = (
            label_of("count")
            if part == "count"
            else f"{label_of(knob.name)} {label_of(part)}"
            if part == "low"
            else label_of(part)
        )
        more: Any = {"min_value": 2, "max_value": sweep_draft.MOST_VALUES} if part == "count" else _numbers(knob)
        control.number_input(
            title, value=None, key=places[part], on_change=changed, help=say(f"sweep_help.{part}"), **more
        )


def _numbers(knob: Knob) -> dict[str, Any]:
    """Bounds are left to the draft, which says what is allowed: the field itself would drop a number without a word."""
    kind: Any = float if knob.type == "float" else int
    return {"step": kind(knob.step or 1), "format": "%g" if kind is float else "%d"}


def _take(key: str, uid: int, knob: Knob, mode: str, typed: Sequence[Any]) -> None:
    """Check what was typed and put it into the draft, or keep the reason why not."""
    try:
        values = [
            knob.parse(v, label_of(knob.name)) if _text(v, knob) else knob.check(v, label_of(knob.name)) for v in typed
        ]
    except InputError as problem:
        sweep_state.refuse(key, line(problem))
        return
    sweep_state.refuse(key, None)
    sweep_state.edit(sweep_edit.put, uid, knob.name, Setting(mode, tuple(dict.fromkeys(values))))


def _text(value: Any, knob: Knob) -> bool:
    return isinstance(value, str) and knob.type in ("int", "float")


def _below(key: str, knob: Knob, setting: Setting) -> None:
    problem = sweep_state.refused(key) or sweep_draft.wrong(setting, knob)
    if problem:
        st.html(f'<p class="sh-bad" role="alert">{escape(problem)}</p>')
    elif setting.mode in (RANGE, LOG):
        values = [words_of(knob.name, v) for v in sweep_draft.expand(setting, knob)]
        few = len(values) <= SHOWN_VALUES
        first = say("sweep_form.values_join").join(values if few else values[: SHOWN_VALUES - 1])
        shown = first if few else say("sweep_form.values_more", first=first, last=values[-1])
        st.html(f'<p class="sh-sub">{escape(say("sweep_form.preview", count=len(values), values=shown))}</p>')


def _in_words(name: str) -> Any:
    def words(value: Any) -> str:
        return words_of(name, value)

    return words
