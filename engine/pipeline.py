"""One trial, top to bottom: train the student, write its artifact, measure that artifact and nothing else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine import artifact, metrics
from engine.artifact import Built
from engine.execution.base import Outcome
from engine.execution.slot import Slot
from engine.files import atomic_folder
from engine.home import Home
from engine.measure import machine
from engine.measure.cost import cost as cost_of
from engine.measure.latency import timing_threads
from engine.measure.timing import dense_reference, readings, with_latencies
from engine.measure.token_timing import times
from engine.modalities import TOKENS
from engine.prefix import Trained
from engine.recipe import Recipe
from engine.result import Cost, Quality, Result
from engine.scores import Scores
from engine.step import flat
from engine.student import train, train_teacher
from engine.tasks._base import Task
from engine.teaching import forward, outputs
from engine.workbench import Bench, Report

Logits = npt.NDArray[np.float32]
BATCH = 50  # divides previews and splits alike, so that every example is always computed in the same batch


def run(recipe: Recipe, home: Home, report: Report, slot: Slot, test: bool = False) -> Outcome:
    """The trial of ``recipe``; its files go to ``home.artifact(recipe.key)``. Only ``test`` reads the test set."""
    started = time.perf_counter()
    timing_threads()  # a setting that is not allowed is refused before anything is trained
    bench = Bench(recipe, home, report, slot.breathe)
    with slot.working():
        trained = train(bench)
        report({"doing": "measuring", "fraction": 1.0})
        built = artifact.build(trained.model, bench.example)
        with atomic_folder(home.artifact(recipe.key)) as folder:
            artifact.save(built, folder)
        logits = predict(built, bench.inputs("validation"))
        cost = timed_cost(bench, trained, built, slot)
        reading = quality(bench, predict(built, bench.inputs("test")), "test") if test else None
        more = against_graph(bench, trained, logits) | token_times(bench, trained, slot)
        result = assemble(bench, trained, logits, cost, gap=more)
    return Outcome(
        replace(result, seconds=time.perf_counter() - started, test=reading), kept(bench.task, recipe.data, logits)
    )


def predict(built: Built, inputs: npt.NDArray[Any]) -> Logits:
    """What the artifact answers: logits [M, classes] from ONNX Runtime, M = examples times positions."""
    return artifact.predict(artifact.session(built.onnx), inputs, BATCH)


def quality(bench: Bench, logits: Logits, split: str) -> Quality:
    """The task's metric for logits of the first examples of ``split``."""
    return bench.task.quality(torch.from_numpy(logits), bench.targets(split, len(logits)))


def kept(task: Task, data: str, logits: Logits) -> Logits:
    """What the store keeps of logits of the first validation examples (see :meth:`engine.tasks._base.Task.kept`)."""
    labels = task.split(data, "validation").labels.flatten()[: len(logits)]
    return task.kept(torch.from_numpy(logits), labels).numpy()


def scores(bench: Bench, logits: Logits) -> Scores:
    """[N] right or wrong of the first validation examples, or their scores (see :mod:`engine.scores`)."""
    if bench.task.metric in metrics.COUNTED:
        return metrics.correct(logits, bench.targets("validation", len(logits)).numpy())
    return np.asarray(kept(bench.task, bench.recipe.data, logits)[:, 0])


def timed_cost(bench: Bench, trained: Trained, built: Built, slot: Slot) -> Cost:
    """Bytes, parameters, multiply-accumulates and latency of an artifact; waits for a quiet moment to time it."""
    reference = dense_reference(bench.spec, bench.example)
    found = readings(bench.home, slot.quiet, built, reference, tuple(bench.task.input_shape))
    return with_latencies(cost_of(trained.model, bench.example, built), built, reference, found)


def token_times(bench: Bench, trained: Trained, slot: Slot) -> dict[str, float]:
    """What a language model takes for a prompt and for one more token; nothing for other models."""
    return times(bench.home, slot.quiet, trained.model) if bench.task.modality == TOKENS else {}


def assemble(
    bench: Bench, trained: Trained, logits: Logits, cost: Cost, taught: Tensor | None = None,
    gap: Mapping[str, float] | None = None, **more: Any,
) -> Result:  # fmt: skip
    """The result of measured logits and costs; ``more`` are other fields of Result.

    ``taught``: the teacher's logits where they are at hand already (see :func:`taught_by`). ``gap``: what
    :func:`against_graph` found, where somebody looked.
    """
    taught = taught_by(bench) if taught is None else taught
    measured = quality(bench, logits, "validation")
    phases = (*trained.phases[:-1], replace(trained.phases[-1], quality=measured.value, cost=cost))
    return Result(
        key=bench.recipe.key, state="done", recipe=bench.recipe.to_json(), quality=measured, cost=cost,
        metrics={**all_metrics(bench, logits, taught), **(gap or {})}, phases=phases, curve=trained.curve,
        environment={**machine.facts(), "timing_threads": timing_threads(), "device": trained.device},
        artifact=more.pop("artifact", {"onnx": "model.onnx", "packed": "model.packed"}), **more,
    )  # fmt: skip


def against_graph(bench: Bench, trained: Trained, logits: Logits) -> dict[str, float]:
    """How far the artifact is from the graph that was trained, on validation: what writing it has changed.

    ``artifact_gap``: the artifact's quality minus the graph's; the rest as in :func:`metrics.artifact_changes`.
    """
    split = bench.task.split(bench.recipe.data, "validation")
    graph = forward(trained.model, split.inputs[: len(logits) // bench.task.positions]).numpy(force=True)
    gap = quality(bench, logits, "validation").value - quality(bench, graph, "validation").value
    return {metrics.ARTIFACT_GAP: gap, **metrics.artifact_changes(logits, graph)}


def taught_by(bench: Bench) -> Tensor:
    """Logits [M, classes] on validation of the recipe's last teacher, or of the task's own where it has none."""
    recipe, task = bench.recipe, bench.task
    named = [teacher for phase in recipe.phases for teacher in phase.teachers]
    teacher = named[-1] if named else task.default["phases"][0]["teachers"][0]
    ask = bench.home, task, recipe.data, teacher, "validation", lambda r: train_teacher(bench, r)
    return flat(outputs(*ask, device=bench.device)).float()


def all_metrics(bench: Bench, logits: Logits, taught: Tensor) -> dict[str, float]:
    """Every measure of the task; ``taught`` as :func:`taught_by` gives it, for the agreement with the teacher."""
    labels = bench.targets("validation", len(logits))
    row = bench.task.metrics(torch.from_numpy(logits), labels, taught[: len(logits)])
    if bench.recipe.without is not None:
        row |= metrics.left_out(logits, labels.numpy(), bench.task.class_names.index(bench.recipe.without))
    return row
