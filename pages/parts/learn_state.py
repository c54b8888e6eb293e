"""What the page Learn shows is in its address: lesson, step, seed, prediction, and the figure's settings."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from engine import api_lessons
from engine.errors import InputError, unknown_name
from engine.lesson_words import OUTCOMES
from engine.lessons import Lesson
from engine.recipe import MAX_SEED
from pages.parts import carried, choices
from pages.parts.words import line, say

STEPS = ("idea", "predict", "run", "check", "class")
NEED_CHOICE = ("run", "check")
NAMES = ("lesson", "step", "seed", "choice")
KEPT, SEEN, LAG_SECONDS = "_learn_address", "_learn_seen", 2.0


@dataclass(frozen=True)
class Asked:
    """The address, checked. ``choice`` is the predicted outcome, or nothing; ``figure`` what the live figure was asked.

    ``figure`` holds names and texts as they stood in the address; the figure itself checks them.
    """

    lesson: str = ""
    step: str = STEPS[0]
    seed: int = 0
    choice: str = ""
    figure: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read(address: Mapping[str, str], lessons: Mapping[str, Lesson]) -> Asked:
    """The address with what is usual in place of what is missing or impossible; a line for each that is impossible."""
    problems: list[str] = []
    first = next(iter(lessons), "")
    lesson = _one_of(address, "lesson", tuple(lessons), first, problems) if lessons else ""
    step = _one_of(address, "step", STEPS, STEPS[0], problems)
    offered = lessons[lesson].check.answers if lesson else OUTCOMES
    choice = _one_of(address, "choice", ("", *offered), "", problems)
    seed = _seed(address, problems)
    others = {n: v for n, v in address.items() if n not in (*NAMES, *choices.RESERVED)}
    return Asked(lesson, step, seed, choice, others, tuple(problems))


def write(asked: Asked) -> dict[str, str]:
    """The shortest address that :func:`read` reads as ``asked``."""
    usual = Asked()
    values = {name: getattr(asked, name) for name in NAMES}
    # the lesson always: which one is the first may change
    shown = {n: str(v) for n, v in values.items() if v != getattr(usual, n) or n == "lesson"}
    return shown | dict(asked.figure)


def sync() -> Asked:
    """What the address asks for; a browser that has not yet taken over the last change does not undo it."""
    lessons, address = api_lessons.known(), _address()
    asked = read(address, lessons)
    before = st.session_state.get(SEEN)
    st.session_state[SEEN] = asked.lesson
    # a link from one lesson to another stays on this page: Streamlit then leaves the browser's address as it was
    if before is not None and before != asked.lesson:
        carried.write(address, tell=True)
    return asked


def choose(**values: Any) -> None:
    """Change parts of the address, from a callback or the script; another lesson begins at its beginning."""
    lessons, before = api_lessons.known(), _address()
    changed = {name: str(value) for name, value in values.items()}
    base = {n: v for n, v in before.items() if n == "seed"} if "lesson" in changed else before
    now = write(read({n: v for n, v in {**base, **changed}.items() if v}, lessons))
    st.session_state[KEPT] = {"before": before, "now": now, "at": time.monotonic()}
    _put(now)


def move(figure: Mapping[str, str]) -> None:
    """Let the address say where the live figure's controls stand; from its fragment, so nothing else is drawn again."""
    now = {n: v for n, v in _address().items() if n in NAMES} | dict(figure)
    _put(now)


def _address() -> dict[str, str]:
    found = {n: v for n, v in carried.own().items() if n not in choices.RESERVED}
    kept = st.session_state.get(KEPT)
    late = kept and found == kept["before"] and time.monotonic() - kept["at"] < LAG_SECONDS
    if not late:
        return found
    _put(kept["now"])
    return dict(kept["now"])


def _put(address: Mapping[str, str]) -> None:
    carried.write({**address, **{n: v for n, v in carried.own().items() if n in choices.RESERVED}})


def _one_of(address: Mapping[str, str], name: str, allowed: tuple[str, ...], usual: str, problems: list[str]) -> str:
    value = address.get(name, usual).strip().lower()
    if value in allowed:
        return value
    problems.append(line(unknown_name(say("url.where", name=name), value[:40], [a for a in allowed if a])))
    return usual


def _seed(address: Mapping[str, str], problems: list[str]) -> int:
    value = address.get("seed", "0").strip()
    if re.fullmatch(r"\d{1,9}", value) and int(value) <= MAX_SEED:
        return int(value)
    problems.append(line(InputError(say("url.where", name="seed"), value[:40], f"0..{MAX_SEED}")))
    return 0
