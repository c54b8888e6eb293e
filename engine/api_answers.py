"""What the networks of a point answer to one example now: an image, a text, or running text. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import answering, api, api_rows, catalogue, inspection_files, modalities
from engine.api_images import files_of
from engine.api_predictions import probabilities
from engine.errors import FileError, InputError, StillhouseError
from engine.home import Home

Run = Mapping[str, Any]
Task = Mapping[str, Any]
TEACHER = "teacher"


def answers(home: Home, key: str, example: npt.NDArray[Any], index: int | None = None) -> dict[str, Any]:
    """What teacher, dense student and student say of one example, each run now from its own file.

    ``example``: an image [h, w] of uint8, or token ids [T] of a text or of running text. ``index``: which of validation
    it is; a teacher that is not on this machine then answers as it did when its answers were shipped, untimed.

    ``{"classes": names, "models": [{"role", "name", "probabilities", "milliseconds", "bytes"}], "missing": [roles]}``:
    role is teacher, dense or student; milliseconds the median of a few calls on a machine in use; bytes the packed
    file's; of running text ``probabilities`` are [T, V], of what follows each token. ``missing``: whose files are made
    by :func:`engine.api_trial.inspect` and are not there yet. Raises :class:`InputError` for another form of example.
    """
    run = api.result(home, key)
    task = catalogue.current().row("tasks", run["recipe"]["task"], "task")
    given = _given(task, np.asarray(example))
    found, missing = models(home, run)
    told = answering.ask([path for *_, path in found], given) if found else []
    rows = [
        {"role": role, "name": name, "probabilities": probabilities(a.logits).tolist(),
         "milliseconds": a.milliseconds, "bytes": size}
        for (role, name, size, _), a in zip(found, told, strict=True)
    ]  # fmt: skip
    if TEACHER in missing and index is not None and (kept := _shipped(run, index)) is not None:
        rows, missing = [kept, *rows], [role for role in missing if role != TEACHER]
    return {"classes": list(task["class_names"]), "models": rows, "missing": missing}


def _shipped(run: Run, index: int) -> dict[str, Any] | None:
    """What the task's teacher answered to one validation example, from the answers that come with the project."""
    named = [t for p in run["recipe"]["phases"] for t in p.get("teachers", ())]
    teacher = named[-1] if named else next(iter(catalogue.current().teachers(run["recipe"]["task"])), None)
    if not isinstance(teacher, str):
        return None
    try:
        logits = files_of(run["recipe"]["task"]).read_outputs(teacher)["validation"]
    except (FileError, AttributeError):  # nothing is shipped of this one
        return None
    return {"role": TEACHER, "name": teacher, "probabilities": probabilities(logits[index]).tolist(),
            "milliseconds": None, "bytes": None}  # fmt: skip


def _given(task: Task, example: npt.NDArray[Any]) -> answering.Example:
    """The example as the models take it, [1, ...]."""
    shape = tuple(task["input_shape"])
    if modalities.of(task) != modalities.IMAGE:
        if example.dtype.kind not in "iu" or example.shape != shape:
            raise InputError("text", f"{example.dtype} {example.shape}", f"whole numbers {shape}")
        ids: npt.NDArray[np.int64] = example.astype(np.int64)[None]
        return ids
    if example.dtype != np.uint8 or example.shape != shape[1:]:
        raise InputError("image", f"{example.dtype} {example.shape}", f"uint8 {shape[1:]}")
    return np.asarray(files_of(task["name"]).normalised(example[None]), np.float32).reshape(1, *shape)


def models(home: Home, run: Run) -> tuple[list[tuple[str, str, int, Path]], list[str]]:
    """(role, name, packed bytes, ONNX file) of what can answer, and the roles whose files are not there."""
    found, missing = [], []
    for role, name in _wanted_models(run).items():
        model = inspection_files.load_model(home, name)
        own = home.artifact(name) / "model.onnx"
        if model is not None:
            found.append((role, model.name, model.packed_bytes, inspection_files.model_path(home, name)))
        elif role == "student" and run["cost"] and own.is_file():
            found.append((role, run["recipe"]["student"], int(run["cost"]["packed_bytes"]), own))
        else:
            missing.append(role)
    return found, missing


def _wanted_models(run: Run) -> dict[str, str]:
    """The name of each role's model. A dense point is its own dense student, a teacher its own teacher."""
    if api_rows.role_of(run["recipe"]) == "teacher":
        return {"teacher": inspection_files.model_id(run["recipe"]["student"])}
    try:
        recipe = api.check(run["recipe"])
    except StillhouseError:  # a plug-in that is not installed here
        return {"student": run["key"]}
    dense = inspection_files.dense_recipe(recipe)
    named = {"teacher": inspection_files.model_id(inspection_files.teacher_of(recipe))}
    if dense is not None and dense.key != run["key"]:
        named["dense"] = dense.key
    return named | {"student": run["key"]}
