"""One point in every detail: what it answers, where it goes wrong, who asked for it, what is inside. No torch.

``home`` is an :class:`engine.home.Home`; keys may be cut short as in an address. Probabilities are softmax at
temperature 1 of the logits on validation that are kept with a trial (or with its inspection), fractions of one.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import api, api_home, api_rows, catalogue, metrics, store_read
from engine.errors import FileError, InputError, NotFoundError
from engine.execution.base import unpack_predictions
from engine.home import Home

Array = npt.NDArray[Any]
MISTAKES = 48  # images that a page shows at once
ORIGINS = ("trial", "grid", "shipped")


@dataclass(frozen=True)
class Answers:
    """What a point and those beside it answer: logits [N, C] each, on the same first N validation examples.

    ``dense`` and ``teacher`` are None where nothing is kept of them; ``student`` is None for what never finished.
    """

    labels: Array
    student: Array | None = None
    dense: Array | None = None
    teacher: Array | None = None


def view(home: Home, key: str, mistakes: int = MISTAKES) -> dict[str, Any]:
    """All that is known of a point without running anything.

    - ``run``: :func:`engine.api.result`; ``row``: its flat row, None for what never finished.
    - ``confusion``: None, or ``labels`` (class names), ``matrix`` [label][answer] counts, ``dense_matrix`` and
      ``change`` (own minus dense's; both None where the dense student's answers are not kept), ``count``.
    - ``per_class``: ``name``, ``count``, ``right``, ``share`` with its 95 % interval ``low`` to ``high``, and
      ``dense_share``; empty where no answers are kept.
    - ``mistakes``: as :func:`examples` gives them, the teacher right and the student wrong; ``mistakes_total`` of all.
    - ``attempts`` (``attempt``, ``started``, ``ended`` in seconds since 1970, ``reason``), ``wanted_by`` (who),
      ``sweeps`` (``id``, ``name``, ``setting``) that hold the point or the dense student of a grid point.

    Raises :class:`NotFoundError` for a key that nothing is known of.
    """
    run = api.result(home, key)
    found, names = answers_of(home, run), _names(run)
    wrong = _chosen(found, teacher_right=True, wrong=True)
    return {
        "run": run, "row": row(home, run), "confusion": _confusion(found, names), "per_class": _per_class(found, names),
        "mistakes": _examples(found, wrong[:mistakes]), "mistakes_total": len(wrong), "attempts": _attempts(home, run),
        "wanted_by": _wanted_by(home, run["key"]), "sweeps": _sweeps(home, run),
    }  # fmt: skip


def row(home: Home, run: Mapping[str, Any]) -> api_rows.Row | None:
    """The flat row of a run object; shared, copy before changing it."""
    if run["quality"] is None:
        return None
    rows = api.rows_here(home, run["recipe"]["task"], ORIGINS)
    return next((r for r in rows if r["key"] == run["key"]), None)


def examples(home: Home, key: str, label: int | None = None, answer: int | None = None, teacher_right: bool = False,
             wrong: bool = False, start: int = 0, count: int = MISTAKES) -> dict[str, Any]:  # fmt: skip
    """Validation images of one kind: a cell of the confusion matrix, or those that the teacher gets right.

    ``{"total", "rows": [{"index", "label", "answer", "teacher", "student", "dense"}]}``, the last three being [C]
    probabilities or None; ``index`` is the image's in validation, for :func:`images`. The first are those where the
    student gives the label least probability, compared with the teacher.
    """
    found = answers_of(home, api.result(home, key))
    rows = _chosen(found, label, answer, teacher_right, wrong)
    return {"total": len(rows), "rows": _examples(found, rows[max(0, start) :][: max(0, count)])}


def images(task: str, indexes: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Validation images [n, h, w] of a task; raises :class:`InputError` for an index that there is not."""
    pixels = _validation(task).pixels
    for index in indexes:
        if isinstance(index, bool) or not 0 <= index < len(pixels):
            raise InputError("image", index, f"a whole number from 0 to {len(pixels) - 1}")
    chosen: npt.NDArray[np.uint8] = pixels[np.asarray(indexes, np.int64)]
    return chosen


def answers_of(home: Home, run: Mapping[str, Any]) -> Answers:
    """What is kept of the answers of a point, its dense student and its teacher; the classes must agree."""
    labels = _validation(run["recipe"]["task"]).labels.astype(np.int64)
    student = logits(home, run["key"])
    if student is None and api_rows.role_of(run["recipe"]) == "teacher":
        student = _teacher_logits(home, run["recipe"]["task"], run["recipe"]["student"])
    if student is None or run["quality"] is None:
        return Answers(labels)
    dense_key = (run.get("dense") or {}).get("key")
    dense = logits(home, dense_key) if dense_key and dense_key != run["key"] else None
    others = (dense, _teacher_logits(home, run["recipe"]["task"], _teacher(run["recipe"])))
    count = len(student)
    same = [None if o is None or len(o) < count else o[:count] for o in others]
    return Answers(labels[:count], student, *same)


def logits(home: Home, key: str) -> Array | None:
    """Float32 logits [N, C] on validation that are kept with a trial, else None."""
    found = store_read.predictions(api_home.store_of(home), key)
    return None if found is None else unpack_predictions(*found).astype(np.float32)


def probabilities(values: Array) -> Array:
    """Softmax over the last axis at temperature 1."""
    shifted = np.exp(values - values.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def _confusion(found: Answers, names: Sequence[str]) -> dict[str, Any] | None:
    if found.student is None:
        return None
    own = metrics.confusion(found.student, found.labels)
    dense = None if found.dense is None else metrics.confusion(found.dense, found.labels)
    return {
        "labels": list(names), "matrix": own.tolist(), "count": len(found.labels),
        "dense_matrix": None if dense is None else dense.tolist(),
        "change": None if dense is None else (own - dense).tolist(),
    }  # fmt: skip


def _per_class(found: Answers, names: Sequence[str]) -> list[dict[str, Any]]:
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


def _chosen(found: Answers, label: int | None = None, answer: int | None = None, teacher_right: bool = False,
            wrong: bool = False) -> Array:  # fmt: skip
    """Rows that fit, the largest lead of the teacher's (or certainty's) probability of the label first."""
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


def _examples(found: Answers, rows: Array) -> list[dict[str, Any]]:
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


def _attempts(home: Home, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A grid point's attempts are those of the jobs that measured it."""
    store = api_home.store_of(home)
    own = store_read.attempts(store, run["key"])
    dense = (run.get("dense") or {}).get("key")
    if own or run["origin"] != "grid" or not dense:
        return own
    return [a for job in api.grid_jobs(dense) for a in store_read.attempts(store, job)]


def _wanted_by(home: Home, key: str) -> list[str]:
    sql = "SELECT DISTINCT who FROM requests WHERE id = ? AND withdrawn IS NULL ORDER BY who"
    return [r["who"] for r in api_home.store_of(home).rows(sql, key)]


def _sweeps(home: Home, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    dense = (run.get("dense") or {}).get("key") if run["origin"] == "grid" else None
    sql = """SELECT s.id, s.name, t.setting FROM sweep_trials t JOIN sweeps s ON s.id = t.sweep
        WHERE t.key IN (?, ?) ORDER BY s.created DESC"""
    return [dict(r) for r in api_home.store_of(home).rows(sql, run["key"], dense or run["key"])]


def _names(run: Mapping[str, Any]) -> list[str]:
    return list(catalogue.current().row("tasks", run["recipe"]["task"], "task")["class_names"])


def _teacher(recipe: Mapping[str, Any]) -> Any:
    """The last teacher, as agreement is counted; the task's own where the recipe has none."""
    named = [t for p in recipe["phases"] for t in p.get("teachers", ())]
    return named[-1] if named else next(iter(catalogue.current().teachers(recipe["task"])), None)


def _teacher_logits(home: Home, task: str, teacher: Any) -> Array | None:
    if isinstance(teacher, Mapping):
        return logits(home, api.check(teacher).key)
    return None if teacher is None else _shipped_logits(task, teacher)


@functools.lru_cache(maxsize=4)
def _shipped_logits(task: str, teacher: str) -> Array | None:
    try:
        found: Array = _files(task).read_outputs(teacher)["validation"]
    except FileError:  # a teacher whose outputs are not shipped: then there is nothing to compare with
        return None
    return found


@functools.lru_cache(maxsize=2)
def _validation(task: str) -> Any:
    return _files(task).read_sample("validation")


def _files(task: str) -> Any:
    # a task keeps what needs no torch in a module of its own, engine/tasks/_<task>_files.py
    catalogue.current().row("tasks", task, "task")
    try:
        return importlib.import_module(f"engine.tasks._{task}_files")
    except ModuleNotFoundError:
        raise NotFoundError(f"the task {task} has no engine/tasks/_{task}_files.py, which holds its images") from None
