"""The answer of *Front* in words: the best settings within the limits, the runner-up, how sure that is; or the knee."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import streamlit as st

from engine.figures.front_info import FrontInfo
from engine.figures.hover import quality_words
from engine.figures.pareto_info import cost_words
from engine.units import format_bytes, format_ms
from pages.parts import control, front_filters, links, story
from pages.parts.front_data import Shown
from pages.parts.front_state import LIMITS
from pages.parts.words import count, find, inside, say, sentences

Row = Mapping[str, Any]


def panel(shown: Shown, info: FrontInfo) -> None:
    """One bordered box with a sentence or two and links to the points that it names."""
    with control.container(border=True, key="front_answer"):
        if shown.answer is None:
            _without_limits(shown, info)
        elif shown.answer["best"] is None:
            _said(say("front_answer.none", limits=_limits(shown)), _why(shown))
        else:
            _best(shown, shown.answer)


def _best(shown: Shown, answer: Mapping[str, Any]) -> None:
    row, second = answer["best"], answer["runner_up"]
    text, buttons = st.columns([4.4, 1], vertical_alignment="center")
    with text:
        head = say("front_answer.best", limits=_limits(shown), fits=count(answer["fits"]), of=count(answer["of"]))
        _said(head, say("front_answer.point", numbers=_numbers(row), recipe=story.recipe_words(row), notes=_notes(row)))
        said = [_floor(answer, shown), _second(answer, second, shown)]
        st.html(f'<p class="sh-sub">{story.html(sentences(*said))}</p>')
    with buttons:
        _open(row, say("front_answer.open_best"))
        if second is not None:
            _open(second, say("front_answer.open_second"))


def _second(answer: Mapping[str, Any], second: Row | None, shown: Shown) -> str:
    if second is None:
        return say("front_answer.alone")
    limits, _ = shown.limits
    said = say("front_answer.second", numbers=_numbers(second), recipe=story.recipe_words(second))
    basis = answer["basis"]
    if not limits:  # the smallest file that is good enough was asked for: bytes are exact, nothing is to be doubted
        return said
    if basis == "seeds":
        sure = say("front_answer.over_seeds", share=_share(answer["probability"]), images=count(answer["images"]))
        return sentences(said, sure, _tied(answer))
    if basis != "paired":
        return sentences(said, say(f"front_answer.basis_{basis}"))
    sure = say("front_answer.probability", share=_share(answer["probability"]), images=count(answer["images"]))
    return sentences(said, sure, _tied(answer))


def _tied(answer: Mapping[str, Any]) -> str:
    return say("front_answer.tied") if answer.get("tied") else ""


def _floor(answer: Mapping[str, Any], shown: Shown) -> str:
    """How likely the point really is good enough, where a floor was asked for."""
    _, at_least = shown.limits
    if at_least is None or answer["meets"] is None:
        return ""
    return say("front_answer.meets", share=_share(answer["meets"]), floor=quality_words(at_least, shown.metric))


def _share(probability: float) -> str:
    """Whole percents; never a certainty."""
    if probability > 0.99:
        return say("front_answer.over", share="99 %")
    return say("front_answer.under", share="1 %") if probability < 0.01 else f"{100 * probability:.0f} %"


def _without_limits(shown: Shown, info: FrontInfo) -> None:
    if not len(info.xs):
        _said(say("front_answer.empty"), say("front_answer.empty_more"))
        return
    line = info.lines[0]
    front = say("front_answer.front", points=count(len(info.xs)), front=count(len(line.points)))
    if len(info.lines) > 1:
        _said(say("front_answer.compared", count=len(info.lines)), say("front_answer.hint"))
    elif line.knee is None:
        _said(front, say("front_answer.hint"))
    else:
        row = next(r for r in shown.view.rows if str(r["key"]).startswith(info.keys[line.knee]))
        text, button = st.columns([4.4, 1], vertical_alignment="center")
        with text:
            _said(front, say("front_answer.knee", numbers=_numbers(row), recipe=story.recipe_words(row)))
            st.html(f'<p class="sh-sub">{escape(say("front_answer.hint"))}</p>')
        with button:
            _open(row, say("front_answer.open_knee"))


def _why(shown: Shown) -> str:
    """What the limits would have to be."""
    answer = shown.answer or {}
    nearest = answer["nearest"]
    if answer["reason"] == "empty":
        return say("front_answer.empty_more")
    if answer["reason"] == "both":
        return say("front_answer.why_both")
    if answer["reason"] == "quality":
        return say("front_answer.why_quality", value=quality_words(nearest["quality"], shown.metric))
    parts = [say("front_answer.why_cost", name=inside(front_filters.label("cost", name)), value=cost_words(v, name))
             if v is not None else say("front_answer.why_missing", name=inside(front_filters.label("cost", name)))
             for name, v in nearest.items() if name in shown.limits[0]]  # fmt: skip
    return say("front_answer.why_costs", parts=say("story.and").join(parts))


def _limits(shown: Shown) -> str:
    found = [say(f"front_answer.{name}", value=LIMITS[name].written(shown.values[name], shown.metric))
             for name in LIMITS if shown.values[name] is not None]  # fmt: skip
    return say("story.comma").join(found)


def _numbers(row: Row) -> str:
    """ "89.4 % in 9.41 kB, 52 µs"."""
    quality = quality_words(row["quality"], str(row.get("metric") or "accuracy"))
    time = row.get("latency_ms")
    text = say("front_answer.numbers", quality=quality, size=format_bytes(row["packed_bytes"]))
    if not time:
        return text
    return say("front_answer.simulated" if row.get("simulated") else "front_answer.timed", numbers=text,
               time=format_ms(time))  # fmt: skip


def _notes(row: Row) -> str:
    notes = [say("front_answer.slower", cause=story.cause(row.get("cause")))] if row.get("slower_here") else []
    shipped = [say("front_answer.shipped")] if row.get("origin") == "shipped" else []
    seeds = [say("front_answer.seeds", seeds=row["seeds"])] if row.get("seeds") else []
    return "".join((*seeds, *notes, *shipped))


def _said(head: str, text: str) -> None:
    st.html(f'<p class="sh-sub">{story.html(head)}</p><p class="sh-story">{story.html(text)}</p>')


def _open(row: Row, words: str) -> None:
    links.link("trial", {"key": str(row["key"])[: links.SHOWN_KEY]}, words, find("front_answer.open_help"))
