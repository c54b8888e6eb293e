"""Ready-made sweeps of a task: questions that many people ask, as files to start from or to change.

The orders of one pair of stages are one of them. All four train for the same number of epochs and end at the same
sparsity and bits; what differs is when the teacher teaches and when weights are taken away.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import catalogue

SMALL = 30_000  # parameters: such students take seconds an epoch
EPOCHS = 4
SPARSITY, BITS = 0.7, 4
LABELS_ALONE = {"name": "cross_entropy"}
RECALIBRATE = {"name": "recalibrate"}
FIELDS = ("task", "data", "labels", "student", "phases", "seed")
Json = dict[str, Any]


@dataclass(frozen=True)
class Ready:
    """A ready-made sweep: its title, what it asks, and its file."""

    name: str
    title: str
    help: str
    spec: Mapping[str, Any]


def ready(task: str) -> list[Ready]:
    """The ready-made sweeps of a task; raises :class:`InputError` for an unknown task."""
    default = catalogue.current().row("tasks", task, "task")["default"]
    taught = next((p for p in default["phases"] if p.get("teachers")), None)
    if taught is None:
        return []
    made = (_temperatures, _sizes, _labels, _bits, _pruning, _orders, _seeds)
    return [make(task, copy.deepcopy(dict(default)), taught["loss"], list(taught["teachers"])) for make in made]


def _temperatures(task: str, base: Json, loss: Json, teachers: list[str]) -> Ready:
    several = {**loss, "temperature": [1.0, 2.0, 4.0, 8.0]}
    return Ready(
        "temperatures", "How soft should the teacher speak?",
        "One student at four temperatures, each with its grid of pruned and quantized variants, and the same student "
        "trained on labels alone.",
        _spec(base, "temperatures", [_teach(2, several, teachers)], grids=True, baselines=True),
    )  # fmt: skip


def _sizes(task: str, base: Json, loss: Json, teachers: list[str]) -> Ready:
    students = _small(task, base["student"])
    several = {**loss, "temperature": [1.0, 2.0, 4.0, 8.0]}
    return Ready(
        "sizes", "Small and precise, or large and pruned?",
        f"Students of up to {SMALL:,} parameters at four temperatures, each with its grid: is a small student better "
        "than a larger one that was cut down to the same bytes?",
        _spec(base, "sizes", [_teach(2, several, teachers)], student=students, grids=True),
    )  # fmt: skip


def _labels(task: str, base: Json, loss: Json, teachers: list[str]) -> Ready:
    ways = {"values": [[_teach(3, loss, teachers)], [_teach(3, LABELS_ALONE, [])]], "label": "learns from",
            "labels": ["teacher and labels", "labels alone"]}  # fmt: skip
    return Ready(
        "labels", "What is a teacher worth when labels are scarce?",
        "The same student with few and with all labelled examples, taught and on its own.",
        _spec(base, "labels", ways, labels=[100, 500, 2000, None]),
    )  # fmt: skip


def _bits(task: str, base: Json, loss: Json, teachers: list[str]) -> Ready:
    quantizer = {"name": "quantize_linear", "bits": [8, 4, 3, 2], "training": ["post", "qat"]}
    return Ready(
        "bits", "How few bits are enough?",
        "8, 4, 3 and 2 bits, rounded after training and with training that takes part in it.",
        _spec(base, "bits", [_teach(3, loss, teachers, [quantizer, RECALIBRATE])]),
    )  # fmt: skip


def _pruning(task: str, base: Json, loss: Json, teachers: list[str]) -> Ready:
    pruner = {"name": "prune_magnitude", "schedule": ["one_shot", "gradual"],
              "sparsity": {"low": 0.5, "high": 0.9, "step": 0.1}}  # fmt: skip
    phases = [_teach(3, loss, teachers, [pruner]), {"epochs": 0, "stages": [_quantizer(8, "post"), RECALIBRATE]}]
    return Ready(
        "pruning", "Prune before training or little by little?",
        "Half to nine tenths of the weights, taken before the training or during it, then 8 bits.",
        _spec(base, "pruning", phases),
    )  # fmt: skip


def _orders(task: str, base: Json, loss: Json, teachers: list[str]) -> Ready:
    ways = {"values": list(orders(loss, teachers).values()), "labels": list(orders(loss, teachers)), "label": "order"}
    return Ready(
        "orders", "First distil or first compress?",
        f"Four orders of the same stages: {SPARSITY:.0%} of the weights pruned, {BITS} bits, {EPOCHS} epochs in all. "
        "Where compressing and distilling are apart, the compressing half learns from labels alone.",
        _spec(base, "orders", ways, seed=[0, 1]),
    )  # fmt: skip


def _seeds(task: str, base: Json, loss: Json, teachers: list[str]) -> Ready:
    return Ready(
        "seeds", "How much is chance?",
        "The task's default run with five seeds: differences smaller than theirs mean little.",
        _spec(base, "seeds", base["phases"], seed=[0, 1, 2, 3, 4]),
    )  # fmt: skip


def orders(loss: Json, teachers: list[str], epochs: int = EPOCHS) -> dict[str, list[Json]]:
    """Phases by order: the same stages and ``epochs`` (a multiple of four) epochs in all, in four orders."""
    half, quarter = epochs // 2, epochs // 4
    compress = [_pruner(SPARSITY), _quantizer(BITS, "qat")]
    steps = [round(SPARSITY * share, 2) for share in (0.5, 0.75, 0.9)]
    return {
        "distil, then compress": [
            _teach(half, loss, teachers),
            _teach(half, LABELS_ALONE, [], [*compress, RECALIBRATE]),
        ],
        "compress, then distil": [
            _teach(half, LABELS_ALONE, [], compress),
            _teach(half, loss, teachers, [RECALIBRATE]),
        ],
        "jointly": [_teach(epochs, loss, teachers, [*compress, RECALIBRATE])],
        "in turns": [
            *(_teach(quarter, loss, teachers, [_pruner(step)]) for step in steps),
            _teach(epochs - 3 * quarter, loss, teachers, [*compress, RECALIBRATE]),
        ],
    }


def _small(task: str, usual: str) -> list[str]:
    rows = catalogue.current().rows["models"]
    small = [name for name in catalogue.current().students(task) if rows[name]["parameters"] <= SMALL]
    # one architecture family in several sizes says more than several families
    family = [name for name in small if name.split("_")[0] == usual.split("_")[0]]
    return (family if len(family) >= 3 else small)[:4]


def _teach(epochs: int, loss: Mapping[str, Any], teachers: list[str], stages: Any = ()) -> Json:
    return {"epochs": epochs, "loss": dict(loss), "teachers": list(teachers), "stages": list(stages)}


def _pruner(sparsity: float) -> Json:
    return {"name": "prune_magnitude", "sparsity": sparsity, "schedule": "gradual"}


def _quantizer(bits: int, training: str) -> Json:
    return {"name": "quantize_linear", "bits": bits, "training": training}


def _spec(base: Json, name: str, phases: Any, grids: bool = False, baselines: bool = False, **more: Any) -> Json:
    # the order of the fields is the order of the axes: what is compared first is read first
    whole = {**base, **more, "phases": phases}
    fields = {field: whole[field] for field in FIELDS if field in whole}
    return {"sweep": {"name": name, "grids": grids, "baselines": baselines}, **fields}
