"""What a class predicted in a lesson: how many chose what. The host sees it at once, others after their own."""

from __future__ import annotations

from html import escape

import streamlit as st

from engine import api_class, api_lessons
from engine.home import Home
from pages.parts import charts, class_chart, control, frame, who
from pages.parts.words import count, language, say


def panel(home: Home, lesson: str, look: str = "") -> None:
    """Bars for the lesson of this name; drawn again every three seconds for who teaches. Alone there is no class."""
    if who.shared():
        every = class_chart.LIVE_SECONDS if class_chart.watching() else None
        st.fragment(frame.guarded(_panel), run_every=every)(home, lesson)


def _panel(home: Home, lesson: str) -> None:
    own = api_class.prediction(home, who.who(), lesson)
    with control.container(border=True, key="class_answers"):
        if own is None and not who.is_host():
            st.html(charts.title(escape(say("class_answers.title")), escape(say("class_answers.first"))))
            return
        found = api_class.tally(home, lesson)
        total = sum(found.values())
        st.html(charts.title(escape(say("class_answers.title")), escape(_sub(total))))
        st.html(bars(lesson, found, own))


def _sub(total: int) -> str:
    if total == 1:
        return say("class_answers.one")
    return say("class_answers.many", count=count(total)) if total else say("class_answers.none")


def bars(lesson: str, tally: dict[str, int], own: str | None) -> str:
    """A line for each choice in the lesson's words: a bar by the largest, the number of people; one's own in bold."""
    spoken, most = api_lessons.find(lesson).say(language()).choices, max(1, *tally.values())
    lines = []
    for choice, people in tally.items():
        mark = ' class="sh-true"' if choice == own else ""
        said = spoken[choice].says + (say("class_answers.own") if choice == own else "")
        lines.append(f'<span{mark}>{escape(said)}</span><i><b style="width:{100 * people / most:.0f}%"></b></i>'
                     f"<span>{count(people)}</span>")  # fmt: skip
    return f'<div class="sh-bars sh-answers">{"".join(lines)}</div>'
