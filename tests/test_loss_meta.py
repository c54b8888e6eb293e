"""Learned settings: the gradient through the virtual step is exact, and what is held out is never trained on."""

from __future__ import annotations

import math
from typing import Any

import pytest
import tiny_training as tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.losses._base import LossContext
from engine.losses.kd import softened_kl
from engine.losses.meta import Meta, MetaObjective, held_out, mixed
from engine.recipe import Part
from engine.result import CurvePoint
from engine.step import Batch, Output, Step
from engine.tasks._base import Split

ROWS, CLASSES = 40, 3


class Small(nn.Module):
    """Ten numbers to three classes in double precision, with a norm whose statistics must not move aside."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, CLASSES)).double()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.body(inputs)


def problem(**values: Any) -> tuple[MetaObjective, Step]:
    generator = torch.Generator().manual_seed(4)
    inputs = torch.randn(ROWS, 10, generator=generator, dtype=torch.float64)
    labels = torch.randint(CLASSES, (ROWS,), generator=generator)
    taught = 2 * torch.randn(ROWS, CLASSES, generator=generator, dtype=torch.float64)
    batch = Batch(inputs, labels, torch.arange(ROWS) % 7 > 0, torch.arange(ROWS))
    model = Small()
    loss = Meta(held_out=0.4, **values).build(LossContext())
    assert isinstance(loss, MetaObjective)
    loss.double()
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    return loss, Step(model, batch, [lambda *_: Output(taught)], optimizer, 0, 10)


def by_hand(loss: MetaObjective, step: Step, settings: Tensor) -> float:
    """The cross-entropy of held-out rows after one step of SGD on a real copy, rows chosen by indexing."""
    copy, batch = Small(), step.batch
    held = held_out(batch.index, loss.share)
    logits, used = copy(batch.inputs), ~held
    known = used & batch.labelled
    hard = F.cross_entropy(logits[known], batch.labels[known])
    soft = softened_kl(logits[used], step.teacher().logits[used], math.exp(settings[0]))
    share = 1 / (1 + math.exp(-settings[1]))
    ((1 - share) * hard + share * soft).backward()
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter -= 0.5 * parameter.grad
        judged = held & batch.labelled
        return F.cross_entropy(copy(batch.inputs)[judged], batch.labels[judged]).item()


def test_the_gradient_equals_finite_differences_through_a_real_step() -> None:
    loss, step = problem(temperature=2.0, weight=0.7)
    found = loss.gradient(step, step.student().logits, [step.teacher().logits])
    for i in range(2):
        sides = []
        for shift in (1e-4, -1e-4):
            moved = loss.settings.clone()
            moved[i] += shift
            sides.append(by_hand(loss, step, moved))
        assert found[i].item() == pytest.approx((sides[0] - sides[1]) / 2e-4, rel=1e-5)
        assert abs(found[i].item()) > 1e-4


def test_the_virtual_step_leaves_no_trace() -> None:
    loss, step = problem(rate=0.0)
    twin = Small()
    twin(step.batch.inputs)
    loss.loss(step)
    assert tiny.same(step.model, twin)
    assert all(p.grad is None for p in step.model.parameters())


def test_the_mean_is_over_the_rows_that_count() -> None:
    _, step = problem()
    student, teacher, used = step.student().logits, step.teacher().logits, ~held_out(step.batch.index, 0.4)
    known = used & step.batch.labelled
    hard = F.cross_entropy(student[known], step.batch.labels[known])
    expected = 0.3 * hard + 0.7 * softened_kl(student[used], teacher[used], 3.0)
    found = mixed(student, [teacher], step.batch, used, torch.tensor(3.0), torch.tensor(0.7))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)  # the share of rows is a float32


def test_rate_zero_is_distillation_with_what_it_starts_with() -> None:
    loss, step = problem(rate=0.0, temperature=3.0, weight=0.7)
    used = ~held_out(step.batch.index, 0.4)
    settings = torch.tensor(3.0, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    expected = mixed(step.student().logits, [step.teacher().logits], step.batch, used, *settings)
    torch.testing.assert_close(loss.loss(step), expected)
    assert loss.moved() == pytest.approx({"temperature": 3.0, "weight": 0.7}, rel=1e-6)


def test_settings_follow_the_gradient_and_stay_within_bounds() -> None:
    loss, step = problem(rate=0.1)
    slope = loss.gradient(step, step.student().logits, [step.teacher().logits])
    before = loss.settings.clone()
    loss.loss(step)
    torch.testing.assert_close(loss.settings - before, -0.1 * slope.sign(), rtol=1e-2, atol=0)  # Adam's first step
    for _ in range(200):
        loss._move(torch.tensor([1.0, -1.0], dtype=torch.float64))
    assert loss.moved() == pytest.approx({"temperature": 0.5, "weight": 0.98}, rel=1e-5)


def test_a_teacher_of_nonsense_loses_weight() -> None:
    """Held-out labels say that the teacher is wrong; a good one keeps its weight."""
    data, weights = tiny.split(), []
    for noise in (False, True):
        taught = tiny.teacher_logits(data)
        taught = taught[torch.randperm(len(data), generator=torch.Generator().manual_seed(0))] if noise else taught
        loss = Meta(weight=0.5, rate=0.1, every=1, held_out=0.3).build(LossContext())
        curve = tiny.train(tiny.net(), loss, teachers=[tiny.CachedTeacher(taught)], plan=tiny.plan(10))
        weights.append(curve[-1].moved["weight"])
    assert weights[1] < 0.2
    assert weights[0] > weights[1] + 0.2


def test_held_out_rows_teach_nothing() -> None:
    """Their labels may be any: with settings that stay the same weights come out bit for bit."""
    data = tiny.split()
    held = held_out(torch.arange(96), 0.3)
    changed = Split(data.inputs, torch.where(held, (data.labels + 1) % tiny.CLASSES, data.labels))
    models = [tiny.net(), tiny.net()]
    for model, split in zip(models, (data, changed), strict=True):
        tiny.train(model, Meta(rate=0.0, held_out=0.3).build(LossContext()), split)
    assert tiny.same(*models)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_what_is_held_out_is_the_share_asked_for_in_every_class(share: float) -> None:
    rows = torch.arange(20_000)
    held = held_out(rows, share)
    assert held.float().mean().item() == pytest.approx(share, rel=0.01)
    for period in (2, 4, 10, 64):
        for first in range(period):
            assert held[first::period].float().mean().item() == pytest.approx(share, rel=0.25)
    assert torch.equal(held_out(rows[5:9], share), held[5:9])


def test_the_curve_says_where_the_settings_went() -> None:
    objective, model = tiny.built([Part.from_json("losses", {"name": "meta", "rate": 0.1}, "t")]), tiny.net()
    curve = tiny.train(model, objective, plan=tiny.plan(3))
    assert [set(p.moved) for p in curve] == [{"temperature", "weight"}] * 3
    assert curve[0].moved != curve[2].moved
    assert curve[2].moved == objective.moved()
    assert CurvePoint(1, 0.5, 0.5).moved == {}
    summed = tiny.built([Part.from_json("losses", {"name": n}, "t") for n in ("kd", "meta")])
    assert summed.moved() == pytest.approx({"temperature": 4.0, "weight": 0.9}, rel=1e-6)
