"""The instant what-if: every sparsity and bit-width of one dense student, each measured on its own artifact.

A point goes through exactly what the ordinary trial of its recipe goes through: the same stages on a copy of the same
trained student, the same artifact writer, the same examples in the same batches. So weights, quality, bytes are equal.
What is saved is the training and the export: the student is trained once, and a template of its graph is filled anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnxruntime import InferenceSession
from torch import Tensor, nn

from engine import artifact
from engine.artifact import Built, Template
from engine.artifact.export import plain
from engine.execution.base import Outcome
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure.cost import cost as cost_of
from engine.measure.cost import macs
from engine.measure.timing import Reference, dense_reference, readings, with_latencies
from engine.pipeline import BATCH, Logits, assemble, kept, taught_by
from engine.prefix import Trained
from engine.recipe import Recipe
from engine.result import Cost
from engine.student import advance, copy_of, train
from engine.weights.code import bake
from engine.workbench import Bench, Report

SPARSITIES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BITS = (8, 4, 2, 6, 3, 5, 1, 7)  # the widths that people try first come first
PREVIEW_EXAMPLES = 1000
CHUNK = len(SPARSITIES)  # points are handed on a column at a time

Keep = Callable[[list[Outcome]], None]


def settings(part: int = 0, parts: int = 1) -> list[tuple[float, int]]:
    """(sparsity, bits) of every point, or of every ``parts``-th from ``part`` on: what one of several workers does."""
    return [(sparsity, bits) for bits in BITS for sparsity in SPARSITIES][part::parts]


def run(dense: Recipe, home: Home, report: Report, slot: Slot, on_points: Keep, part: int = 0, parts: int = 1) -> None:
    """Measure the grid of ``dense``: first a preview of every point on 1,000 validation examples, then all of them.

    ``on_points`` takes each column as soon as it is measured.
    """
    with slot.working():
        sheet = Sheet.of(Bench(dense, home, report, slot.breathe), slot)
        points = []
        for number, (sparsity, bits) in enumerate(chosen := settings(part, parts)):
            slot.breathe()
            points.append(sheet.point(dense.with_one_shot(sparsity, bits)))
            report({"doing": "grid preview", "fraction": 0.5 * number / len(chosen)})
            if len(points) % CHUNK == 0 or len(points) == len(chosen):
                on_points([p.outcome(preview=True) for p in points[-CHUNK:]])
        for start in range(0, len(points), CHUNK):
            slot.breathe()
            on_points([sheet.whole(p).outcome() for p in points[start : start + CHUNK]])
            report({"doing": "grid", "fraction": 0.5 + 0.5 * start / len(points)})


@dataclass(frozen=True)
class Point:
    """One setting on its way; its artifact is kept between the preview and the whole validation split."""

    bench: Bench
    trained: Trained
    built: Built
    cost: Cost
    session: InferenceSession
    logits: Logits
    taught: Tensor

    def outcome(self, preview: bool = False) -> Outcome:
        """A result of origin ``grid``; it has no files, an export runs it as an ordinary trial first."""
        more: dict[str, Any] = {"origin": "grid", "preview": preview, "artifact": {}}
        result = assemble(self.bench, self.trained, self.logits, self.cost, self.taught, **more)
        return Outcome(result, kept(self.bench.task, self.bench.recipe.data, self.logits))


@dataclass(frozen=True)
class Sheet:
    """What all points of a grid share."""

    bench: Bench
    slot: Slot
    trained: Trained
    template: Template
    reference: Reference
    inputs: Logits
    taught: Tensor
    macs: int  # none of the grid's stages changes a shape

    @classmethod
    def of(cls, bench: Bench, slot: Slot) -> Sheet:
        trained = train(bench)
        template = Template(plain(trained.model).eval(), bench.example)
        reference = dense_reference(bench.spec, bench.example)
        operations = macs(trained.model, bench.example)
        inputs, taught = bench.inputs("validation"), taught_by(bench)
        return cls(bench, slot, trained, template, reference, inputs, taught, operations)

    def point(self, recipe: Recipe) -> Point:
        """A setting applied to a copy of the student, written, and seen on the preview's examples."""
        bench = replace(self.bench, recipe=recipe)
        trained = advance(bench, copy_of(self.trained), len(recipe.phases) - 1)
        baked = bake(trained.model)
        built = artifact.build(trained.model, self.bench.example, self.template, baked=baked)
        session = artifact.session(built.onnx)
        logits = artifact.predict(session, self.inputs[:PREVIEW_EXAMPLES], BATCH)
        return Point(bench, trained, built, self._cost(trained, built, baked), session, logits, self.taught)

    def whole(self, point: Point) -> Point:
        """The same artifact on the rest of the validation split."""
        if len(self.inputs) <= PREVIEW_EXAMPLES:  # the preview was all
            return point
        rest = artifact.predict(point.session, self.inputs[PREVIEW_EXAMPLES:], BATCH)
        return replace(point, logits=np.concatenate([point.logits, rest]))

    def _cost(self, trained: Trained, built: Built, baked: nn.Module) -> Cost:
        shape = tuple(self.bench.task.input_shape)
        found = readings(self.bench.home, self.slot.quiet, built, self.reference, shape)
        cost = cost_of(trained.model, self.bench.example, built, self.macs, baked)
        return with_latencies(cost, built, self.reference, found)


__all__ = ["BITS", "PREVIEW_EXAMPLES", "SPARSITIES", "Point", "Sheet", "run", "settings"]
