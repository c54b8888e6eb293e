"""One entry: what it does in words and as a formula, its picture, what to expect, its settings, and how to try it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

import streamlit as st

from engine import api_methods, catalogue
from engine.api_methods import Entry
from engine.knobs import Knob
from pages.parts import charts, choices, control, links, methods_facts, methods_picture, sweep_link, trial_html
from pages.parts.words import count, number, say

ARXIV = "https://arxiv.org/abs/"
_PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def panel(entry: Entry, look: str) -> None:
    """The whole entry, top to bottom."""
    row = entry.row
    with control.container(key="methods_head"):
        st.html(_head(entry))
    left, right = st.columns([1.45, 1], gap="medium")
    with left:
        if row.get("formula"):
            with control.container(border=True, key="methods_formula"):
                for line in lines(row["formula"]):
                    st.latex(line)
        with control.container(border=True, key="methods_picture"):
            methods_picture.panel(entry, look)
        if row["knobs"]:
            _settings(entry)
    with right:
        with control.container(border=True, key="methods_words"):
            st.html(_words(entry))
        _try(entry)


def lines(formula: str) -> list[str]:
    r"""A formula in lines: broken where it leaves a wide space outside of brackets (``\quad``, ``\qquad``)."""
    parts, depth, begin = [], 0, 0
    for found in re.finditer(r"\\left(?![a-z])|\\right(?![a-z])|[{}]|\\qquad|\\quad", formula):
        word = found.group()
        depth += {"{": 1, "}": -1, "\\left": 1, "\\right": -1}.get(word, 0)
        if depth == 0 and word in ("\\quad", "\\qquad"):
            parts.append(formula[begin : found.start()])
            begin = found.end()
    parts.append(formula[begin:])
    return [p.strip().rstrip(",;").strip() for p in parts if p.strip(" ,;")]


def source(text: str) -> str:
    """The source as HTML, each arXiv number a link that nothing follows by itself."""
    link = rf'<a href="{ARXIV}\1" target="_blank" rel="noopener noreferrer">arXiv:\1</a>'
    return _PAPER.sub(link, escape(text))


def knob_lines(knobs: list[Knob]) -> Iterator[list[str]]:
    """A setting a line: name, what is allowed, the default, what it does."""
    for knob in knobs:
        allowed = ", ".join(knob.choices) if knob.choices else _bounds(knob)
        yield [knob.name, allowed, _value(knob.default), knob.help]


def _head(entry: Entry) -> str:
    row = entry.row
    chips = "".join(f"<li>{escape(text)}</li>" for text in methods_facts.chips(entry))
    return (
        f'<div class="sh-method"><p class="sh-sub">{escape(say(f"methods_group.{entry.group}"))} · '
        f"<code>{escape(entry.name)}</code></p><h2>{escape(row['title'])}</h2>"
        f'<p class="sh-lead">{escape(row["help"])}</p><ul class="sh-chips">{chips}</ul></div>'
    )


def _words(entry: Entry) -> str:
    row, parts = entry.row, []
    for name in ("expect", "caveat"):
        if row.get(name):
            parts.append(f"<dt>{say(f'methods_page.{name}')}</dt><dd>{escape(row[name])}</dd>")
    parts.append(f"<dt>{say('methods_page.source')}</dt><dd>{source(row['source'])}</dd>")
    return f'<dl class="sh-words">{"".join(parts)}</dl>'


def _settings(entry: Entry) -> None:
    knobs = [Knob.from_json(k) for k in entry.row["knobs"]]
    with control.container(border=True, key="methods_settings"):
        st.html(charts.title(say("methods_page.settings"), say("methods_page.settings_sub")))
        head = [say(f"methods_column.{n}") for n in ("name", "allowed", "default", "help")]
        st.html(trial_html.table(head, list(knob_lines(knobs))))


def _try(entry: Entry) -> None:
    """Links that open Explore or Sweep with this entry chosen."""
    spec = api_methods.sweep(entry)
    packed = sweep_link.pack(spec) if spec else None
    explore = on_explore(entry)
    if packed is None and explore is None:
        return
    with control.container(border=True, key="methods_try"):
        st.html(charts.title(say("methods_page.try"), say("methods_page.try_sub")))
        if explore is not None:
            links.link("explore", explore, say("methods_page.explore"), say("methods_page.explore_help"))
        if packed is not None:
            links.link("sweep", {"spec": packed}, say("methods_page.sweep"), say("methods_page.sweep_help"))


def on_explore(entry: Entry) -> dict[str, str] | None:
    """The parameters that open Explore with this entry; None where that page has no place for it."""
    task, chosen = api_methods.task_of(entry), _chosen(entry)
    if task is None or chosen is None:
        return None
    usual = choices.read({}).get("task")
    return chosen if task == usual else {"task": task, **chosen}


def _chosen(entry: Entry) -> dict[str, str] | None:
    if entry.kind == "losses":
        return {"loss": entry.name}
    if entry.kind == "tasks":
        return {"task": entry.name}
    if entry.kind == "models":
        first = catalogue.current().names("tasks")[0]  # which the page opens with
        task = {} if first in entry.row["tasks"] else {"task": entry.row["tasks"][0]}
        return {**task, "teacher" if entry.row["role"] == "teacher" else "student": entry.name}
    pruning = next((k for k, stage in choices.PRUNING.items() if stage == entry.name), None)
    if pruning:
        return {"pruning": pruning}
    rounding = next((k for k, stage in choices.ROUNDING.items() if stage == entry.name), None)
    if rounding is None:
        return None
    return {"bits": "4"} if entry.name == choices.QUANTIZER else {"bits": "4", "rounding": rounding}


def _bounds(knob: Knob) -> str:
    if knob.type == "bool":
        return say("methods_value.bool")
    if knob.low is not None and knob.high is not None:
        return say("methods_value.range", low=number(knob.low), high=number(knob.high))
    return say("methods_value.text") if knob.type == "str" else say("methods_value.any")


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: say("methods_value.none"), True: say("methods_value.yes"), False: say("methods_value.no")}[value]
    if isinstance(value, int):
        return count(value)
    return number(value) if isinstance(value, float) else str(value)
