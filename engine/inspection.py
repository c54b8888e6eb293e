"""What is inside a point: the student after each step of its recipe, each written as an artifact and measured on it.

The student is rebuilt from the trained prefixes that the home keeps (what is missing is trained, and kept), so the last
step is bit for bit the trial's own file. A shipped point that comes with its file is read from that file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine import catalogue, inspection_files, registry
from engine import inspection_attention as attention
from engine.errors import TrialFailedError
from engine.execution.slot import Slot
from engine.home import Home
from engine.inspection_steps import UNTRAINED, Step, Work, step_files, teacher_work
from engine.inspection_weights import Weights, filters, histograms
from engine.measure import machine
from engine.measure.bytes import report as bytes_report
from engine.measure.profile import PROFILED, profiles_of
from engine.pipeline import kept
from engine.recipe import Recipe
from engine.workbench import Report

DENSE, INITIAL = "dense", "initial"


def inspect(body: Mapping[str, Any], home: Home, report: Report, slot: Slot) -> None:
    """Inspect the point ``{"key", "recipe", "origin"}`` and keep what was found (see :mod:`engine.inspection_files`).

    Raises :class:`TrialFailedError` for a point that today's plug-ins would not make again.
    """
    with slot.working():
        steps, before, what = _steps(body, home, report, slot)
        report({"doing": "looking inside", "fraction": 0.99})
        found = facts(steps, before, what) | {"same_file": _same_file(home, body["key"], steps[-1])}
        with slot.quiet():
            found["profile"] = _profile(steps, tuple(registry.get("tasks", body["recipe"]["task"]).input_shape))
        found["dense_key"] = _dense_key(body["recipe"]) if len(steps) > 1 else None
        shown = {"logits": steps[-1]} | ({"dense_logits": steps[0]} if len(steps) > 1 else {})
        task, data = registry.get("tasks", body["recipe"]["task"]), body["recipe"]["data"]
        logits = {name: kept(task, data, step.logits) for name, step in shown.items()}
        looks = attention.of_task(steps[-1].model, body["recipe"]["task"], body["recipe"].get("data", "sample"))
        if looks is not None:  # kept as rows of shares, as logits are
            found["attention"], logits = looks.shape, logits | {"attention": looks.reshape(-1, looks.shape[-1])}
        inspection_files.save(home, body["key"], found, logits)


def facts(steps: Sequence[Step], before: Weights, what: str | None) -> dict[str, Any]:
    """An inspection as plain data: bytes, milliseconds, fractions of one.

    - ``phases``: :meth:`Step.row` of every step; ``layers``: the last one's, each as in
      :class:`engine.artifact.reading.LayerReading`.
    - ``packed``: how the last packed file's ``total`` bytes divide into ``layers``, ``other`` tensors and ``graph``.
    - ``bytes``: where they are and what they could be, see :func:`engine.measure.bytes.report`.
    - ``histograms``, ``filters``: see :mod:`engine.inspection_weights`. ``before`` says what they begin with: dense
      (the first step), initial (the weights before training) or None. ``weights``: trained, or folded (with norms).
    """
    last = steps[-1]
    reading, after = last.reading, last.weights()
    shares = {"layers": sum(x.packed_bytes for x in reading.layers), "other": reading.other_bytes}
    return {
        "phases": [s.row() for s in steps], "layers": [asdict(layer) for layer in reading.layers],
        "packed": {"total": len(last.packed), **shares, "graph": reading.graph_bytes},
        "bytes": bytes_report(last.onnx, last.packed, last.bits, [layer.name for layer in reading.layers]),
        "before": what, "weights": "folded" if last.model is None else "trained",
        "histograms": histograms(before, after), "filters": filters(before, after),
        **{name: machine.facts()[name] for name in ("machine", "machine_id")},
    }  # fmt: skip


def _steps(body: Mapping[str, Any], home: Home, report: Report, slot: Slot) -> tuple[list[Step], Weights, str | None]:
    """All steps with the weights to compare the last one's with, and what those are."""
    if catalogue.current().row("models", body["recipe"]["student"])["role"] == "teacher":
        step = teacher_work(body["recipe"], home, report, slot).shipped_teacher()
        name = body["recipe"]["student"]
        inspection_files.save_model(home, inspection_files.model_id(name), name, step.onnx, len(step.packed))
        return [step], {}, None
    recipe = Recipe.from_json(body["recipe"])
    if recipe.key != body["key"]:
        raise TrialFailedError("it was measured by an earlier version, which made another network; run it again")
    work = Work(recipe, home, report, slot)
    from_files = body.get("origin") == "shipped" and step_files(recipe) is not None
    steps = work.from_files() if from_files else work.steps()
    work.keep_models(steps)
    if len(steps) > 1:
        return steps, steps[0].weights(), INITIAL if steps[0].label.kind == UNTRAINED else DENSE
    return (steps, {}, None) if from_files else (steps, work.initial_weights(), INITIAL)


def _profile(steps: Sequence[Step], shape: tuple[int, ...]) -> dict[str, Any]:
    """{"student": {batch: profile}, "dense": ...} of the last and the first step (engine.measure.profile)."""
    models = {"student": steps[-1].onnx} | ({"dense": steps[0].onnx} if len(steps) > 1 else {})
    found = profiles_of(models, shape, PROFILED)
    return {name: {str(b): rows[name].to_json() for b, rows in found.items()} for name in models}


def _dense_key(recipe_json: Mapping[str, Any]) -> str | None:
    """The key of the trial whose answers the first step's are."""
    dense = inspection_files.dense_recipe(Recipe.from_json(recipe_json))
    return dense.key if dense is not None else None


def _same_file(home: Home, key: str, last: Step) -> bool | None:
    """Whether the trial's own file is what was just made; None where it has none."""
    file: Path = home.artifact(key) / "model.onnx"
    return file.read_bytes() == last.onnx if file.is_file() else None
