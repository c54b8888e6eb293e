"""How much each layer of a dense student matters: one layer at a time is pruned or rounded, the whole is measured.

Every setting goes through what an ordinary trial goes through (the same stages on a copy of the same trained student,
recalibration, the same artifact writer), so that a loss is that of a file which could be shipped.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor, nn

from engine import artifact, metrics, sensitivity_files
from engine.artifact import Built, Template
from engine.artifact.containers import Containers
from engine.artifact.export import plain
from engine.artifact.reading import Reading, read, stored_bytes
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure import machine
from engine.pipeline import BATCH, Logits, scores
from engine.pipeline import quality as judged
from engine.prefix import Trained
from engine.recipe import Phase, Recipe
from engine.scores import paired
from engine.student import advance, copy_of, train
from engine.weights import affine
from engine.weights.sparsity import score_mask
from engine.workbench import Bench, Report

SPARSITIES = (0.3, 0.5, 0.7, 0.9, 0.95)
BITS = (8, 6, 4, 3, 2)
TRAINING = 0.5  # of the work, where the student has to be trained first
GRANULARITY, SCALE = "channel", "least_squares"  # defaults of quantize_linear, which the recipes here leave alone


def sense(body: Mapping[str, Any], home: Home, report: Report, slot: Slot) -> None:
    """Measure the dense student of ``{"dense": recipe}`` layer by layer and keep it (engine.sensitivity_files)."""
    dense, trained = Recipe.from_json(body["dense"]), 0.0

    def training(event: Mapping[str, Any]) -> None:
        """A training that is needed first is half of the work; its curve belongs to the trial."""
        nonlocal trained
        trained = max(trained, TRAINING * float(event.get("fraction") or 0.0))
        report({k: v for k, v in event.items() if k != "curve"} | {"fraction": trained})

    with slot.working():
        student = Student.of(Bench(dense, home, training, slot.breathe))
        cells = []
        for name in student.names:
            for kind, level in levels():
                slot.breathe()
                cells.append(student.cell(name, kind, level))
                share = len(cells) / (len(student.names) * len(levels()))
                report({"doing": "one layer at a time", "fraction": min(0.99, trained + (1 - trained) * share)})
        sensitivity_files.save(home, dense.key, student.facts(cells))


def levels() -> list[tuple[str, float]]:
    """What is done to each layer: ("sparsity", share) and ("bits", width)."""
    return [("sparsity", s) for s in SPARSITIES] + [("bits", b) for b in BITS]


def stages_for(layer: str, kind: str, level: float) -> list[dict[str, Any]]:
    """The stages that prune or round one layer and repair BatchNorm."""
    only = {"layers": glob.escape(layer)}
    if kind == "bits":
        return [{"name": "quantize_linear", "bits": int(level), **only}, {"name": "recalibrate"}]
    cut = {"name": "prune_magnitude", "sparsity": level, "scope": "layer", "keep_first": False}
    return [cut | only, {"name": "recalibrate"}]


@dataclass(frozen=True)
class Student:
    """The trained dense student with what all of its settings are compared with."""

    bench: Bench
    trained: Trained
    template: Template
    names: tuple[str, ...]
    reading: Reading
    packed_bytes: int
    logits: Logits

    @classmethod
    def of(cls, bench: Bench) -> Student:
        trained = train(bench)
        template = Template(plain(trained.model).eval(), bench.example)
        built = artifact.build(trained.model, bench.example, template)
        reading = read(built.onnx, built.packed())
        names = tuple(n for n, m in trained.model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
        return cls(bench, trained, template, names, reading, len(built.packed()), _answers(bench, built))

    def cell(self, layer: str, kind: str, level: float) -> dict[str, Any]:
        """One setting of one layer.

        ``loss`` is the quality lost beside the dense student on the same examples (fraction, positive is worse) with
        its 95 % interval, ``shift`` how far the answers move from those of the recalibrated dense student (KL, nats),
        ``packed_bytes`` what the layer adds to the packed file.
        """
        built = self.built(stages_for(layer, kind, level))
        logits = _answers(self.bench, built)
        before, after = (scores(self.bench, x) for x in (self.logits, logits))
        loss, low, high = paired(before, after)
        return {
            "layer": layer, "kind": kind, "level": level, "quality": float(after.mean()), "loss": loss,
            "loss_low": low, "loss_high": high, "shift": metrics.kl_to_teacher(logits, self.repaired),
            "packed_bytes": self.layer_bytes(layer) + len(built.packed()) - self.packed_bytes,
        }  # fmt: skip

    def built(self, stages: list[dict[str, Any]]) -> Built:
        """The artifact after one more phase that applies ``stages``."""
        phase = Phase.from_json({"epochs": 0, "stages": stages}, "sensitivity")
        bench = replace(self.bench, recipe=replace(self.bench.recipe, phases=(*self.bench.recipe.phases, phase)))
        changed = advance(bench, copy_of(self.trained), len(bench.recipe.phases) - 1)
        return artifact.build(changed.model, bench.example, self.template)

    @cached_property
    def repaired(self) -> Logits:
        """What recalibration alone makes of the answers: every setting has it, and its loss must count once only."""
        return _answers(self.bench, self.built([{"name": "recalibrate"}]))

    def layer_bytes(self, name: str) -> int:
        """Bytes of a layer in the dense student's packed file."""
        return next((x.packed_bytes for x in self.reading.layers if x.name == name), 0)

    def facts(self, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Everything as plain data; ``sizes`` by layer: [1 + sparsities][1 + bits] bytes (see :func:`sizes`)."""
        quality, modules = judged(self.bench, self.logits, "validation"), dict(self.trained.model.named_modules())
        kinds = {x.name: x.kind for x in self.reading.layers}
        rows, tables = [], {}
        for name in self.names:
            weight = modules[name].weight.detach()
            own = [c for c in cells if c["layer"] == name]
            tables[name] = sizes(weight, self.layer_bytes(name), own)
            rows.append({"name": name, "kind": kinds.get(name, ""), "weights": weight.numel(),
                         "packed_bytes": self.layer_bytes(name)})  # fmt: skip
        return {
            "dense_key": self.bench.recipe.key, "task": self.bench.recipe.task, "student": self.bench.recipe.student,
            "metric": quality.metric, "direction": quality.direction, "quality": quality.value,
            "repaired_loss": quality.value - judged(self.bench, self.repaired, "validation").value,
            "quality_low": quality.low, "quality_high": quality.high,
            "examples": len(self.logits) // self.bench.task.positions,
            "packed_bytes": self.packed_bytes, "sparsities": list(SPARSITIES), "bits": list(BITS), "layers": rows,
            "cells": [dict(c) for c in cells], "sizes": tables, "machine": machine.facts()["machine"],
        }  # fmt: skip


def sizes(weight: Tensor, dense_bytes: int, cells: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Bytes of a layer at every (sparsity, bits), the first row without zeros and the first column in float.

    Row and column are those of whole packed files. Elsewhere the file with these bits is taken and its stream of
    integers replaced by that of the pruned weight, made by the same containers.
    """
    known = {(c["kind"], c["level"]): int(c["packed_bytes"]) for c in cells}
    table = [[dense_bytes, *(known["bits", b] for b in BITS)]]
    whole = [_stream(weight, b) for b in BITS]
    for sparsity in SPARSITIES:
        pruned = weight * score_mask({"layer": weight.abs()}, sparsity, "layer")["layer"]
        streams = [_stream(pruned, b) for b in BITS]
        changed = [k - a + b for k, a, b in zip(table[0][1:], whole, streams, strict=True)]
        table.append([known["sparsity", sparsity], *changed])
    return table


def _stream(weight: Tensor, bits: int) -> int:
    """Packed bytes of a weight's integers, with their line of the index."""
    scale = affine.fit_scale(weight, bits, GRANULARITY, SCALE)
    integers = affine.encode(weight, scale, bits).integers
    row = Containers().integers(np.asarray(integers).ravel())[0]
    return stored_bytes(row) + len(json.dumps(row, separators=(",", ":")))


def _answers(bench: Bench, built: Built) -> Logits:
    return artifact.predict(artifact.session(built.onnx), bench.inputs("validation"), BATCH)


__all__ = ["BITS", "SPARSITIES", "Student", "levels", "sense", "sizes", "stages_for"]
