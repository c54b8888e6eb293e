"""Whether the prediction held, from the run's own numbers, with a reason for what was chosen and for what came out."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import streamlit as st

from engine import api_lessons
from engine.figures import verdict
from engine.home import Home
from engine.lesson_check import Check, Finding
from engine.lesson_words import UNDECIDED, Words
from engine.lessons import Lesson
from pages.parts import (
    charts,
    class_answers,
    control,
    learn_idea,
    learn_played,
    learn_predict,
    learn_run,
    learn_say,
    learn_state,
    learn_steps,
    trial_html,
)
from pages.parts.drawing import Drawn
from pages.parts.learn_state import Asked
from pages.parts.lesson_recipes import Run
from pages.parts.lesson_recipes import runs as runs_of
from pages.parts.words import language, say, sentences

MARKS = {"held": "✓", "failed": "✗", "undecided": "?", "unpredicted": "•"}
MOST_SEEDS = 12
Runs = tuple[Run, Run]


def panel(home: Home, lesson: Lesson, words: Words, asked: Asked, runs: Runs, look: str) -> None:
    """The verdict, the numbers, the chart, the reasons; nothing of it before both runs are measured."""
    found = finding(home, lesson.check, runs)
    if found is None:
        st.info(say("learn_check.not_yet"))
        learn_steps.turn("run" if asked.choice else "predict")
        return
    learn_played.remember(lesson.name, asked.seed)
    left, right = st.columns([1.1, 1], gap="medium")
    with left, control.container(border=True, key="learn_verdict"):
        st.html(_verdict(lesson.check, words, asked.choice, found))
        _chart(lesson.check, words, asked.choice, found, look)
    with right, control.container(border=True, key="learn_reasons"):
        st.html(reasons(words, asked.choice, found.outcome))
        st.html(learn_idea.beliefs(words))
        _seeds(home, lesson)
    class_answers.panel(home, lesson.name, look)
    _onward(home, lesson, asked)
    learn_run.open_links(words, runs)


def finding(home: Home, check: Check, runs: Runs) -> Finding | None:
    """What the two runs say."""
    return api_lessons.finding(home, check, *(run.recipe.key for run in runs))


def verdict_of(choice: str, outcome: str) -> str:
    """held, failed, undecided, or unpredicted."""
    if outcome == UNDECIDED:
        return UNDECIDED
    return "unpredicted" if not choice else "held" if choice == outcome else "failed"


def _verdict(check: Check, words: Words, choice: str, found: Finding) -> str:
    name = verdict_of(choice, found.outcome)
    mark = f'<span aria-hidden="true">{MARKS[name]}</span>'
    told = [learn_say.basis(check, found), *([say("learn_check.marked")] if choice else [])]
    facts = trial_html.facts(learn_say.facts(check, found, words.first, words.second))
    return (
        f'<p class="sh-verdict sh-{name}">{mark} {escape(say(f"learn_check.{name}"))}</p>'
        f'<p class="sh-sub">{escape(learn_say.measure(check))}</p>{facts}'
        f'<p class="sh-sub">{escape(sentences(*told))}</p>'
    )


def reasons(words: Words, choice: str, outcome: str) -> str:
    """Why, first of what was predicted, then of what came out where that is something else."""
    parts = []
    if choice:
        chosen = words.choices[choice]
        parts.append((say("learn_check.yours", says=chosen.says), chosen.why))
    if outcome == UNDECIDED:
        parts.append((say("learn_check.why_undecided"), words.undecided))
    elif outcome != choice:
        came = words.choices[outcome]
        parts.append((say("learn_check.instead", says=came.says), came.why))
    return "".join(
        f'<h2 class="sh-title">{escape(head)}</h2><p class="sh-reason">{learn_say.html(text)}</p>'
        for head, text in parts
    )


def _chart(check: Check, words: Words, choice: str, found: Finding, look: str) -> None:
    numbers = [learn_say.scaled(check, v) for v in (found.value, found.low, found.high)]
    info = verdict.verdict_info(*numbers, learn_say.scaled(check, check.margin), found.outcome, choice, check.is_ratio)
    name = "axis_ratio" if check.is_ratio else "axis_difference"
    title = say(f"learn_measure.{name}", unit=learn_say.unit(check))
    names = {outcome: words.choices[outcome].says for outcome in check.answers}
    drawn = verdict.verdict_figure(info, names, title, look)
    told = [learn_say.gap(check, v) for v in (found.value, found.low, found.high)]
    alt = say("learn_check.alt", measure=learn_say.measure(check), value=told[0], low=told[1], high=told[2],
              outcome=names.get(found.outcome, say("learn_check.undecided")))  # fmt: skip
    drawn["layout"]["font"]["family"] = charts.FONT
    control.plotly_chart(Drawn(drawn), key="learn_chart", theme=None, config=charts.CONFIG, alt=alt)


def _seeds(home: Home, lesson: Lesson) -> None:
    """What other seeds of this session said: one seed proves nothing."""
    seen = learn_played.seeds(lesson.name)
    if len(seen) < 2:
        return
    lines = []
    for seed in seen[-MOST_SEEDS:]:
        found = finding(home, lesson.check, runs_of(lesson, seed))
        if found is not None:
            value, low, high = (learn_say.gap(lesson.check, v) for v in (found.value, found.low, found.high))
            lines.append(escape(say("learn_check.seed_row", seed=seed, value=value, low=low, high=high)))
    st.html(f'<p class="sh-sub">{say("learn_check.seeds")}: {"; ".join(lines)}</p>')


def _onward(home: Home, lesson: Lesson, asked: Asked) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        learn_steps.turn("predict", primary=False)
        control.button(say("learn_check.seed_again", seed=asked.seed + 1), key="learn_seed_again", on_click=_another,
                  args=(home, lesson, asked), help=say("learn_check.seed_help"))  # fmt: skip
        names = list(api_lessons.known())
        following = names[names.index(lesson.name) + 1 :]
        if following:
            title = api_lessons.known()[following[0]].say(language()).title
            control.button(say("learn_check.next", title=title), key="learn_next", type="primary",
                      on_click=learn_state.choose, kwargs={"lesson": following[0]})  # fmt: skip
        else:
            st.caption(say("learn_check.last"))


def _another(home: Home, lesson: Lesson, asked: Asked) -> None:
    seed = asked.seed + 1
    runs = runs_of(lesson, seed)
    known = finding(home, lesson.check, runs) is not None
    learn_state.choose(seed=seed)
    learn_predict.start(home, lesson, replace(asked, seed=seed), runs, known)
