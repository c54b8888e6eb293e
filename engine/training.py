"""The only training loop.

Data stays in memory and batches are gathered by row; teachers' outputs are rows of a cache; nothing waits for a number
of the running step. That, and not a trick in the arithmetic, is what makes it fast (see benchmarks/training_loop.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine import registry
from engine.allocator import keep_freed_memory
from engine.errors import TrialFailedError
from engine.losses._base import LossContext, Objective
from engine.losses._sum import SumObjective
from engine.recipe import Part
from engine.result import CurvePoint
from engine.stages._base import Stage, StageContext
from engine.step import NO_LABEL, Batch, Output, Step, TeacherSource, flat
from engine.taps import TapReader, tap_paths
from engine.tasks._base import Split

BETAS = (0.9, 0.99)
WARM_UP = 0.2
LOSS_EVERY_SECONDS = 0.2
MAX_SEED = 2**63


@dataclass(frozen=True)
class FitPlan:
    """How long and how fast: ``learning_rate`` is the peak, ``phase`` the number of the recipe's phase, from 0."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    phase: int


@dataclass(frozen=True)
class StepReport:
    """Where the loop is: ``step`` 1 .. ``steps`` of the phase, ``epoch`` 1 .. ``epochs``.

    ``loss`` is a recent batch's; it is read a few times a second only, because reading it waits for the device.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float


class CachedTeacher:
    """Outputs computed once: ``logits`` [N, ..., classes], row i belongs to example i of the training split."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def __call__(self, inputs: Tensor, rows: Tensor | None, grad: bool) -> Output:
        """Rows of the cache; inputs that are not the training split's own raise ValueError."""
        if rows is None or grad:
            raise ValueError("cached outputs belong to unchanged training inputs; set teacher_mode = 'live'")
        self.logits = self.logits.to(rows.device)
        found = flat(self.logits.index_select(0, rows))
        return Output(found.float() if found.dtype == torch.float16 else found)


class LiveTeacher:
    """A frozen model in eval mode that runs for every batch; ``paths`` are the taps to read, by role."""

    def __init__(self, model: nn.Module, paths: Mapping[str, str] | None = None) -> None:
        self.model = model.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        self._reader = TapReader(model, paths or {})

    def __call__(self, inputs: Tensor, rows: Tensor | None, grad: bool) -> Output:
        """One forward; with ``grad`` the gradient can flow back to ``inputs``."""
        with torch.set_grad_enabled(grad):
            return self._reader(inputs)


class EitherTeacher:
    """Rows of a cache for the training split's own inputs, a live forward for all others."""

    def __init__(self, cached: CachedTeacher, live: LiveTeacher) -> None:
        self._cached, self._live = cached, live

    def __call__(self, inputs: Tensor, rows: Tensor | None, grad: bool) -> Output:
        """As the two it stands for."""
        return (self._live if rows is None or grad else self._cached)(inputs, rows, grad)


def build_objective(parts: Sequence[Part], taps: Mapping[str, str] | None = None, inputs: Tensor | None = None,
                    make_student: Callable[[int], nn.Module] | None = None) -> Objective:  # fmt: skip
    """The objective of a phase: one loss, or the sum of several with their factors.

    ``taps`` are the student's; a loss that asks for a role which they lack raises :class:`InputError`. ``inputs`` and
    ``make_student`` are what :class:`LossContext` holds for losses that ask.
    """
    context = LossContext(taps or {}, inputs, make_student)
    built = [registry.get("losses", part.name)(**dict(part.values)).build(context) for part in parts]
    factors = [part.factor for part in parts]
    objective: Objective = built[0] if factors == [1.0] else SumObjective(built, factors)
    objective.student_paths = tap_paths(objective.student_taps, context.taps, "student")
    return objective


def fit(model: nn.Module, objective: Objective, train: Split, labelled: Tensor, teachers: Sequence[TeacherSource],
        stages: Sequence[Stage], plan: FitPlan, context: StageContext, on_step: Callable[[StepReport], None],
        evaluate: Callable[[nn.Module], float]) -> list[CurvePoint]:  # fmt: skip
    """Train ``model`` in place for ``plan.epochs`` under ``stages``, which are attached and prepared already.

    ``labelled`` [L] are the rows of ``train`` whose labels may be used; nobody in the loop sees the others'.
    ``on_step`` is called after every step and may raise to stop; ``evaluate`` gives the quality after each epoch. Same
    seed and phase, same weights bit for bit on one machine. A loss that is not finite raises :class:`TrialFailedError`.
    """
    keep_freed_memory()
    modules = nn.ModuleList([model, objective]).to(context.device)
    modules.to(memory_format=torch.channels_last)
    data = _Data(train, labelled, torch.device(context.device), objective.uses_unlabelled)
    each = math.ceil(len(train) / plan.batch_size)
    curve: list[CurvePoint] = []
    with TapReader(model, objective.student_paths) as reader, _seeded(derived_seed(plan), data.device) as generator:
        _show(objective, reader, teachers, data)
        optimizer = build_optimizer(modules, plan)
        loop = _Loop(model, objective, teachers, stages, optimizer, plan.learning_rate, plan.epochs * each, reader)
        report = _Reporter(on_step, loop.steps, plan.epochs)
        for epoch in range(plan.epochs):
            modules.train()
            total = torch.zeros((), device=data.device)
            for number, batch in enumerate(data.batches(each, generator), epoch * each):
                loss = loop.step(batch, number)
                total += loss
                report(number + 1, epoch + 1, loss)
            mean, quality = _finite(float(total) / each, epoch), evaluate(model)
            curve.append(CurvePoint(epoch + 1, mean, quality, plan.phase, objective.moved()))
    return curve


@torch.no_grad()
def _show(objective: Objective, reader: TapReader, teachers: Sequence[TeacherSource], data: _Data) -> None:
    """Show the objective the tensors at its taps, so that it can make parameters of their sizes."""
    if not objective.student_taps and not objective.teacher_taps:
        return
    inputs, rows = data.first(2)
    reader.model.eval()  # BatchNorm must not move
    objective.prepare(reader(inputs), [teacher(inputs, rows, False) for teacher in teachers])
    objective.to(data.device).to(memory_format=torch.channels_last)


@dataclass(frozen=True)
class _Loop:
    """What stays the same from step to step."""

    model: nn.Module
    objective: Objective
    teachers: Sequence[TeacherSource]
    stages: Sequence[Stage]
    optimizer: torch.optim.Optimizer
    learning_rate: float
    steps: int
    reader: TapReader

    def step(self, batch: Batch, number: int) -> Tensor:
        """One step of the optimizer; gives the loss without its graph."""
        step = Step(self.model, batch, self.teachers, self.optimizer, number, self.steps, self.reader)
        loss = self.objective.loss(step) + sum(stage.penalty(self.model) for stage in self.stages)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        for stage in self.stages:
            stage.before_step(step)
        set_learning_rate(self.optimizer, self.learning_rate * warm_up_then_linear(number, self.steps))
        self.optimizer.step()
        for stage in self.stages:
            stage.after_step(step)
        return loss.detach()


def build_optimizer(modules: nn.Module, plan: FitPlan) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019); decay acts on matrices and filters, not on norms, biases and scales."""
    groups: dict[float, list[Tensor]] = {}  # by decay: each group costs two calls a step
    for parameter in modules.parameters():
        if parameter.requires_grad:
            groups.setdefault(plan.weight_decay if parameter.ndim > 1 else 0.0, []).append(parameter)
    rows = [{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items()]
    return torch.optim.AdamW(rows, lr=plan.learning_rate, betas=BETAS, fused=True)


def warm_up_then_linear(number: int, steps: int) -> float:
    """The share of the peak learning rate at step ``number`` (from 0): up over a fifth of the phase, then down to 0."""
    return min((number + 1) / (WARM_UP * steps), (steps - number) / ((1 - WARM_UP) * steps), 1.0)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """The same rate for every group."""
    for group in optimizer.param_groups:
        group["lr"] = value


def derived_seed(plan: FitPlan) -> int:
    """One seed for each recipe seed and phase, so that a resumed recipe draws what an uninterrupted one draws."""
    return (plan.seed * 1_000_003 + plan.phase) % MAX_SEED


def peer_seed(plan: FitPlan, number: int) -> int:
    """The seed of the ``number``-th student (0 to 15) that is trained beside the recipe's own in a phase.

    It lies above every recipe's seed, so that no peer starts with the weights of another trial's student.
    """
    return (1 << 40) + derived_seed(plan) * 16 + number


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """A generator for the batches; torch's own (dropout draws from it) is seeded too, and given back as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield torch.Generator().manual_seed(seed)


class _Data:
    """A split in the layout that convolutions like, with the labels hidden that may not be used."""

    def __init__(self, train: Split, labelled: Tensor, device: torch.device, uses_unlabelled: bool) -> None:
        self.device = device
        self._images = train.inputs.ndim == 4
        # rows are kept as [H, W, C]: gathering them and moving C to the front gives channels_last batches for free
        inputs = train.inputs.permute(0, 2, 3, 1) if self._images else train.inputs
        self._inputs = inputs.contiguous().to(device)
        mask = torch.zeros(len(train), dtype=torch.bool).index_fill_(0, labelled.cpu(), True)
        mask = mask.view(-1, *[1] * (train.labels.ndim - 1)).expand_as(train.labels)  # an example's positions alike
        self._labels = train.labels.where(mask.to(train.labels.device), NO_LABEL).to(device)
        self._mask = mask.contiguous().to(device)
        self._rows = torch.arange(len(train)) if uses_unlabelled else labelled.cpu()

    def first(self, count: int) -> tuple[Tensor, Tensor]:
        """The first examples and their rows."""
        rows = torch.arange(count, device=self.device)
        return self._gather(rows), rows

    def batches(self, count: int, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch in ``count`` batches of nearly equal size (a last batch of one example would break BatchNorm)."""
        for rows in torch.tensor_split(self._order(generator).to(self.device), count):
            labels, labelled = (x.index_select(0, rows).flatten() for x in (self._labels, self._mask))
            yield Batch(self._gather(rows), labels, labelled, rows)

    def _gather(self, rows: Tensor) -> Tensor:
        inputs = self._inputs.index_select(0, rows)
        return inputs.permute(0, 3, 1, 2) if self._images else inputs

    def _order(self, generator: torch.Generator) -> Tensor:
        """As many rows as the split has: a permutation, of few labelled rows as many permutations as that takes."""
        size, wanted = len(self._rows), len(self._labels)
        turns = [torch.randperm(size, generator=generator) for _ in range(math.ceil(wanted / size))]
        return self._rows[torch.cat(turns)[:wanted]]


class _Reporter:
    """Calls ``on_step`` every step, reading the loss a few times a second only."""

    def __init__(self, on_step: Callable[[StepReport], None], steps: int, epochs: int) -> None:
        self._on_step, self._steps, self._epochs = on_step, steps, epochs
        self._loss, self._due = math.nan, 0.0

    def __call__(self, step: int, epoch: int, loss: Tensor) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._loss, self._due = loss.item(), now + LOSS_EVERY_SECONDS
        self._on_step(StepReport(step, self._steps, epoch, self._epochs, self._loss))


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise TrialFailedError(f"training diverged in epoch {epoch + 1}: the loss is {loss}; choose another setting")
    return loss
