"""Temperatures that move: annealed along its line, learned against the student; a fixed one changes no old result."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import tiny_training as tiny
import torch
from loss_tools import logits, step_of, value

from engine import registry
from engine.errors import InputError
from engine.knobs import knobs_of
from engine.losses import _temperature as temperatures
from engine.losses._base import LossContext
from engine.losses._temperature import Annealed, Learned, strength, temperature_of
from engine.losses.kd import KD, softened_kl
from engine.losses.reverse_kl import ReverseKL
from engine.recipe import Part, Recipe
from engine.step import Step
from engine.training import CachedTeacher, build_objective

SOFT = ("kd", "reverse_kl", "jsd", "decoupled", "soft_cross_entropy", "ensemble")
KEYS = {  # of recipes as they were before there were schedules
    "kd": "821504486911f45686fbfbd971c4a9eb",
    "reverse_kl": "d98b04c35cdc64595b1703aa32693929",
    "jsd": "3051514f05f4b3862db64bfd167b6b5e",
    "decoupled": "8f0eff7db9b80e2e0bc92a9ed04f0f60",
    "soft_cross_entropy": "147b2bb1fcaed158f6d643cb88a97529",
}


def at(number: int, steps: int) -> Step:
    step, _ = step_of(logits(0), [logits(1)])
    step.progress = number / steps
    return step


def recipe(loss: str, **more: Any) -> Recipe:
    phase = {"epochs": 3, "loss": {"name": loss, **more}, "teachers": ["teacher"]}
    return Recipe.from_json({"task": "fashion_mnist", "student": "plain_10k", "phases": [phase]})


@pytest.mark.parametrize(("start", "middle"), [(8.0, 4.5), (1.0, 1.0), (0.5, 0.75)])
def test_annealing_starts_where_it_is_set_and_ends_at_one(start: float, middle: float) -> None:
    temperature = Annealed(start)
    assert [temperature.at(at(n, 100)) for n in (0, 50, 100)] == pytest.approx([start, middle, 1.0])
    falls = [temperature.at(at(n, 100)) for n in range(100)]
    assert all((b - a) == pytest.approx((1 - start) / 100) for a, b in pairwise(falls))


def test_the_adversary_comes_slowly() -> None:
    half = temperatures.CURRICULUM
    assert [strength(p) for p in (0.0, half / 2, half, 1.0)] == pytest.approx([0.0, 0.5, 1.0, 1.0])
    assert strength(half / 4) == pytest.approx((1 - math.cos(math.pi / 4)) / 2)


def test_reversal_changes_the_sign_and_nothing_else() -> None:
    x = torch.tensor(1.5, requires_grad=True)
    y = temperatures.reversed_gradient(x, 0.25)
    assert torch.equal(y, x)
    (3 * y**2).backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(-0.25 * 6 * 1.5)


def test_the_learned_temperature_climbs_what_the_student_descends() -> None:
    """Its gradient is -strength times d loss / d place; the student's is that of a fixed temperature."""
    step, model = step_of(logits(0), [logits(1)])
    step.progress = temperatures.CURRICULUM / 2
    objective: Any = KD(4.0, 1.0, "learned").build(LossContext())
    objective.loss(step).backward()
    place = objective.schedule.place
    u = torch.tensor(place.item(), dtype=torch.float64, requires_grad=True)
    span = temperatures.HIGH - temperatures.LOW
    softened_kl(logits(0), logits(1), temperatures.LOW + span * torch.sigmoid(u)).backward()
    assert u.grad is not None
    assert place.grad.item() == pytest.approx(-0.5 * u.grad.item(), rel=1e-5)

    fixed, same = step_of(logits(0), [logits(1)])
    KD(objective.schedule.now, 1.0).build(LossContext()).loss(fixed).backward()
    assert model.values.grad is not None
    torch.testing.assert_close(model.values.grad, same.values.grad, rtol=1e-5, atol=1e-7)


def test_its_steps_raise_the_loss_of_a_student_that_stands_still() -> None:
    step, _ = step_of(logits(0), [logits(1)])
    step.progress = 1.0
    objective: Any = KD(4.0, 1.0, "learned").build(LossContext())
    seen = []
    for _ in range(30):
        loss = objective.loss(step)
        loss.backward()
        seen.append(loss.item())
    assert seen[-1] > seen[0]
    assert all(b >= a for a, b in pairwise(seen))
    assert temperatures.LOW < objective.moved()["temperature"] < temperatures.HIGH


@pytest.mark.parametrize("start", [0.5, 1.0, 4.0, 20.0])
def test_a_learned_temperature_starts_where_it_is_set(start: float) -> None:
    temperature = Learned(start)
    assert temperature.at(at(0, 10)).item() == pytest.approx(start, abs=0.2)
    assert temperature.now == pytest.approx(start, abs=0.2)


def test_at_the_first_step_every_schedule_is_the_fixed_loss() -> None:
    fixed = value(ReverseKL(3.0, 0.5), logits(0), logits(1))
    for schedule in temperatures.SCHEDULES:
        found = value(ReverseKL(3.0, 0.5, schedule), logits(0), logits(1))
        torch.testing.assert_close(found, fixed, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SOFT)
@pytest.mark.parametrize("schedule", ["annealed", "learned"])
def test_every_loss_with_a_temperature_trains_with_it_and_says_where_it_went(name: str, schedule: str) -> None:
    knob = next(k for k in knobs_of(registry.get("losses", name)) if k.name == "temperature_schedule")
    if schedule not in knob.choices:
        assert name == "soft_cross_entropy"
        return
    curves = []
    for seed in (0, 0):
        objective = build_objective([Part("losses", name, (("temperature_schedule", schedule),))], tiny.TAPS)
        taught = tiny.teacher_logits(tiny.split())
        teachers = [CachedTeacher(taught), CachedTeacher(taught.roll(1, 1))]
        curves.append(tiny.train(tiny.net(), objective, teachers=teachers, plan=tiny.plan(seed=seed)))
    assert curves[0] == curves[1]
    path = [p.moved["temperature"] for p in curves[0]]
    assert path[0] != path[1]
    assert all(temperatures.LOW < t < temperatures.HIGH for t in path)
    if schedule == "annealed":
        assert path == pytest.approx([1 + 3 * (1 - 5 / 12), 1 + 3 / 12])


def test_a_fixed_temperature_leaves_nothing_in_the_curve() -> None:
    assert KD().build(LossContext()).moved() == {}
    assert temperature_of("fixed", 3.0).at(at(5, 10)) == 3.0


def test_a_sum_tells_what_its_parts_move() -> None:
    parts = [Part("losses", "cross_entropy", ()), Part("losses", "kd", (("temperature_schedule", "annealed"),), 0.5)]
    objective = build_objective(parts, tiny.TAPS)
    curve = tiny.train(tiny.net(), objective)
    assert curve[-1].moved == {"temperature": pytest.approx(1.25)}


@pytest.mark.parametrize("name", KEYS)
def test_recipes_that_are_older_than_schedules_keep_their_keys(name: str) -> None:
    assert recipe(name).key == recipe(name, temperature_schedule="fixed").key == KEYS[name]
    assert recipe(name, temperature_schedule="annealed").key != KEYS[name]


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'annealed'"):
        recipe("kd", temperature_schedule="anneal")
    with pytest.raises(InputError, match="annealed, fixed"):
        recipe("soft_cross_entropy", temperature_schedule="learned")
