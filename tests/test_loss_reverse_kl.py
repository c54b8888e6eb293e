"""Reverse KL divergence against closed forms, its limit and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from loss_tools import BATCH, CLASSES, gradient, logits, value

from engine.losses.kd import KD
from engine.losses.reverse_kl import ReverseKL


def test_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3.0), 0.0]])
    expected = 4 * (0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25))  # T = 2 turns 9:1 into 3:1
    assert value(ReverseKL(2.0, 1.0), student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_golden() -> None:
    assert value(ReverseKL(4.0, 0.9), logits(0), logits(1)).item() == pytest.approx(6.47347746125, rel=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_it_agrees_with_scipy(temperature: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    special = pytest.importorskip("scipy.special")
    student, teacher = (special.softmax(logits(i).numpy() / temperature, axis=1) for i in (0, 1))
    expected = temperature**2 * np.mean([stats.entropy(s, t) for s, t in zip(student, teacher, strict=True)])
    assert value(ReverseKL(temperature, 1.0), logits(0), logits(1)).item() == pytest.approx(expected, rel=1e-9)


def test_it_is_kd_with_the_sides_swapped() -> None:
    swapped = value(KD(2.0, 1.0), logits(1), logits(0))
    torch.testing.assert_close(value(ReverseKL(2.0, 1.0), logits(0), logits(1)), swapped)
    assert abs(swapped - value(KD(2.0, 1.0), logits(0), logits(1))) > 0.1


def test_its_gradient_is_weighted_by_the_students_own_probabilities() -> None:
    """d/dz = T p_s (log p_s - log p_t - KL): a class that the student rules out pulls at nothing."""
    student, teacher = F.log_softmax(logits(0) / 3, 1), F.log_softmax(logits(1) / 3, 1)
    ratio = student - teacher
    mean = (student.exp() * ratio).sum(1, keepdim=True)
    expected = 3 * student.exp() * (ratio - mean) / BATCH
    torch.testing.assert_close(gradient(ReverseKL(3.0, 1.0), logits(0), logits(1)), expected)


def test_at_high_temperature_it_is_centred_logit_matching() -> None:
    student, teacher = logits(0), logits(1)
    centred = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    found = gradient(ReverseKL(1e6, 1.0), student, teacher)
    torch.testing.assert_close(found, centred / (BATCH * CLASSES), rtol=1e-3, atol=1e-7)


def test_it_settles_on_one_of_two_possibilities_where_kd_covers_both() -> None:
    """A student that can name one class only: leaving one out is cheap, claiming the impossible is dear."""
    teacher = torch.tensor([[0.499, 0.499, 0.002]], dtype=torch.float64).log()
    one = torch.tensor([[0.998, 0.001, 0.001]], dtype=torch.float64).log()
    even = torch.tensor([[1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64).log()
    assert value(ReverseKL(1.0, 1.0), one, teacher) < value(ReverseKL(1.0, 1.0), even, teacher)
    assert value(KD(1.0, 1.0), one, teacher) > value(KD(1.0, 1.0), even, teacher)
