"""One widget for each kind of field; names, bounds and help come from the field's knob, words from the message file."""

from __future__ import annotations

from collections.abc import Collection
from html import escape
from typing import Any

import streamlit as st

from engine import catalogue
from engine.knobs import Knob
from engine.units import format_share
from pages.parts import catalogue_words, choices, control, state, subject
from pages.parts.choices import FULL_PRECISION, Field, Form
from pages.parts.words import count, find, number, say

KINDS = {"task": "tasks", "teacher": "models", "student": "models", "assistant": "models", "loss": "losses"}
FEW = 3
SECONDARY = ("scope", "keep_first", "granularity", "scale")
TEMPERATURES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0)
LADDER = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
GROUPS = ("models", "teaching", "pruning", "bits")


def form_panel(form: Form, elsewhere: Collection[str] = ()) -> None:
    """All settings but those that stand ``elsewhere``, grouped; rarely used ones wait in an expander."""
    for group in GROUPS:
        with control.container(key=f"group_{group}"):
            st.html(f'<h3 class="sh-group">{escape(say(f"group.{group}"))}</h3>')
            for field in (f for f in form.group(group) if not _rare(f) and f.name not in elsewhere):
                widget(field, form)
            _note(group, form)
    with control.container(key="group_run"):
        for field in (f for f in form.group("run") if not _rare(f)):
            widget(field, form)
    with control.expander(say("group.more"), key="group_more"):
        for field in (f for f in form.fields if _rare(f)):
            widget(field, form)


def widget(field: Field, form: Form) -> None:
    """Draw one field; its value lives in the session under the field's name."""
    knob = field.knob
    label, help_text = label_of(knob), help_of(field, form)
    if field.name == "labels":
        _labels(knob, label, help_text)
    elif field.options:
        control.select_slider(label, field.options, key=field.name, help=help_text, format_func=_width)
    elif knob.choices:
        _choices(field, label, help_text)
    elif knob.type == "bool":
        control.toggle(label, key=field.name, help=help_text)
    elif knob.type == "str":
        control.text_input(label, key=field.name, help=help_text, max_chars=100)
    elif knob.log and knob.type == "float":
        _ladder(knob, label, help_text)
    elif _slides(knob) and not knob.optional:  # a slider cannot stand at nothing
        _slider(field, label, help_text)
    else:
        _number(field, label, help_text)


def _rare(field: Field) -> bool:
    return field.knob.advanced or field.name in SECONDARY


def label_of(knob: Knob) -> str:
    """The message for this field, else its name in words."""
    return find(f"label.{knob.name}") or catalogue_words.label(knob.name)


def help_of(field: Field, form: Form) -> str:
    """What the field means and, for a part of the catalogue, what the chosen one is."""
    kind = KINDS.get(field.name)
    if not kind:
        return field.knob.help
    name = form.values[field.name]
    told = {"title": catalogue_words.title_of(kind, name), "more": catalogue_words.help_of(kind, name)}
    return say("help.with_choice", help=field.knob.help, **told)


def title_of(name: str, value: Any) -> str:
    """An option in words: a title from the catalogue, a message, or the name itself."""
    if name in KINDS:
        return catalogue_words.title_of(KINDS[name], value)
    if name == "without" and value is not None:
        return catalogue_words.class_name(subject.task(), value)
    return catalogue_words.option(name, value)


def value_words(name: str, value: Any) -> str:
    """A setting's value as its widget writes it."""
    if name == "labels":
        return _label_count(value)
    if name == "bits":
        return _width(value)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return title_of(name, value)
    return format_share(value) if name == "sparsity" else number(value)


def _choices(field: Field, label: str, help_text: str) -> None:
    def words(value: str) -> str:
        return title_of(field.name, value)

    options: list[Any] = [*([None] if field.knob.optional else []), *field.knob.choices]
    if field.name == "task":
        control.selectbox(label, options, key="task", help=help_text, format_func=words, on_change=_task_changed)
    elif field.name in KINDS:
        if field.name in ("student", "assistant"):
            options = catalogue.current().students(st.session_state["task"])
        control.selectbox(label, options, key=field.name, help=help_text, format_func=words)
    elif len(options) <= FEW:
        changed = _pruning_changed if field.name == "pruning" else None
        control.segmented_control(label, options, key=field.name, help=help_text, format_func=words, required=True,
                                  on_change=changed or "rerun", width="stretch")  # fmt: skip
    else:
        control.selectbox(label, options, key=field.name, help=help_text, format_func=words)


def _task_changed() -> None:
    """Another task begins with its own default run."""
    state.choose({**choices.usual(st.session_state["task"]), "point": "", "image": 0})


def _pruning_changed() -> None:
    """A net that has lost whole parts has to be repaired; zeros alone need not."""
    state.choose({"finetune": 1 if st.session_state["pruning"] in choices.REMOVES else 0})


def _labels(knob: Knob, label: str, help_text: str) -> None:
    low, high = int(knob.low or 1), int(knob.high or 1)
    steps = {n for n in LADDER if low <= n < high} | {st.session_state["labels"]} - {None}
    control.select_slider(label, [*sorted(steps), None], key="labels", help=help_text, format_func=_label_count)


def _ladder(knob: Knob, label: str, help_text: str) -> None:
    """Even steps on a scale where doubling matters; a value from the URL in between gets a step of its own."""
    low, high = knob.low or 0.0, knob.high or 1.0
    steps = {t for t in TEMPERATURES if low <= t <= high} | {low, high, st.session_state[knob.name]}
    control.select_slider(label, sorted(steps), key=knob.name, help=help_text, format_func=number)


def _label_count(value: int | None) -> str:
    return say("option.all") if value is None else count(value)


def _width(bits: int) -> str:
    return say("option.no_bits") if bits == FULL_PRECISION else str(bits)


def _slides(knob: Knob) -> bool:
    return knob.low is not None and knob.high is not None and (knob.type == "float" or knob.high - knob.low <= 50)


def _slider(field: Field, label: str, help_text: str) -> None:
    knob = field.knob
    kind = float if knob.type == "float" else int
    step = knob.step or (1 if kind is int else 0.05 if (knob.high or 0) - (knob.low or 0) <= 1 else 0.5)
    control.slider(label, kind(knob.low or 0), kind(knob.high or 0), key=field.name, help=help_text, step=kind(step),
                   format="percent" if _is_share(knob) else None)  # fmt: skip


def _is_share(knob: Knob) -> bool:
    return knob.unit == "%" or knob.name == "sparsity"


def _number(field: Field, label: str, help_text: str) -> None:
    knob = field.knob
    kind: Any = float if knob.type == "float" else int
    bounds: Any = {k: None if v is None else kind(v) for k, v in (("min_value", knob.low), ("max_value", knob.high))}
    nothing: Any = {"value": None, "placeholder": find("option.none") or ""} if knob.optional else {}
    control.number_input(label, key=field.name, help=help_text, step=kind(knob.step or 1), **bounds, **nothing)


def _note(group: str, form: Form) -> None:
    """What a learner must know at this place: the teacher saw all labels."""
    if group == "teaching" and form.get("labels") is not None:
        st.caption(say("note.labels", count=count(form.get("labels"))))
    if group == "teaching" and form.get("without") is not None:
        st.caption(say("note.without", name=title_of("without", form.get("without"))))
