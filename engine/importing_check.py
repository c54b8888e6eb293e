"""What a foreign result must be before it may enter a store: possible numbers under the right key. No torch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import api_rows, catalogue, modalities, scores
from engine.errors import FileError, InputError, StillhouseError
from engine.execution.base import unpack_predictions
from engine.recipe import Recipe
from engine.result import Cost, Result
from engine.store import Point

SIZES = {"onnx": "onnx_bytes", "packed": "packed_bytes"}
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
ACCURACY = "accuracy"
MOST_BYTES = 2**40
ROUNDED = 0.002  # predictions are kept in half precision, where two nearly equal answers may become one
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Checked:
    """A result that may enter: its point, when it was measured, its machine in words, its files' bytes by name."""

    key: str
    point: Point
    dense_key: str
    created: float
    machine: str
    files: Mapping[str, int]


def checked(row: Any, predictions: Any) -> Checked:
    """``row`` of the table results, ``predictions`` its (shape, data) or None; :class:`FileError` where not sound."""
    key, body = row["key"], _object(row["body"])
    result = Result.from_json(body)
    recipe = _recipe(result.recipe)
    if recipe.key != key or result.key != key:
        raise FileError("made by another version of the plug-ins or of the data, or altered")
    if result.state != "done" or result.origin == "shipped":
        raise FileError("not a finished trial or grid point")
    _check_numbers(result, recipe)
    shape, data = _predictions(predictions, result, recipe.task)
    created = float(row["created"])
    if not 0 < created < 2**33:
        raise FileError("its time of measurement is impossible")
    point = Point(result.to_json(), shape, data)
    return Checked(key, point, recipe.dense().key, created, api_rows.machine_of(body), _files(result))


def reason(problem: StillhouseError) -> str:
    """One line that equal refusals share, so that they can be counted."""
    if isinstance(problem, InputError):
        return f"its recipe cannot be run here ({problem.where}: {str(problem.value)[:40]!r})"
    return str(problem)[:200]


def _object(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (TypeError, ValueError):
        raise FileError("not a result's JSON") from None
    if not isinstance(found, dict):
        raise FileError("not a result's JSON")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _recipe(row: Fields) -> Recipe:
    recipe = Recipe.from_json(row)
    if recipe.to_json() != dict(row):
        raise FileError("made by another version of the plug-ins or of the data, or altered")
    return recipe


def _check_numbers(result: Result, recipe: Recipe) -> None:
    cost, quality = result.cost, result.quality
    task = catalogue.current().row("tasks", recipe.task)
    if quality.direction != task["direction"]:
        raise FileError("its quality is of another task")
    if quality.metric == ACCURACY and not 0 <= quality.low <= quality.high <= 1:
        raise FileError("its accuracy is not between 0 and 1")
    counts = (cost.onnx_bytes, cost.packed_bytes, cost.parameters, cost.nonzero, cost.macs)
    if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < MOST_BYTES for n in counts):
        raise FileError("its sizes are not whole numbers of a possible size")
    if not (cost.packed_bytes and cost.onnx_bytes and cost.nonzero <= cost.parameters):
        raise FileError("its sizes contradict each other")
    if not (math.isfinite(result.seconds) and result.seconds >= 0) or not _times_possible(cost):
        raise FileError("its times are impossible")


def _times_possible(cost: Cost) -> bool:
    times = [t for t in (cost.latency, cost.latency_batch32) if t]
    return all(math.isfinite(v) and v > 0 for t in times for v in (t.median_ms, t.p95_ms, t.low_ms, t.high_ms))


def _predictions(found: Any, result: Result, task: str) -> tuple[tuple[int, ...], bytes]:
    """Shape and compressed values; a result without any is taken as it is, one that they contradict is refused."""
    if found is None:
        return (), b""
    shape = _object_shape(found["shape"])
    labels, row = scores.labels(task), catalogue.current().row("tasks", task)
    if shape != (len(labels), row["classes"] if modalities.positions(row) == 1 else 1):
        raise FileError("its predictions have another shape than the task's validation images")
    logits = unpack_predictions(shape, found["data"]).astype(np.float32)
    if result.quality.metric in scores.PAIRED:
        counted = float(np.mean(scores.scores(task, logits)))
        if not abs(counted - result.quality.value) <= ROUNDED:
            raise FileError(f"its {result.quality.metric.replace('_', ' ')} is not the one that its predictions give")
    return shape, found["data"]


def _object_shape(text: Any) -> tuple[int, ...]:
    try:
        shape = json.loads(text)
        if len(shape) == 2 and all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < 10**8 for n in shape):
            return tuple(shape)
    except (TypeError, ValueError):
        pass
    raise FileError("its predictions have no shape")


def _files(result: Result) -> dict[str, int]:
    """Bytes by file name of what the trial wrote; nothing where a name is not a plain one."""
    names = {kind: result.artifact.get(kind) for kind in SIZES}
    if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names.values()):
        return {}
    return {str(names[kind]): int(getattr(result.cost, field)) for kind, field in SIZES.items()}
