"""The steps of a recipe, each ending in an artifact that is measured: what :mod:`engine.inspection` tells about."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine import artifact, inspection_files, retiming
from engine.artifact.reading import Reading, read
from engine.errors import NotInstalledError
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure.causes import Facts
from engine.measure.cost import cost as cost_of
from engine.measure.latency import to_latency
from engine.measure.timing import dense_reference, readings, timed, with_latencies
from engine.pipeline import BATCH, Logits, against_graph, quality
from engine.prefix import Trained
from engine.recipe import Part, Phase, Recipe
from engine.result import LATENCIES, Cost, Quality
from engine.student import advance, copy_of, phase_name, train, train_teacher
from engine.teaching import load_teacher
from engine.weights.code import bake, weight_codes
from engine.workbench import Bench, Report

DENSE, UNTRAINED, TRAIN, APPLY, FILE, TEACHER = "dense", "untrained", "train", "apply", "file", "teacher"


@dataclass(frozen=True)
class Label:
    """Which step it is: dense or untrained (the first row), train, apply (no training), file or teacher."""

    name: str
    kind: str
    phase: int = 0
    epochs: int = 0
    stages: tuple[Part, ...] = ()


@dataclass(frozen=True)
class Step:
    """The student after one step. ``model``: the plain network with its effective weights, None for a file.

    ``gap``: how the artifact differs from the training graph (:func:`engine.pipeline.against_graph`), empty for a file.
    """

    label: Label
    onnx: bytes = field(repr=False)
    packed: bytes = field(repr=False)
    bits: Mapping[str, int]
    logits: Logits = field(repr=False)
    quality: Quality
    cost: Cost
    model: nn.Module | None = field(default=None, repr=False)
    gap: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def reading(self) -> Reading:
        """What its files say of each layer."""
        return read(self.onnx, self.packed, self.bits)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Effective weights by layer: as trained, or as the file holds them (norms folded in)."""
        return dict(self.reading.weights) if self.model is None else weights_of(self.model)

    def row(self) -> dict[str, Any]:
        """Plain data: what the step is, quality with its interval, bytes, counts, milliseconds with their interval."""
        one, many, cost = self.cost.latency, self.cost.latency_batch32, self.cost
        row = {k: v for k, v in asdict(self.label).items() if k != "stages"}
        row |= {"stages": [s.to_json() for s in self.label.stages], "quality": self.quality.value}
        row |= {"gap": dict(self.gap), "quality_low": self.quality.low, "quality_high": self.quality.high}
        row |= {n: getattr(cost, n) for n in ("packed_bytes", "onnx_bytes", "parameters", "nonzero", "macs")}
        names = {"latency_ms": "median_ms", "latency_low_ms": "low_ms", "latency_high_ms": "high_ms"}
        names |= {n: n for n in ("simulated", "slower_here", "cause", "ratio", "ratio_low", "ratio_high")}
        row |= {name: getattr(one, source) if one else None for name, source in names.items()}
        times = {str(b): asdict(found) for b, n in LATENCIES.items() if (found := getattr(cost, n))}
        return row | {"latency32_ms": many.median_ms if many else None, "latencies": times}


class Work:
    """One recipe being inspected; ``report`` gets fractions of the whole inspection."""

    def __init__(self, recipe: Recipe, home: Home, report: Report, slot: Slot) -> None:
        self.recipe, self.home, self.slot = recipe, home, slot
        self._outer, self._done, self._count, self._highest = report, 0, 1, 0.0
        self.bench = Bench(recipe, home, self._report, slot.breathe)

    def steps(self) -> list[Step]:
        """First the dense student, then one step a phase that trains and one a stage that is only applied."""
        self._count = 2 + sum(1 if p.trains else len(p.stages) for p in self.recipe.phases)
        dense = inspection_files.dense_recipe(self.recipe)
        first = Trained(self.bench.fresh()) if dense is None else train(replace(self.bench, recipe=dense))
        phase = Phase() if dense is None else dense.phases[0]
        found = [self._measured(first, Label(phase_name(phase), DENSE if dense else UNTRAINED, 0, phase.epochs))]
        trained = Trained(self.bench.fresh())
        for number, phase in enumerate(self.recipe.phases):
            prefix = self.recipe.prefix(number + 1)
            if phase.trains and dense is not None and prefix.key == dense.key:
                trained = first  # the first row already
            elif phase.trains:
                trained = train(replace(self.bench, recipe=prefix))
                label = Label(phase_name(phase), TRAIN, number, phase.epochs, phase.stages)
                found.append(self._measured(trained, label))
            else:
                for stages, after in list(self._applied(trained, number)):
                    found.append(self._measured(after, Label(stages[0].name, APPLY, number, 0, stages)))
                    trained = after
        return found

    def from_files(self) -> list[Step]:
        """The dense student and the point as they are shipped, timed here; the steps between them are not known."""
        entries = step_files(self.recipe) or []
        models = {e["key"]: retiming.load(e["key"]) for e in entries}
        dense = entries[0]["key"]
        with self.slot.quiet():
            times = timed(models, tuple(self.bench.task.input_shape), dense)
        found = []
        for entry in entries:
            smaller = entry["packed_bytes"] < entries[0]["packed_bytes"]
            facts = Facts(**entry["facts"])
            known = {name: to_latency(times[b][entry["key"]], facts, smaller) for b, name in LATENCIES.items()}
            found.append(self._file(entry, models[entry["key"]], known))
        return found

    def shipped_teacher(self) -> Step:
        """A shipped teacher as it is."""
        trained = Trained(load_teacher(self.recipe.student))
        return self._measured(trained, Label(self.recipe.student, TEACHER))

    def initial_weights(self) -> dict[str, NDArray[np.float32]]:
        """The student's weights before training."""
        return weights_of(self.bench.fresh())

    def keep_models(self, steps: list[Step]) -> None:
        """Keep what answers an image beside each other: the student, its dense student, its teacher."""
        dense = inspection_files.dense_recipe(self.recipe)
        for of, step in ((dense, steps[0]), (self.recipe, steps[-1])):
            if of is not None:
                inspection_files.save_model(self.home, of.key, of.student, step.onnx, len(step.packed))
        teacher = inspection_files.teacher_of(self.recipe)
        name = inspection_files.model_id(teacher)
        if inspection_files.load_model(self.home, name) is None:
            try:
                model = load_teacher(teacher) if isinstance(teacher, str) else train_teacher(self.bench, teacher)
            except NotInstalledError as missing:  # then the others answer without it
                self._outer({"doing": str(missing), "fraction": self._fraction(1.0)})
                return
            built = artifact.build(model, self.bench.example)
            title = teacher if isinstance(teacher, str) else teacher.student
            inspection_files.save_model(self.home, name, title, built.onnx, len(built.packed()))

    def _applied(self, trained: Trained, number: int) -> Iterator[tuple[tuple[Part, ...], Trained]]:
        """The student after one, two, ... of a phase's stages; each time from the student before the phase.

        Stages of one phase are prepared together, so the second is not simply put on the result of the first. Parts of
        one name that follow each other, one for each layer, are one step.
        """
        phases, phase = self.recipe.phases[:number], self.recipe.phases[number]
        count = 0
        for _, parts in itertools.groupby(phase.stages, lambda stage: stage.name):
            group = tuple(parts)
            count += len(group)
            part = replace(self.recipe, phases=(*phases, replace(phase, stages=phase.stages[:count])))
            yield group, advance(replace(self.bench, recipe=part), copy_of(trained), number)

    def _measured(self, trained: Trained, label: Label) -> Step:
        self._outer({"doing": "looking inside", "fraction": self._fraction(0.5)})
        bench, built = self.bench, artifact.build(trained.model, self.bench.example)
        found = readings(self.home, self.slot.quiet, built, self._reference, tuple(bench.task.input_shape))
        cost = with_latencies(cost_of(trained.model, bench.example, built), built, self._reference, found)
        logits = artifact.predict(artifact.session(built.onnx), bench.inputs("validation"), BATCH)
        bits = {name: code.bits for name, code in weight_codes(trained.model).items()}
        self._done += 1
        self.slot.breathe()
        judged = quality(bench, logits, "validation")
        gap = against_graph(bench, trained, logits)
        return Step(label, built.onnx, built.packed(), bits, logits, judged, cost, bake(trained.model), gap)

    def _file(self, entry: Mapping[str, Any], onnx: bytes, times: Mapping[str, Any]) -> Step:
        packed = (retiming.FOLDER / f"{entry['key']}.packed").read_bytes()
        logits = artifact.predict(artifact.session(onnx), self.bench.inputs("validation"), BATCH)
        counts, macs = entry["facts"], sum(layer.macs for layer in read(onnx, packed).layers)
        cost = Cost(len(onnx), len(packed), counts["parameters"], counts["nonzero"], macs, **times)
        stages = () if entry["dense"] else tuple(self.recipe.stages)
        dense = self.recipe.dense()
        label = Label(" + ".join(s.name for s in stages), FILE, len(self.recipe.phases) - 1, 0, stages)
        if entry["dense"]:
            label = Label(phase_name(dense.phases[0]), DENSE, 0, sum(p.epochs for p in dense.phases))
        return Step(label, onnx, packed, {}, logits, quality(self.bench, logits, "validation"), cost)

    @cached_property
    def _reference(self) -> Any:
        return dense_reference(self.bench.spec, self.bench.example)

    def _report(self, event: Mapping[str, Any]) -> None:
        """A training's own progress as a part of the inspection's; its curve belongs to the trial."""
        row = {k: v for k, v in event.items() if k != "curve"}
        self._outer(row | {"fraction": self._fraction(0.5 * float(event.get("fraction") or 0.0))})

    def _fraction(self, part: float) -> float:
        """Never less than before: some reports carry none, and a teacher that is a recipe trains once more."""
        self._highest = max(self._highest, min(0.98, (self._done + part) / self._count))
        return self._highest


def teacher_work(recipe: Mapping[str, Any], home: Home, report: Report, slot: Slot) -> Work:
    """The work on a shipped teacher, whose recipe trains nothing and is none that could be run."""
    # the sample's validation split is that of the full data, which may not be installed
    return Work(Recipe(recipe["task"], recipe["student"], (Phase(),), "sample"), home, report, slot)


def step_files(recipe: Recipe) -> list[dict[str, Any]] | None:
    """The shipped files of a recipe, its dense student's first; None where either is missing."""
    entries = {e["key"]: e for e in retiming.index(recipe.task)}
    if recipe.key not in entries or recipe.dense().key not in entries:
        return None
    return [entries[key] for key in dict.fromkeys((recipe.dense().key, recipe.key))]


def weights_of(model: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Weights of convolutions and linear layers of a plain model, by name, in the order of the model."""
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    found: dict[str, Tensor] = {n: m.weight for n, m in model.named_modules() if isinstance(m, kinds)}
    return {name: weight.detach().to(torch.float32).contiguous().numpy() for name, weight in found.items()}
