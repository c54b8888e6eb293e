"""Lessons for the pages: what there is to learn, and what two finished runs say about a prediction. No torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import api, api_statistics, api_trial, catalogue, lesson_check, lessons
from engine.errors import NotFoundError, unknown_name
from engine.home import Home
from engine.lesson_check import ANSWERS, QUALITY, Check, Examples, Finding
from engine.lessons import Lesson

known, problems = lessons.known, lessons.problems


def find(name: str) -> Lesson:
    """The lesson of this name; raises :class:`InputError` with the nearest name."""
    if name not in known():
        raise unknown_name("lesson", name, known())
    return known()[name]


def finding(home: Home, check: Check, first: str, second: str) -> Finding | None:
    """What two runs (keys) say; None until both have a result in this home.

    Raises :class:`NotFoundError` where a result is there but its answers are not (they came from elsewhere).
    """
    runs = [_result(home, key) for key in (first, second)]
    if any(run is None for run in runs):
        return None
    one, other = (run for run in runs if run is not None)
    if check.is_ratio:
        return lesson_check.of_costs(check, one["cost"], other["cost"])
    if check.measure == QUALITY:
        rights = [api_statistics.right(home, run["key"]) for run in (one, other)]
        sides = [_kept(found, run["key"]) for found, run in zip(rights, (one, other), strict=True)]
        return lesson_check.of_scores(check, *sides)
    label = _label(one["recipe"]["task"], check)
    return lesson_check.of_answers(check, _examples(home, one), _examples(home, other), label)


def _result(home: Home, key: str) -> dict[str, Any] | None:
    try:
        run = api.result(home, key)
    except NotFoundError:
        return None
    # a shipped one was measured elsewhere and brings no answers along
    own = run["quality"] is not None and run["origin"] != "shipped" and not run.get("preview")
    return run if own else None


def _kept(found: Any, key: str) -> Any:
    if found is None:
        raise NotFoundError(f"trial {key}: its answers are not kept here; run it in this home")
    return found


def _examples(home: Home, run: dict[str, Any]) -> Examples:
    found = api_trial.answers_of(home, run)
    logits = _kept(found.student, run["key"])
    return Examples(np.asarray(logits, np.float64), found.labels, found.teacher)


def _label(task: str, check: Check) -> int | None:
    if not check.of:
        return None
    names = list(catalogue.current().row("tasks", task, "task")["class_names"])
    if check.of not in names:
        raise unknown_name("of", check.of, names)
    return names.index(check.of)


__all__ = ["ANSWERS", "find", "finding", "known", "problems"]
