"""The training loop: what a step does and in which order, what is the same twice, what few labels mean."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_training as tiny
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine import training
from engine.errors import CancelledError, InputError, TrialFailedError
from engine.losses._base import LossContext
from engine.losses.cross_entropy import CrossEntropy, CrossEntropyObjective
from engine.recipe import Part
from engine.stages._base import Stage
from engine.step import Step
from engine.tasks._base import Split
from engine.training import StepReport, build_objective, build_optimizer

ROOT = Path(__file__).resolve().parent.parent


class Recorder(Stage):
    """Writes down when it is called and what it saw."""

    def __init__(self, log: list[str]) -> None:
        object.__setattr__(self, "log", log)

    def penalty(self, model: nn.Module) -> Tensor:
        self.log.append("penalty")  # type: ignore[attr-defined]
        return torch.tensor(100.0)

    def before_step(self, step: Step) -> None:
        seen = all(p.grad is not None for p in step.model.parameters())
        self.log.append(f"before:{step.number}:{seen}")  # type: ignore[attr-defined]

    def after_step(self, step: Step) -> None:
        moved = bool(step.optimizer.state)
        self.log.append(f"after:{moved}")  # type: ignore[attr-defined]


class Halved(nn.Module):
    """A weight constraint that counts how often it is evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, weight: Tensor) -> Tensor:
        self.calls += 1
        return weight / 2


def test_learns() -> None:
    model, data = tiny.net(), tiny.split()
    tiny.train(model, tiny.kd(), data, plan=tiny.plan(8))
    right = (model.eval()(data.inputs).argmax(1) == data.labels).float().mean()
    assert right > 0.9


def test_curve_and_reports() -> None:
    reports: list[StepReport] = []
    qualities: Iterator[float] = iter((0.5, 0.25, 0.75))
    more: dict[str, Any] = {"on_step": reports.append, "evaluate": lambda _m: next(qualities)}
    curve = tiny.train(tiny.net(), tiny.kd(), plan=tiny.plan(3, phase=2), **more)
    assert [(p.epoch, p.quality, p.phase) for p in curve] == [(1, 0.5, 2), (2, 0.25, 2), (3, 0.75, 2)]
    assert [r.step for r in reports] == list(range(1, 19))
    assert [r.epoch for r in reports] == [1] * 6 + [2] * 6 + [3] * 6
    assert {(r.steps, r.epochs) for r in reports} == {(18, 3)}


def test_the_loss_is_read_a_few_times_a_second_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    losses: list[float] = []

    def on_step(report: StepReport) -> None:
        losses.append(report.loss)
        now[0] += 0.07

    tiny.train(tiny.net(), tiny.kd(), on_step=on_step)
    assert all(math.isfinite(loss) for loss in losses)
    assert len(losses) == 12
    assert len(set(losses)) == 4  # at 0, 0.21, 0.42, 0.63 s


def test_evaluating_changes_nothing() -> None:
    quiet, watched = tiny.net(), tiny.net()
    tiny.train(quiet, tiny.kd())
    tiny.train(watched, tiny.kd(), evaluate=lambda model: model.eval()(tiny.split().inputs).sum().item())
    assert tiny.same(quiet, watched)


def test_batchnorm_moves_once_a_step() -> None:
    model, objective = tiny.net(), tiny.Curious()
    tiny.train(model, objective)
    assert model.state_dict()["1.num_batches_tracked"] == 12


def test_an_objectives_own_parameters_are_trained_and_its_hooks_removed() -> None:
    model, objective = tiny.net(), tiny.Curious()
    tiny.train(model, objective)
    assert objective.scale.item() != 1.0
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_in_order() -> None:
    log: list[str] = []
    curve = tiny.train(tiny.net(), tiny.kd(), stages=[Recorder(log)], plan=tiny.plan(1))
    assert log[:3] == ["penalty", "before:0:True", "after:True"]
    assert len(log) == 18
    assert log[-2] == "before:5:True"
    assert curve[0].loss > 100


def test_a_weight_constraint_is_trained_and_evaluated_once_a_step() -> None:
    model, halved = tiny.net(), Halved()
    parametrize.register_parametrization(model[0], "weight", halved)
    before = model[0].parametrizations.weight.original.detach().clone()
    halved.calls = 0
    tiny.train(model, tiny.kd())
    assert halved.calls == 12
    assert not torch.equal(model[0].parametrizations.weight.original, before)


def test_same_seed_same_weights_in_another_process() -> None:
    code = (
        "import sys; sys.path[:0] = ['tests']\n"
        "import torch; torch.set_num_threads(1)\n"
        "import tiny_training as tiny\n"
        "model = tiny.net(); tiny.train(model, tiny.kd()); print(tiny.weights_hash(model))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    model = tiny.net()
    tiny.train(model, tiny.kd())
    assert done.stdout.strip() == tiny.weights_hash(model)


@pytest.mark.parametrize("changed", [tiny.plan(seed=1), tiny.plan(phase=1)])
def test_seed_and_phase_change_the_weights(changed: training.FitPlan) -> None:
    usual, other = tiny.net(), tiny.net()
    tiny.train(usual, tiny.kd())
    tiny.train(other, tiny.kd(), plan=changed)
    assert not tiny.same(usual, other)


def test_global_generator_neither_matters_nor_moves() -> None:
    first, second = tiny.net(), tiny.net()
    torch.manual_seed(11)
    tiny.train(first, tiny.kd())
    after = torch.rand(1)
    torch.manual_seed(11)
    assert torch.equal(after, torch.rand(1))
    tiny.train(second, tiny.kd())  # dropout drew from the loop's own seed
    assert tiny.same(first, second)


def test_an_error_in_on_step_stops_at_once() -> None:
    steps: list[int] = []
    model = tiny.net()

    def on_step(report: StepReport) -> None:
        steps.append(report.step)
        if report.step == 3:
            raise CancelledError("withdrawn")

    with pytest.raises(CancelledError):
        tiny.train(model, tiny.kd(), on_step=on_step)
    assert steps == [1, 2, 3]
    assert model.state_dict()["1.num_batches_tracked"] == 3


def test_divergence_is_an_error_with_a_reason() -> None:
    data = tiny.split()
    broken = Split(data.inputs * math.inf, data.labels)
    with pytest.raises(TrialFailedError, match="diverged in epoch 1"):
        tiny.train(tiny.net(), CrossEntropy().build(LossContext()), broken)


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    shares = [training.warm_up_then_linear(n, 100) for n in range(100)]
    assert shares[0] == pytest.approx(0.05)
    assert max(shares) == shares[19] == 1.0
    assert shares[-1] == pytest.approx(1 / 80)
    assert sorted(shares[:20]) == shares[:20]
    assert sorted(shares[19:], reverse=True) == shares[19:]
    assert len(set(shares[:20])) == 20
    assert len(set(shares[20:])) == 80
    assert training.warm_up_then_linear(0, 1) == 1.0


def test_decay_spares_norms_and_biases() -> None:
    model = tiny.net()
    groups = build_optimizer(model, tiny.plan(decay=0.1)).param_groups
    by_decay = {g["weight_decay"]: g["params"] for g in groups}
    assert [tuple(p.shape) for p in by_decay[0.1]] == [(6, 1, 3, 3), (4, 24)]
    assert all(p.ndim == 1 for p in by_decay[0.0])
    assert len(build_optimizer(model, tiny.plan()).param_groups) == 1


def test_a_list_of_losses_is_their_sum() -> None:
    parts = [
        Part("losses", "cross_entropy", (), 0.5),
        Part("losses", "kd", (("temperature", 2.0), ("weight", 1.0)), 2.0),
    ]
    summed = build_objective(parts)
    assert summed.factors == (0.5, 2.0)  # type: ignore[union-attr]
    assert build_objective(parts[1:2]).factors == (2.0,)  # type: ignore[union-attr]
    assert isinstance(build_objective([Part("losses", "cross_entropy", ())]), CrossEntropyObjective)


def test_unknown_losses_and_taps_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="did you mean 'cross_entropy'"):
        build_objective([Part("losses", "crossentropy", ())])
    monkeypatch.setattr(CrossEntropyObjective, "student_taps", ("last_featur",))
    with pytest.raises(InputError, match=r"student: tap.*did you mean 'last_feature'"):
        build_objective([Part("losses", "cross_entropy", ())], tiny.TAPS)


def test_a_live_teacher_is_frozen() -> None:
    teacher = tiny.net(9)
    before = tiny.weights_hash(teacher)
    tiny.train(tiny.net(), tiny.kd(), teachers=[training.LiveTeacher(teacher)])
    assert tiny.weights_hash(teacher) == before
    inputs = tiny.split(8).inputs.requires_grad_()
    training.LiveTeacher(teacher)(inputs, None, True).logits.sum().backward()
    assert inputs.grad is not None
    assert all(p.grad is None for p in teacher.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trains_on_a_gpu() -> None:
    context = tiny.context("cuda")
    data, model = tiny.split(), tiny.net()
    teachers = [training.CachedTeacher(tiny.teacher_logits(data))]
    curve = training.fit(model, tiny.kd(), data, torch.arange(96), teachers, [], tiny.plan(8), context,
                         lambda _r: None, lambda _m: 0.0)  # fmt: skip
    assert next(model.parameters()).is_cuda
    assert curve[-1].loss < 0.5 * curve[0].loss
