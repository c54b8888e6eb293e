"""What models answer on validation: confusion, classes, mistakes. Pure functions of arrays. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import metrics

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answers:
    """What a point and those beside it answer: logits [N, C] each, on the same first N validation examples.

    ``dense`` and ``teacher`` are None where nothing is kept of them; ``student`` is None for what never finished.
    """

    labels: Array
    student: Array | None = None
    dense: Array | None = None
    teacher: Array | None = None


def probabilities(values: Array) -> Array:
    """Softmax over the last axis at temperature 1."""
    shifted = np.exp(values - values.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def confusion(found: Answers, names: Sequence[str]) -> dict[str, Any] | None:
    """Counts by label and answer, beside the dense student's; ``names`` are the classes. None without answers."""
    if found.student is None:
        return None
    own = metrics.confusion(found.student, found.labels)
    dense = None if found.dense is None else metrics.confusion(found.dense, found.labels)
    return {
        "labels": list(names), "matrix": own.tolist(), "count": len(found.labels),
        "dense_matrix": None if dense is None else dense.tolist(),
        "change": None if dense is None else (own - dense).tolist(),
    }  # fmt: skip


def per_class(found: Answers, names: Sequence[str]) -> list[dict[str, Any]]:
    """How often the point is right, class by class, with 95 % intervals; empty without answers."""
    if found.student is None:
        return []
    right = metrics.correct(found.student, found.labels)
    dense = None if found.dense is None else metrics.correct(found.dense, found.labels)
    rows = []
    for number, name in enumerate(names):
        mine = found.labels == number
        count, hits = int(mine.sum()), int(right[mine].sum())
        low, high = metrics.wilson(hits, count) if count else (0.0, 1.0)
        share = hits / count if count else None
        beside = float(dense[mine].mean()) if dense is not None and count else None
        rows.append({"name": name, "count": count, "right": hits, "share": share, "low": low, "high": high,
                     "dense_share": beside})  # fmt: skip
    return rows


def chosen(found: Answers, label: int | None = None, answer: int | None = None, teacher_right: bool = False,
            wrong: bool = False) -> Array:  # fmt: skip
    """Examples that fit, first those where the label's probability falls furthest behind the teacher's (or 1)."""
    if found.student is None or (teacher_right and found.teacher is None):
        return np.zeros(0, np.int64)
    answered = found.student.argmax(1)
    fits = np.ones(len(answered), bool) if label is None else found.labels == label
    if answer is not None:
        fits = fits & (answered == answer)
    if wrong:
        fits = fits & (answered != found.labels)
    every = np.arange(len(answered))
    sure: Any = 1.0
    if found.teacher is not None:
        sure = probabilities(found.teacher)[every, found.labels]
        if teacher_right:
            fits = fits & (found.teacher.argmax(1) == found.labels)
    lead = sure - probabilities(found.student)[every, found.labels]
    rows = np.flatnonzero(fits)
    return np.asarray(rows[np.argsort(-lead[rows], kind="stable")])


def rows_of(found: Answers, rows: Array) -> list[dict[str, Any]]:
    """Probabilities of teacher, student and dense student for the examples ``rows``."""
    if found.student is None or not len(rows):
        return []
    sides = {"teacher": found.teacher, "student": found.student, "dense": found.dense}
    shares = {n: [None] * len(rows) if v is None else probabilities(v[rows]).tolist() for n, v in sides.items()}
    answered = found.student.argmax(1)
    return [
        {"index": int(index), "label": int(found.labels[index]), "answer": int(answered[index]),
         **{name: values[place] for name, values in shares.items()}}
        for place, index in enumerate(rows)
    ]  # fmt: skip
