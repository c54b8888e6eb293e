"""Decoupled distillation: its parts add up to the KL divergence, and each does what it says alone."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_tools import BATCH, CLASSES, gradient, logits, step_of, value
from torch import Tensor

from engine.losses._base import LossContext
from engine.losses.decoupled import Decoupled, decoupled_parts
from engine.losses.kd import softened_kl

LABELS = torch.arange(BATCH) % CLASSES


def test_by_hand() -> None:
    """Teacher (1/2, 3/8, 1/8), student (1/4, 3/8, 3/8), the right class is the first."""
    teacher, student = torch.tensor([[4.0, 3.0, 1.0]]).log(), torch.tensor([[2.0, 3.0, 3.0]]).log()
    binary, rest = decoupled_parts(student, teacher, torch.tensor([0]), 1.0)
    assert binary.item() == pytest.approx(0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75), rel=1e-5)
    assert rest.item() == pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5), rel=1e-5)


def test_golden() -> None:
    assert value(Decoupled(), logits(0), logits(1)).item() == pytest.approx(53.4238352004, rel=1e-9)


def masked(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Both parts as the authors compute them: sums of probabilities, and logits of the target pushed down by 1000."""
    hot = F.one_hot(LABELS, CLASSES).double()

    def binary(z: Tensor) -> Tensor:
        p = F.softmax(z / temperature, 1)
        return torch.stack([(p * hot).sum(1), (p * (1 - hot)).sum(1)], 1)

    first = F.kl_div(binary(student).log(), binary(teacher), reduction="sum") / BATCH
    others = [z / temperature - 1000 * hot for z in (student, teacher)]
    second = F.kl_div(F.log_softmax(others[0], 1), F.softmax(others[1], 1), reduction="sum") / BATCH
    return temperature**2 * first, temperature**2 * second


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_it_agrees_with_the_authors_way_of_computing_it(temperature: float) -> None:
    found = decoupled_parts(logits(0), logits(1), LABELS, temperature)
    for mine, theirs in zip(found, masked(logits(0), logits(1), temperature), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-8)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.5, 20.0), st.integers(0, CLASSES - 1))
def test_the_parts_make_up_the_kl_divergence(seed: int, temperature: float, shift: int) -> None:
    """Zhao et al. 2022, eq. 6, one example at a time: KD = TCKD + (1 - p_t(target)) NCKD, for any target."""
    student, teacher = logits(seed)[:1], logits(seed + 1)[:1]
    target = torch.tensor([shift])
    binary, rest = decoupled_parts(student, teacher, target, temperature)
    unsure = 1 - F.softmax(teacher / temperature, 1)[0, shift]
    torch.testing.assert_close(binary + unsure * rest, softened_kl(student, teacher, temperature))


def test_the_ranking_of_the_others_leaves_the_right_class_alone() -> None:
    labels_only = gradient(Decoupled(4.0, 0.0, 0.0), logits(0), logits(1))
    found = gradient(Decoupled(4.0, 0.0, 8.0), logits(0), logits(1)) - labels_only
    assert found.gather(1, LABELS[:, None]).abs().max() < 1e-12
    assert found.abs().max() > 1e-2


def test_the_total_follows_its_weights() -> None:
    binary, rest = decoupled_parts(logits(0), logits(1), LABELS, 4.0)
    hard = F.cross_entropy(logits(0), LABELS)
    torch.testing.assert_close(value(Decoupled(4.0, 2.0, 3.0), logits(0), logits(1)), hard + 2 * binary + 3 * rest)
    assert not Decoupled(4.0, 0.0, 0.0).build(LossContext()).uses_unlabelled


def test_without_a_label_the_teachers_first_choice_is_the_target() -> None:
    hidden = torch.zeros(BATCH, dtype=torch.bool)
    binary, rest = decoupled_parts(logits(0), logits(1), logits(1).argmax(1), 4.0)
    torch.testing.assert_close(value(Decoupled(), logits(0), logits(1), labelled=hidden), binary + 8 * rest)


def test_several_teachers_are_averaged() -> None:
    step, _ = step_of(logits(0), [logits(1), logits(2)])
    one, other = (value(Decoupled(), logits(0), logits(i)) for i in (1, 2))
    torch.testing.assert_close(Decoupled().build(LossContext()).loss(step), (one + other) / 2)
