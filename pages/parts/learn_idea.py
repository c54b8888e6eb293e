"""The answer in plain words beside a figure that answers at once."""

from __future__ import annotations

from html import escape

import streamlit as st

from engine.lesson_words import Words
from engine.lessons import Lesson
from pages.parts import carried, charts, control, learn_figure, learn_say, learn_steps, methods_entry
from pages.parts.learn_state import Asked
from pages.parts.words import say


def panel(lesson: Lesson, words: Words, asked: Asked, look: str) -> None:
    """Text on the left, what moves on the right."""
    if carried.presenting():
        _presented(lesson, words, asked, look)
        return
    left, right = st.columns([1, 1.25], gap="medium")
    with left:
        with control.container(border=True, key="learn_answer"):
            paragraphs = "".join(f"<p>{learn_say.html(part)}</p>" for part in words.answer.split("\n\n"))
            st.html(f'<div class="sh-answer">{paragraphs}</div>')
        with control.expander(say("learn_idea.formula"), key="learn_formula"):
            for line in methods_entry.lines(lesson.formula):
                st.latex(line)
            st.html(f'<p class="sh-sub">{say("learn_idea.sources")}: {sources(lesson)}</p>')
        with control.expander(say("learn_idea.heard"), key="learn_wrong"):
            st.html(beliefs(words))
        learn_steps.turn("predict")
    with right, control.container(border=True, key="learn_figure"):
        st.html(charts.title(say("learn_idea.try"), learn_say.html(words.look)))
        learn_figure.panel(lesson, asked, look)


def _presented(lesson: Lesson, words: Words, asked: Asked, look: str) -> None:
    """To a room: the figure alone, what to try beside it."""
    left, right = st.columns([1, 2.6], gap="medium")
    with left:
        st.html(f'<p class="sh-story">{learn_say.html(words.look)}</p>')
        learn_steps.turn("predict")
    with right, control.container(border=True, key="learn_figure"):
        learn_figure.panel(lesson, asked, look)


def sources(lesson: Lesson) -> str:
    """Citations as HTML; links that nothing follows by itself."""
    shown = []
    for source in lesson.sources:
        text = methods_entry.source(source.text)
        if source.link and source.link not in text:
            text = (
                f'<a href="{escape(source.link)}" target="_blank" rel="noopener noreferrer">{escape(source.text)}</a>'
            )
        shown.append(text)
    return "; ".join(shown)


def beliefs(words: Words) -> str:
    """What is often said, and what holds instead."""
    pairs = (("heard", "✗", words.misconception), ("holds", "✓", words.truth))
    rows = "".join(
        f'<dt class="sh-{name}"><span aria-hidden="true">{mark}</span> {escape(say(f"learn_idea.{name}"))}</dt>'
        f"<dd>{learn_say.html(text)}</dd>"
        for name, mark, text in pairs
    )
    return f'<dl class="sh-beliefs">{rows}</dl>'
