"""From a recipe to a trained student: fresh weights, then phase after phase, resuming where a prefix was kept."""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from engine import cuda, progress, registry, transfer
from engine.errors import unknown_name
from engine.losses._base import Objective
from engine.prefix import Trained, alone, load_prefix, save_prefix
from engine.recipe import Phase, Recipe
from engine.result import CurvePoint, PhaseResult
from engine.stages._base import Stage, StageContext
from engine.step import TeacherSource
from engine.taps import tap_paths
from engine.teaching import load_teacher, outputs
from engine.training import (
    CachedTeacher,
    EitherTeacher,
    FitPlan,
    LiveTeacher,
    StepReport,
    build_objective,
    fit,
    peer_seed,
)
from engine.workbench import Bench

MOST_OUTPUTS = 500_000_000  # values of a teacher, a gigabyte in half precision


def build_stages(phase: Phase) -> list[Stage]:
    """The phase's stages as plug-ins."""
    return [registry.get("stages", part.name)(**dict(part.values)) for part in phase.stages]


def train(bench: Bench) -> Trained:
    """The student after every phase; the longest kept prefix is resumed, and every trained one is kept.

    What another worker is just training is waited for and not trained twice.
    """
    count, trained = _resume(bench)
    for number in range(count, len(bench.recipe.phases)):
        step = _train_or_find if bench.recipe.phases[number].trains else advance
        trained = step(bench, trained, number)
    return trained


def _train_or_find(bench: Bench, trained: Trained, number: int) -> Trained:
    prefix = bench.recipe.prefix(number + 1)

    def wait() -> None:
        bench.breathe()
        bench.report({"doing": "waiting for the same training"})

    with alone(bench.home, prefix.key, wait):
        kept = _kept(bench, prefix)
        if kept is None:
            kept = advance(bench, trained, number)
            save_prefix(bench.home, prefix.key, kept)
    return kept


def advance(bench: Bench, trained: Trained, number: int) -> Trained:
    """One phase: attach its stages, train under them (or apply them at once), finish them."""
    phase, model = bench.recipe.phases[number], trained.model.to(bench.device)
    stages = build_stages(phase)
    context = bench.context(number, _steps(bench, phase))
    plans: list[tuple[Any, ...]] = []
    context.initial = lambda: _untrained(bench, number, (*trained.plans, *plans))
    for stage in stages:
        _check_layers(stage, model)
        plan = stage.plan(model, context)
        stage.attach(model, plan)
        model.to(bench.device)  # what the stage has added
        stage.prepare(model, context)
        plans.append(tuple(plan))
    curve = _fit(bench, model, stages, context, number) if phase.trains else []
    for stage in stages:
        stage.finish(model, context)
    last = number + 1 == len(bench.recipe.phases)  # whose quality the artifact gives
    row = PhaseResult(phase_name(phase), None if last else bench.quality(model))
    device = cuda.title(bench.device) if phase.trains else trained.device
    model.to("cpu")
    return Trained(model, (*trained.plans, *plans), (*trained.curve, *curve), (*trained.phases, row), device)


def _untrained(bench: Bench, number: int, plans: Sequence[tuple[Any, ...]]) -> nn.Module:
    """The fresh student after the changes of structure up to phase ``number``, as far as they are made."""
    model = bench.fresh()
    stages = [s for p in bench.recipe.phases[: number + 1] for s in build_stages(p)]
    for stage, plan in zip(stages, plans, strict=False):  # plans of the current phase are still coming
        stage.attach(model, list(plan))
    return model.to(bench.device)


def _check_layers(stage: Stage, model: nn.Module) -> None:
    """Refuse a pattern that names no layer: the stage would do nothing, and the result would claim that it did."""
    weighted = [n for n, m in model.named_modules() if isinstance(getattr(m, "weight", None), Tensor)]
    if not any(fnmatch.fnmatchcase(name, stage.layers) for name in weighted):
        raise unknown_name(f"{stage.name}.layers", stage.layers, weighted)


def phase_name(phase: Phase) -> str:
    """A phase in words: its losses and stages."""
    names = [part.name for part in (*phase.loss, *phase.stages)]
    return " + ".join(names) or "nothing"


def _fit(
    bench: Bench, model: nn.Module, stages: Sequence[Stage], context: StageContext, number: int
) -> list[CurvePoint]:
    recipe, spec = bench.recipe, bench.spec
    phase = recipe.phases[number]
    plan = FitPlan(phase.epochs, spec.batch_size, spec.learning_rate, spec.weight_decay, recipe.seed, number)
    objective = build_objective(phase.loss, spec.taps, bench.training.inputs, lambda i: bench.peer(peer_seed(plan, i)))
    teachers = [_teacher(bench, t, objective) for t in phase.teachers]
    last = StepReport(0, 0, 0, phase.epochs, 0.0)

    def on_step(step: StepReport) -> None:
        nonlocal last
        last = step
        bench.breathe()
        bench.report(progress.of_step([p.epochs for p in recipe.phases], number, step, bench.lead.epochs))

    def evaluate(student: nn.Module) -> float:
        quality = bench.quality(student)
        # the epoch's mean loss comes with the result
        point = CurvePoint(last.epoch, last.loss, quality, number, objective.moved())
        bench.report({"quality": quality, "curve": dataclasses.asdict(point)})
        return quality

    return fit(model, objective, bench.training, bench.labelled, teachers, stages, plan, context, on_step, evaluate)


def _teacher(bench: Bench, teacher: str | Recipe, objective: Objective) -> TeacherSource:
    if objective.teacher_mode == "live":
        return _live(bench, teacher, objective.teacher_taps)

    def on_batch(done: int, count: int) -> None:
        bench.breathe()
        bench.report({"doing": "asking the teacher", "step": done, "steps": count})

    def train_it(recipe: Recipe) -> nn.Module:
        return train_teacher(bench, recipe)

    recipe, task = bench.recipe, bench.task
    if isinstance(teacher, str) and _too_many(bench):
        return _live(bench, teacher, ())
    logits = outputs(bench.home, task, recipe.data, teacher, "train", train_it, on_batch, bench.device)
    cached = CachedTeacher(transfer.chosen(logits, task, recipe))
    return EitherTeacher(cached, _live(bench, teacher, ())) if objective.teacher_mode == "either" else cached


def _too_many(bench: Bench) -> bool:
    """Whether a teacher's outputs on the training split are too many to be kept: it is then asked batch by batch."""
    task = bench.task
    return len(bench.training) * task.positions * task.classes > MOST_OUTPUTS


def _live(bench: Bench, teacher: str | Recipe, roles: Sequence[str]) -> LiveTeacher:
    """A teacher that runs for every batch; where its taps lie, its own ModelSpec says."""
    name = teacher if isinstance(teacher, str) else teacher.student
    paths = tap_paths(roles, registry.get("models", name).taps, f"teacher {name}")
    model = load_teacher(teacher) if isinstance(teacher, str) else train_teacher(bench, teacher)
    return LiveTeacher(model.to(bench.device), paths)


def train_teacher(bench: Bench, recipe: Recipe) -> nn.Module:
    """A teacher that is itself a recipe, trained (or resumed) with the same home and reports."""
    inner = Bench(recipe, bench.home, breathe=bench.breathe)
    own = [p.epochs for p in bench.recipe.phases]
    epochs = progress.cost(
        [p.epochs for p in recipe.phases], inner.spec.seconds_per_epoch, bench.spec.seconds_per_epoch
    )
    lesson = progress.Lesson(recipe.student, epochs, sum(own), bench.lead, bench.report)
    trained = train(dataclasses.replace(inner, report=lesson))
    lesson.end()
    return trained.model.eval()


def _resume(bench: Bench) -> tuple[int, Trained]:
    for count in range(len(bench.recipe.phases), 0, -1):
        kept = _kept(bench, bench.recipe.prefix(count))
        if kept is not None:
            return count, kept
    return 0, Trained(bench.fresh())


def _kept(bench: Bench, prefix: Recipe) -> Trained | None:
    stages = [s for p in prefix.phases for s in build_stages(p)]

    def attach(model: nn.Module, plans: Sequence[Any]) -> None:
        for stage, plan in zip(stages, plans, strict=True):
            stage.attach(model, list(plan))

    return load_prefix(bench.home, prefix.key, bench.fresh(), attach)


def _steps(bench: Bench, phase: Phase) -> int:
    return phase.epochs * -(-len(bench.training) // bench.spec.batch_size)


def copy_of(trained: Trained) -> Trained:
    """An independent copy, so that a grid can apply stages to one student many times."""
    return dataclasses.replace(trained, model=copy.deepcopy(trained.model))
