"""An entry's picture: a real layer before and after a stage, a loss on real images, a task's images, a model's size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine import api_methods, preview
from engine.api_methods import Entry, Pictures
from engine.errors import InputError, StillhouseError
from pages.parts import charts, methods_charts, methods_html, methods_lesson, texts, trial_html
from pages.parts.words import count, line, number, say, sentences

Facts = Mapping[str, Any]
MOST_NAMES, MOST_LINES = 40, 6


def panel(entry: Entry, look: str) -> None:
    """The picture of one entry, or a line that says why there is none."""
    if entry.kind == "tasks":
        _task(entry)
    elif entry.kind == "models":
        _model(entry)
    else:
        kept = api_methods.pictures()
        facts = kept.facts(entry)
        if facts is None:
            st.html(charts.title(say("methods_picture.title"), say("methods_picture.none")))
        elif "refused" in facts:
            told = say("methods_picture.refused", student=kept.index["student"], reason=facts["refused"])
            st.html(charts.title(say("methods_picture.title"), methods_html.caption(told)))
        elif entry.kind == "losses":
            methods_lesson.panel(entry, kept, facts, look)
        else:
            _stage(entry, kept, facts, look)


def _stage(entry: Entry, kept: Pictures, facts: Facts, look: str) -> None:
    arrays, place = kept.of(entry), {name: facts.get(name, kept.index[name]) for name in ("layer", "student")}
    st.html(charts.title(say("methods_picture.title"), say("methods_picture.stage_sub", **place)))
    st.html(trial_html.facts(stage_facts(facts, kept.index)))
    if facts["changed"]:
        methods_charts.show(methods_charts.matrices_of(entry.name, kept, facts, look), "methods_matrix")
        st.html(methods_html.key(say("methods_picture.key"), facts["kept"] is not None))
        methods_charts.show(methods_charts.weights(entry.name, place["layer"], facts, look), "methods_weights")
    if "mean" in arrays:
        methods_charts.show(methods_charts.norms(entry.name, arrays, look), "methods_norms")
    if "inputs" in arrays:
        st.html(charts.title(say("methods_picture.inputs"), say("methods_picture.inputs_sub")))
        methods_charts.show(methods_charts.inputs(entry.name, arrays, look), "methods_inputs")
    st.html(f'<p class="sh-sub">{methods_html.caption(told(facts))}</p>')


def stage_facts(facts: Facts, index: Facts) -> list[tuple[str, str, str]]:
    """What can be counted in the layer afterwards, as (term, value, note)."""
    rows = []
    if facts["zeros"] > 0.001:
        rows.append((say("methods_picture.zeros"), f"{100 * facts['zeros']:.0f} %", say("methods_picture.zeros_note")))
    if facts["row_levels"] <= 2**8 and facts["row_levels"] < 0.5 * _columns(facts):
        rows.append((say("methods_picture.levels"), count(facts["row_levels"]), say("methods_picture.levels_note")))
    if facts.get("input_levels"):
        rows.append(
            (say("methods_picture.input_levels"), count(facts["input_levels"]), say("methods_picture.entering"))
        )
    if facts["shape"] != (was := facts.get("was", index["shape"])):
        shapes = [" × ".join(map(str, s)) for s in (was, facts["shape"])]
        rows.append((say("methods_picture.shape"), shapes[1], say("methods_picture.before", value=shapes[0])))
    before, after = facts["parameters"]
    if before != after:
        note = say("methods_picture.before", value=count(before))
        rows.append((say("methods_picture.parameters"), count(after), note))
    for part in facts["parts"]:
        shape = " × ".join(map(str, part["shape"]))
        rows.append((say("methods_picture.part", name=part["name"]), shape, say("methods_picture.part_note")))
    return rows


def told(facts: Facts) -> str:
    """How the picture was made: settings, what came before, whether it trained."""
    parts = [say("methods_picture.trained" if facts["epochs"] else "methods_picture.at_once")]
    if facts["settings"]:
        given = ", ".join(f"{k} = {number(v)}" for k, v in facts["settings"].items())
        parts.append(say("methods_picture.settings", settings=given))
    if facts["earlier"]:
        names = ", ".join(stage["name"] for stage in facts["earlier"])
        parts.append(say("methods_picture.earlier", names=names))
    return sentences(*parts)


def _columns(facts: Facts) -> int:
    return math.prod(facts["shape"][1:])


def _task(entry: Entry) -> None:
    st.html(charts.title(say("methods_picture.task"), say("methods_picture.task_sub")))
    names = entry.row["class_names"]
    try:
        seen = preview.preview(entry.name)
    except StillhouseError as problem:
        unseen = say("methods_picture.no_preview", names=", ".join(names[:MOST_NAMES]))
        st.caption(unseen if isinstance(problem, InputError) else line(problem))
        return
    if isinstance(seen, preview.Preview):
        st.html(methods_html.samples(seen.images, seen.labels.tolist(), names))
    elif isinstance(seen, preview.TextPreview):
        st.html(methods_html.texts(seen.texts, seen.labels.tolist(), names))
    else:
        st.html("".join(texts.line(line.tokens, ()) for line in seen.lines[:MOST_LINES]))


def _model(entry: Entry) -> None:
    """All models by their parameters, this one in colour."""
    st.html(charts.title(say("methods_picture.model"), say("methods_picture.model_sub")))
    rows = [(e.name, int(e.row["parameters"])) for e in api_methods.entries() if e.kind == "models"]
    st.html(methods_html.sizes(rows, entry.name))
