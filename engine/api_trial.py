"""One point in every detail: what it answers, where it goes wrong, who asked for it, what is inside. No torch.

``home`` is an :class:`engine.home.Home`; keys may be cut short as in an address. Probabilities are softmax at
temperature 1 of the logits on validation that are kept with a trial (or with its inspection), fractions of one.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from engine import api, api_home, api_people, api_rows, api_status, catalogue, inspection_files, store_read
from engine.api_answers import answers, models
from engine.api_images import Prepared, files_of, images, prepare_image, read_image, validation
from engine.api_predictions import Answers, Array, chosen, confusion, per_class, rows_of
from engine.errors import FileError, NotFoundError
from engine.execution.base import unpack_predictions
from engine.home import Home
from engine.modalities import positions
from engine.store import ENDED, Ask

__all__ = [
    "MISTAKES", "Prepared", "answers", "answers_of", "examples", "images", "inspect", "inspection", "logits",
    "prepare_image", "read_image", "row", "view",
]  # fmt: skip

MISTAKES = 48  # images that a page shows at once
ORIGINS = ("trial", "grid", "shipped")
PRIORITY = -1  # somebody looks at the point now, and an inspection takes seconds: before one's own longer work
Run = Mapping[str, Any]


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
    names = list(catalogue.current().row("tasks", run["recipe"]["task"], "task")["class_names"])
    found = answers_of(home, run)
    wrong = chosen(found, teacher_right=True, wrong=True)
    return {
        "run": run, "row": row(home, run), "confusion": confusion(found, names), "per_class": per_class(found, names),
        "mistakes": rows_of(found, wrong[:mistakes]), "mistakes_total": len(wrong), "attempts": _attempts(home, run),
        "wanted_by": api_people.wanted_by(home, run["key"]), "sweeps": _sweeps(home, run),
    }  # fmt: skip


def row(home: Home, run: Run) -> api_rows.Row | None:
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
    rows = chosen(found, label, answer, teacher_right, wrong)
    return {"total": len(rows), "rows": rows_of(found, rows[max(0, start) :][: max(0, count)])}


def answers_of(home: Home, run: Run) -> Answers:
    """What is kept of the answers of a point, its dense student and its teacher, on the examples that all have seen."""
    task, key = run["recipe"]["task"], run["key"]
    labels = validation(task).labels.astype(np.int64)
    if positions(catalogue.current().row("tasks", task, "task")) > 1:  # scores are kept of those, no answers
        return Answers(labels[:, 0])
    is_teacher = api_rows.role_of(run["recipe"]) == "teacher"
    student = _shipped_logits(task, run["recipe"]["student"]) if is_teacher else logits(home, key)
    if student is None or run["quality"] is None:
        return Answers(labels)
    dense_key = (run.get("dense") or {}).get("key")
    dense = logits(home, dense_key, key) if dense_key and dense_key != key else None
    count = len(student)
    same = [None if o is None or len(o) < count else o[:count] for o in (dense, _teacher_logits(home, run["recipe"]))]
    return Answers(labels[:count], student, *same)


def logits(home: Home, key: str, of: str | None = None) -> Array | None:
    """Float32 logits [N, C] on validation kept with a trial, or with its inspection or that of the point ``of``."""
    found = store_read.predictions(api_home.store_of(home), key)
    if found is not None:
        return unpack_predictions(*found).astype(np.float32)
    inspected = inspection_files.logits(home, key, "logits")
    if inspected is None and of:
        data = inspection_files.load(home, of)
        if data is not None and data["dense_key"] == key:
            inspected = inspection_files.logits(home, of, "dense_logits")
    return inspected


def inspect(home: Home, key: str, who: str = api.LOCAL) -> str:
    """Ask for a look inside a point (see :func:`inspection`); the job's id for :func:`engine.api.status` and cancel.

    Nothing happens for a point that has been inspected already. Call :func:`engine.api.ensure_runner` afterwards.
    Raises :class:`NotFoundError` for a point that has no result.
    """
    key = api.resolve(home, key)
    body = api_status.body(home, key)
    if body is None:
        raise NotFoundError(f"trial {key}: it has no result yet; only a finished point can be inspected")
    recipe, name = body["recipe"], f"inspect:{key}"
    if inspection_files.load(home, key) is None or models(home, body)[1]:
        asked = {"key": key, "recipe": recipe, "origin": body["origin"]}
        keys = _keys(recipe, body["origin"])
        ask = Ask(name, "inspect", recipe["task"], asked, keys[0], PRIORITY, again=True, prefix=keys[1])
        api_home.store_of(home).submit([ask], who, name)
    return name


def inspection(home: Home, key: str) -> dict[str, Any]:
    """How far the look inside a point is: ``state`` (none, queued, running, done, failed, cancelled), and ``data``.

    ``progress`` is what a job reports (``fraction``, ``doing``), with ``place`` in the queue and ``seconds_left``;
    ``error`` why it failed. ``data`` is None until it is done, then what :func:`engine.inspection.facts` describes
    (shared between callers, who must not change it). None also stands for an inspection whose files are gone.
    """
    key = api.resolve(home, key)
    data = inspection_files.load(home, key)
    if data is not None:
        return {"state": "done", "progress": {"fraction": 1.0}, "error": None, "data": data}
    try:
        now = api_status.status(home, f"inspect:{key}")
    except NotFoundError:
        return {"state": "none", "progress": {}, "error": None, "data": None}
    progress = {**now["progress"], "place": now["place"], "seconds_left": now["seconds_left"]}
    state = "none" if now["state"] == "done" else now["state"]
    return {"state": state, "progress": {} if now["state"] in ENDED else progress, "error": now["error"], "data": None}


def _keys(recipe_json: Mapping[str, Any], origin: str) -> tuple[str, str]:
    """Keys of the dense student, and of the training that the inspection begins with; "" where there is none."""
    if api_rows.role_of(recipe_json) == "teacher":
        return "", ""
    recipe = api.check(recipe_json)
    first = inspection_files.dense_recipe(recipe)
    # a shipped point may be read from its file, and then its training is not there when the inspection is done
    return recipe.dense().key, first.key if first is not None and origin != "shipped" else ""


def _attempts(home: Home, run: Run) -> list[dict[str, Any]]:
    """A grid point's attempts are those of the jobs that measured it."""
    store = api_home.store_of(home)
    own = store_read.attempts(store, run["key"])
    dense = (run.get("dense") or {}).get("key")
    if own or run["origin"] != "grid" or not dense:
        return own
    return [a for job in api.grid_jobs(dense) for a in store_read.attempts(store, job)]


def _sweeps(home: Home, run: Run) -> list[dict[str, Any]]:
    dense = (run.get("dense") or {}).get("key") if run["origin"] == "grid" else None
    sql = """SELECT s.id, s.name, t.setting FROM sweep_trials t JOIN sweeps s ON s.id = t.sweep
        WHERE t.key IN (?, ?) ORDER BY s.created DESC"""
    found = api_home.store_of(home).rows(sql, run["key"], dense or run["key"])
    return [{**dict(r), "setting": json.loads(r["setting"])} for r in found]


def _teacher_logits(home: Home, recipe: Mapping[str, Any]) -> Array | None:
    """Of the last teacher, as agreement is counted; of the task's own where the recipe has none."""
    named = [t for p in recipe["phases"] for t in p.get("teachers", ())]
    teacher = named[-1] if named else next(iter(catalogue.current().teachers(recipe["task"])), None)
    if isinstance(teacher, Mapping):
        return logits(home, api.check(teacher).key)
    return None if teacher is None else _shipped_logits(recipe["task"], teacher)


@functools.lru_cache(maxsize=4)
def _shipped_logits(task: str, teacher: str) -> Array | None:
    try:
        found: Array = files_of(task).read_outputs(teacher)["validation"]
    except FileError:  # a teacher whose outputs are not shipped: then there is nothing to compare with
        return None
    return found
