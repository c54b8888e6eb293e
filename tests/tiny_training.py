"""A tiny network and data that training tests share: seeded, four classes, a step in well under a millisecond."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from engine.losses._base import LossContext, Objective
from engine.losses.cross_entropy import CrossEntropyObjective
from engine.losses.kd import KD
from engine.recipe import Part
from engine.result import CurvePoint
from engine.stages._base import Stage, StageContext
from engine.step import Batch, Step
from engine.tasks._base import Split
from engine.training import CachedTeacher, FitPlan, build_objective, fit

CLASSES = 4
TAPS = {"first_map": "0", "middle_map": "2", "last_map": "2", "last_feature": "4"}


def net(seed: int = 0) -> nn.Sequential:
    """[B, 1, 8, 8] -> logits [B, 4], with BatchNorm and Dropout, so that both are tested."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(24, CLASSES),
    )  # fmt: skip


def split(count: int = 96) -> Split:
    """Each class is a bright quarter of a noisy image."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % CLASSES
    inputs = torch.randn(count, 1, 8, 8, generator=generator)
    for row, label in enumerate(labels.tolist()):
        top, left = 4 * (label // 2), 4 * (label % 2)
        inputs[row, :, top : top + 4, left : left + 4] += 1.5
    return Split(inputs, labels)


def teacher_logits(data: Split) -> Tensor:
    """[N, 4]: sure of the right class, with a little dark knowledge."""
    noise = torch.randn(len(data), CLASSES, generator=torch.Generator().manual_seed(2))
    return 4 * nn.functional.one_hot(data.labels, CLASSES) + noise


def kd() -> Objective:
    """Distillation as in the default run."""
    return KD(4.0, 0.9).build(LossContext())


def built(parts: Sequence[Part]) -> Objective:
    """The objective of these losses, with all that a loss may ask for."""
    return build_objective(parts, TAPS, split().inputs, lambda number: net(100 + number))


def weights_hash(model: nn.Module) -> str:
    """Of all weights and buffers."""
    joined = b"".join(t.detach().contiguous().numpy().tobytes() for t in model.state_dict().values())
    return hashlib.sha256(joined).hexdigest()


class Curious(CrossEntropyObjective):
    """Asks for the student three times, keeps the steps, and has a parameter and a tap of its own."""

    student_taps = ("last_feature",)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.batches: list[Batch] = []
        self.student_paths = {"last_feature": TAPS["last_feature"]}

    def loss(self, step: Step) -> Tensor:
        self.batches.append(step.batch)
        first, second = step.student(), step.student(step.batch.inputs)
        assert first is second
        return super().loss(step) + 0.01 * self.scale**2 * step.student().taps["last_feature"].square().mean()


def context(device: str = "cpu") -> StageContext:
    """A context as the pipeline makes it, with little in it."""
    data = split(32)
    return StageContext(
        [(data.inputs, data.labels)],
        data.inputs[:1],
        lambda model, x, y: nn.functional.cross_entropy(model(x), y),
        torch.Generator().manual_seed(0),
        device=device,
    )


def train(model: nn.Module, objective: Objective, data: Split | None = None, **more: Any) -> list[CurvePoint]:
    """fit() with small defaults; ``more`` may hold labelled, teachers, stages, plan, on_step, evaluate."""
    data = data or split()
    labelled: Tensor = more.get("labelled", torch.arange(len(data)))
    teachers: Sequence[Any] = more["teachers"] if "teachers" in more else [CachedTeacher(teacher_logits(data))]
    stages: Sequence[Stage] = more.get("stages", [])
    on_step: Callable[[Any], None] = more.get("on_step", lambda _report: None)
    evaluate: Callable[[nn.Module], float] = more.get("evaluate", lambda _model: 0.0)
    chosen: FitPlan = more.get("plan", plan())
    return fit(model, objective, data, labelled, teachers, stages, chosen, context(), on_step, evaluate)


def plan(epochs: int = 2, seed: int = 0, phase: int = 0, **more: Any) -> FitPlan:
    """Batches of 16 at a learning rate of 0.02."""
    return FitPlan(epochs, more.get("batch_size", 16), more.get("rate", 2e-2), more.get("decay", 0.0), seed, phase)


def same(a: nn.Module, b: nn.Module) -> bool:
    """Whether all weights and buffers are equal bit for bit."""
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
