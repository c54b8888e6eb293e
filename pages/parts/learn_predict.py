"""The prediction, asked before anything runs: what is compared, what may come out, and the button that starts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from engine import api, api_class, api_lessons
from engine.home import Home
from engine.lesson_words import Words
from engine.lessons import Lesson
from engine.recipe import MAX_SEED
from engine.units import format_seconds
from pages.parts import charts, control, frame, learn_say, learn_state, learn_steps, lesson_recipes, state, who, widgets
from pages.parts.learn_state import Asked
from pages.parts.lesson_recipes import Run
from pages.parts.words import find, say

CHOICE, SEED = "learn_choice", "learn_seed"
Runs = tuple[Run, Run]


def panel(home: Home, lesson: Lesson, words: Words, asked: Asked, runs: Runs) -> None:
    """The choices on the left, what will run on the right."""
    known = api_lessons.finding(home, lesson.check, *(run.recipe.key for run in runs)) is not None
    left, right = st.columns([1.15, 1], gap="medium")
    with left, control.container(border=True, key="learn_prediction"):
        st.html(charts.title(say("learn_predict.title"), say("learn_predict.sub")))
        st.html(f'<p class="sh-story">{learn_say.html(words.predict)}</p>')
        _choices(home, lesson, words, asked)
    with right, control.container(border=True, key="learn_runs"):
        st.html(charts.title(say("learn_predict.runs"), table(lesson, words, runs)))
        _seed(asked)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        learn_steps.turn("idea", primary=False)
        st.markdown(_told(home, asked, runs, known), width="stretch")
        control.button(say("learn_predict.see" if known else "learn_predict.run"), key="learn_go", type="primary",
                  disabled=not asked.choice, help=say("learn_predict.run_help"), on_click=start,
                  args=(home, lesson, asked, runs, known))  # fmt: skip


def start(home: Home, lesson: Lesson, asked: Asked, runs: Runs, known: bool = False) -> None:
    """Ask for both runs, as whoever else asks for them, and look on. From a callback."""
    with frame.told():
        if asked.choice:  # it may have come with a link
            api_class.predict(home, who.who(), lesson.name, asked.seed, asked.choice)
        submit(home, runs)  # also what is known, which costs no run: the class chart says who asked for it
        learn_state.choose(step="check" if known else "run")


def submit(home: Home, runs: Sequence[Run]) -> None:
    """Both runs into the queue, without companions: a lesson compares just these two."""
    api.ensure_runner(home)
    for run in runs:
        sent = api.submit(home, run.recipe.to_json(), who.who(), companions=False, host=who.is_host())
        state.remember_job(sent["key"])


def _choices(home: Home, lesson: Lesson, words: Words, asked: Asked) -> None:
    st.session_state[CHOICE] = asked.choice or None
    control.radio(say("learn_predict.choice"), lesson.check.answers, key=CHOICE, index=None, on_change=_chosen,
                  args=(home, lesson, asked.seed),
             format_func=lambda name: words.choices[name].says, help=say("learn_predict.choice_help"))  # fmt: skip


def _chosen(home: Home, lesson: Lesson, seed: int) -> None:
    choice = st.session_state.get(CHOICE) or ""
    learn_state.choose(choice=choice)
    with frame.told():
        api_class.predict(home, who.who(), lesson.name, seed, choice)


def _seed(asked: Asked) -> None:
    st.session_state[SEED] = asked.seed
    control.number_input(say("learn_predict.seed"), 0, MAX_SEED, key=SEED, step=1, help=say("learn_predict.seed_help"),
                    on_change=_seeded, width=160)  # fmt: skip


def _seeded() -> None:
    learn_state.choose(seed=int(st.session_state.get(SEED) or 0))


def _told(home: Home, asked: Asked, runs: Runs, known: bool) -> str:
    if not asked.choice:
        return say("learn_predict.choose_first")
    if known:
        return say("learn_predict.known")
    seconds = sum(api.estimate(home, run.recipe.to_json())["seconds"] for run in runs)
    return say("learn_predict.expected", seconds=format_seconds(round(seconds)))


def table(lesson: Lesson, words: Words, runs: Runs) -> str:
    """The settings that the lesson sets differently, and in a line what both have; the rest follows from those."""
    named = {**lesson.experiment.first, **lesson.experiment.second}
    names = [n for n in lesson_recipes.differing(*runs) if n in named]
    heads = (say("learn_predict.setting"), words.first, words.second)
    head = "<tr>" + "".join(f'<th scope="col">{escape(text)}</th>' for text in heads) + "</tr>"
    rows = "".join(f"<tr><td>{escape(label(runs, n))}</td>{''.join(_cell(run, n) for run in runs)}</tr>" for n in names)
    shared = [f.name for f in runs[0].form.fields if f.name in runs[0].address and f.name not in names]
    both = " · ".join(f"{label(runs, n)}: {shown(runs[0], n)}" for n in shared if n != "seed")
    line = f'<p class="sh-sub">{escape(say("learn_predict.shared", settings=both))}</p>' if both else ""
    return f'<table class="sh-runs">{head}{rows}</table>{line}'


def label(runs: Runs, name: str) -> str:
    """A setting's name as Explore writes it; where its place there says what it is of, that is added here."""
    if (told := find(f"learn_label.{name}")) is not None:
        return told
    knobs: Mapping[str, object] = {f.name: f.knob for run in runs for f in run.form.fields}
    return widgets.label_of(knobs[name])


def _cell(run: Run, name: str) -> str:
    return f"<td>{escape(shown(run, name))}</td>"


def shown(run: Run, name: str) -> str:
    """A setting's value in words; a dash where this run has no such setting."""
    if name not in run.form.values:
        return "–"
    return widgets.value_words(name, run.form.values[name])
