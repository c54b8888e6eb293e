"""Adversarial distillation: clean answers on changed inputs, and a discriminator that learns on its own."""

from __future__ import annotations

from typing import Any

import pytest
import tiny_training as tiny
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.attack import ball_around
from engine.errors import InputError
from engine.losses._base import LossContext
from engine.losses._discriminator import DiscriminatorObjective
from engine.losses.adversarial import MODES, Adversarial, PerturbedObjective
from engine.losses.cross_entropy import CrossEntropy
from engine.losses.kd import softened_kl
from engine.recipe import Part
from engine.step import Batch, Step
from engine.training import CachedTeacher, build_optimizer

PERTURBING = MODES[:3]


def built(**values: Any) -> Any:
    return Adversarial(**values).build(LossContext(inputs=tiny.split().inputs))


def still() -> nn.Sequential:
    """The tiny network without dropout, so that two forwards can be compared."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(),
                         nn.Linear(24, tiny.CLASSES))  # fmt: skip


def step_of(model: nn.Module, rows: int = 16) -> Step:
    data = tiny.split()
    batch = Batch(data.inputs[:rows], data.labels[:rows], torch.ones(rows, dtype=torch.bool), torch.arange(rows))
    return Step(model, batch, [CachedTeacher(tiny.teacher_logits(data))], build_optimizer(model, tiny.plan()), 0, 10)


@pytest.mark.parametrize("mode", PERTURBING)
def test_batchnorm_moves_as_in_one_clean_forward(mode: str) -> None:
    model, twin = still(), still()
    built(mode=mode).loss(step_of(model)).backward()
    twin(step_of(twin).batch.inputs)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), twin.buffers(), strict=True))
    assert model.training


@pytest.mark.parametrize("mode", PERTURBING)
def test_without_any_change_it_is_plain_distillation(mode: str) -> None:
    model = still()
    step = step_of(model)
    found = built(mode=mode, epsilon=0.0, temperature=2.0, weight=0.7).loss(step)
    logits = step.student().logits
    expected = 0.3 * F.cross_entropy(logits, step.batch.labels) + 0.7 * softened_kl(logits, step.teacher().logits, 2.0)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("mode", PERTURBING)
def test_weight_zero_is_labels_only(mode: str) -> None:
    loss = built(mode=mode, weight=0.0)
    step = step_of(still())
    torch.testing.assert_close(loss.loss(step), CrossEntropy().build(LossContext()).loss(step))
    assert not loss.uses_unlabelled


def change(mode: str, model: nn.Module, **more: Any) -> tuple[Tensor, PerturbedObjective, Step]:
    torch.manual_seed(1)
    loss, step = built(mode=mode, **more), step_of(model)
    return loss.changed(step, [step.teacher().logits]) - step.batch.inputs, loss, step


@pytest.mark.parametrize("mode", ["fgsm", "pgd"])
def test_an_attack_stays_within_epsilon_of_the_range_of_the_data(mode: str) -> None:
    moved, _, _ = change(mode, still(), epsilon=0.05)
    inputs = tiny.split().inputs
    reach = 0.05 * (inputs.max() - inputs.min())
    assert moved.abs().max() <= reach + 1e-6
    assert (moved.abs() > 0.99 * reach).float().mean() > 0.3


def test_an_attack_hurts_the_student_more_than_noise_and_several_steps_more_than_one() -> None:
    """The distance that the student pays, in eval mode, where the attack looked for it."""
    model = still()
    tiny.train(model, tiny.kd(), plan=tiny.plan(6))
    found = {}
    for mode in PERTURBING:
        moved, loss, step = change(mode, model, epsilon=0.1, steps=10, step_size=0.25)
        found[mode] = loss.distance(model.eval()(step.batch.inputs + moved), [step.teacher().logits]).item()
    assert found["noise"] < found["fgsm"] < found["pgd"]


def test_noise_has_the_deviation_asked_for() -> None:
    data = torch.randn(500, 1, 8, 8).clamp(-1, 1)
    loss = Adversarial(mode="noise", epsilon=0.05).build(LossContext(inputs=10 * data))
    model = still()
    batch = Batch(data, torch.zeros(500, dtype=torch.long), torch.ones(500, dtype=torch.bool), torch.arange(500))
    step = Step(model, batch, [], build_optimizer(model, tiny.plan()), 0, 1)
    moved = loss.changed(step, []) - data  # type: ignore[operator]
    assert moved.std().item() == pytest.approx(0.05 * 20, rel=0.02)
    assert abs(moved.mean().item()) < 0.02


def test_no_weight_gets_a_gradient_from_the_search() -> None:
    model = still()
    change("pgd", model)
    assert all(p.grad is None for p in model.parameters())


def test_training_against_the_attack_makes_a_student_harder_to_mislead() -> None:
    data, distances = tiny.split(), []
    for mode, epsilon in (("noise", 0.0), ("pgd", 0.15)):
        model = still()
        values = {"mode": mode, "epsilon": epsilon, "weight": 1.0}
        tiny.train(model, built(**values), plan=tiny.plan(8))
        attack: PerturbedObjective = built(mode="pgd", epsilon=0.15)
        step = step_of(model, len(data))
        worst = attack.changed(step, [step.teacher().logits])
        distances.append(attack.distance(model.eval()(worst), [step.teacher().logits]).item())
    assert distances[1] < 0.7 * distances[0]


def test_tokens_cannot_be_moved_a_little() -> None:
    context = LossContext(inputs=torch.zeros(4, 7, dtype=torch.long))
    with pytest.raises(InputError, match="discriminator"):
        Adversarial().build(context)
    Adversarial(mode="discriminator").build(context)


def judge_and_step() -> tuple[DiscriminatorObjective, Step]:
    torch.manual_seed(2)
    return built(mode="discriminator", weight=1.0), step_of(still())


def test_the_students_step_gives_the_discriminator_no_gradient() -> None:
    loss, step = judge_and_step()
    loss.loss(step).backward()
    assert all(p.grad is None for p in loss.judge.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in step.model.parameters())


def test_the_discriminators_step_gives_the_student_none() -> None:
    loss, step = judge_and_step()
    logits = step.student().logits
    before = None
    for _ in range(2):
        loss.learn(logits, [step.teacher().logits], step.batch)
        now = torch.cat([p.flatten() for p in loss.judge.parameters()])
        assert before is None or not torch.equal(now, before)
        before = now
    assert all(p.grad is None for p in step.model.parameters())


def test_the_loops_optimizer_does_not_own_the_discriminator() -> None:
    loss, step = judge_and_step()
    loss.loss(step)
    assert list(loss.judge.parameters())
    owned = {id(p) for g in build_optimizer(nn.ModuleList([step.model, loss]), tiny.plan()).param_groups
             for p in g["params"]}  # fmt: skip
    assert owned == {id(p) for p in step.model.parameters()}


def test_the_discriminator_learns_to_tell_fixed_logits_apart_and_the_student_pays_for_it() -> None:
    loss, step = judge_and_step()
    student, teacher = step.student().logits.detach(), step.teacher().logits
    paid = []
    for number in range(300):
        loss.learn(student, [teacher], step.batch)
        if number in (0, 299):
            paid.append(loss.judged(student, step.batch, teacher=True).item())
    assert (loss.judge(teacher)[:, 0] > 0).all()
    assert (loss.judge(student)[:, 0] < 0).all()
    assert (loss.judge(teacher)[:, 1:].argmax(1) == step.batch.labels).all()
    assert paid[1] > paid[0] + 1


def test_equal_logits_leave_the_discriminator_at_chance() -> None:
    loss, step = judge_and_step()
    same = step.teacher().logits
    for _ in range(300):
        loss.learn(same, [same], step.batch)
    told = loss.judge(same)[:, 0].sigmoid()
    assert (told - 0.5).abs().max() < 0.1


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_trains_alone_and_beside_labels_and_twice_the_same(mode: str) -> None:
    parts = [Part("losses", "cross_entropy", ()), Part.from_json("losses", {"name": "adversarial", "mode": mode}, "t")]
    for chosen in (parts, parts[1:]):
        models = [tiny.net(), tiny.net()]
        for model in models:
            curve = tiny.train(model, tiny.built(chosen), plan=tiny.plan(4))
        assert curve[-1].loss < curve[0].loss + 0.5 * (mode == "discriminator")
        assert tiny.same(*models)
        assert models[0].state_dict()["1.num_batches_tracked"] == 24


def test_the_ball_follows_the_training_inputs() -> None:
    inputs = tiny.split().inputs
    assert torch.equal(built(epsilon=0.2).ball.radius, ball_around(inputs, 0.2).radius)
