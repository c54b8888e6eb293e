"""A loss on real images: shares and pushes class by class for one setting, and inner maps where it looks inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import preview
from engine.api_methods import Entry, Pictures
from engine.preview import Preview
from pages.parts import catalogue_words, charts, control, extras, methods_charts, methods_html, trial_html
from pages.parts.methods_state import DEFAULT_IMAGE, IMAGE, KNOB, PAGE, VALUE
from pages.parts.words import number, say

Facts = Mapping[str, Any]


def panel(entry: Entry, kept: Pictures, facts: Facts, look: str) -> None:
    """Choices on top, then the chart, then what is inside."""
    arrays, seen = kept.of(entry), preview.preview(methods_charts.TASK)
    st.html(charts.title(say("methods_lesson.title"), say("methods_lesson.sub", student=kept.index["student"])))
    if "push" not in arrays:
        st.caption(say("methods_lesson.no_push"))
    else:
        _lesson(entry, kept, facts, seen, look)
    if "images" in arrays:
        st.html(charts.title(say("methods_lesson.changed"), say("methods_lesson.changed_sub")))
        st.html(methods_html.pairs([seen.images[i] for i in kept.index["images"]], list(arrays["images"])))
    if facts["taps"]:
        _inside(entry, kept, facts, seen, look)


def _lesson(entry: Entry, kept: Pictures, facts: Facts, seen: Preview, look: str) -> None:
    names = catalogue_words.class_names(methods_charts.TASK, kept.index["classes"])
    picture, chosen = st.columns([1, 4.2], vertical_alignment="center")
    with chosen:
        place = _image(names)
        row = _setting(entry, facts)
    with picture:
        pixels = seen.images[kept.index["images"][place]]
        st.html(trial_html.image(pixels, say("soft.image_alt", name=names[kept.index["labels"][place]])))
    methods_charts.show(methods_charts.lesson(entry.name, kept, place, row, look), "methods_lesson")
    st.html(f'<p class="sh-sub">{say("methods_lesson.told", value=number(facts["values"][row]))}</p>')


def _image(names: Sequence[str]) -> int:
    places, told = range(len(names)), say("methods_lesson.image_help")
    extras.settle(PAGE, IMAGE, places, DEFAULT_IMAGE)
    chosen = control.selectbox(say("methods_lesson.image"), places, key=IMAGE.key, help=told,
                               format_func=lambda i: names[i])  # fmt: skip
    return int(chosen)


def _setting(entry: Entry, facts: Facts) -> int:
    """The row of the pictures' settings: 0 is the defaults, then every value of one setting after the other."""
    offered = {name: values for name, values in facts["settings"].items() if len(values) > 1}
    if not offered:
        return 0
    defaults = {k["name"]: k["default"] for k in entry.row["knobs"]}
    left, right = st.columns([1, 1.6])
    with left:
        extras.settle(PAGE, KNOB, list(offered), next(iter(offered)))
        knob = control.selectbox(say("methods_lesson.knob"), list(offered), key=KNOB.key, on_change=_other_knob,
                                 help=say("methods_lesson.knob_help"), format_func=catalogue_words.setting)  # fmt: skip
    texts = [_text(value) for value in offered[knob]]
    words = {text: _spoken(knob, value) for text, value in zip(texts, offered[knob], strict=True)}
    with right:
        extras.settle(PAGE, VALUE, texts, _text(defaults[knob]))
        text = control.select_slider(catalogue_words.setting(knob), texts, key=VALUE.key,
                                     format_func=words.__getitem__)  # fmt: skip
    return row_of(facts, knob, offered[knob][texts.index(text)])


def _other_knob() -> None:
    """Another setting begins at its own default."""
    st.session_state[VALUE.key] = VALUE.knob.default


def _text(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def row_of(facts: Facts, knob: str, value: Any) -> int:
    """Where the picture of one setting stands among all of a loss."""
    at = 1
    for name, values in facts["settings"].items():
        if name == knob:
            return at + int(values.index(value))
        at += len(values)
    return 0


def _spoken(knob: str, value: Any) -> str:
    return number(value) if isinstance(value, float) else catalogue_words.option(knob, value)


def _inside(entry: Entry, kept: Pictures, facts: Facts, seen: Preview, look: str) -> None:
    arrays = kept.of(entry)
    st.html(charts.title(say("methods_lesson.maps"), say("methods_lesson.maps_sub")))
    images = [seen.images[i] for i in kept.index["images"]]
    st.html(methods_html.maps(arrays, images, facts["taps"]))
    if "alike_teacher" in arrays:
        st.html(charts.title(say("methods_lesson.alike"), say("methods_lesson.alike_sub")))
        methods_charts.show(methods_charts.alike(entry.name, kept, look), "methods_alike")
