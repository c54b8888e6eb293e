"""Soft targets in a cross-entropy: soft targets in a KL divergence plus what no student can change."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from loss_tools import BATCH, gradient, logits, value

from engine.losses.kd import KD, softened_kl
from engine.losses.soft_cross_entropy import SoftCrossEntropy, softened_cross_entropy


def test_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3.0), 0.0]])
    assert softened_cross_entropy(student, teacher, 2.0).item() == pytest.approx(4 * math.log(2.0))
    expected = -4 * (0.75 * math.log(0.75) + 0.25 * math.log(0.25))  # the student says the same: entropy is left
    assert softened_cross_entropy(teacher, teacher, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_golden() -> None:
    assert value(SoftCrossEntropy(4.0, 0.9), logits(0), logits(1)).item() == pytest.approx(36.2291703756, rel=1e-9)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_it_is_the_kl_divergence_plus_the_teachers_entropy(temperature: float) -> None:
    soft = F.softmax(logits(1) / temperature, 1)
    entropy = -(soft * soft.log()).sum(1).mean() * temperature**2
    found = softened_cross_entropy(logits(0), logits(1), temperature)
    torch.testing.assert_close(found, softened_kl(logits(0), logits(1), temperature) + entropy)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_its_gradient_is_that_of_kd(weight: float) -> None:
    found = gradient(SoftCrossEntropy(3.0, weight), logits(0), logits(1))
    torch.testing.assert_close(found, gradient(KD(3.0, weight), logits(0), logits(1)))


def test_a_sure_teacher_is_a_label() -> None:
    """One-hot targets at T = 1 give the ordinary cross-entropy."""
    labels = torch.arange(BATCH)
    sure = 1000 * F.one_hot(labels, 10).double()
    torch.testing.assert_close(softened_cross_entropy(logits(0), sure, 1.0), F.cross_entropy(logits(0), labels))
