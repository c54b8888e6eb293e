"""The generalized Jensen-Shannon divergence: between its two limits, bounded, symmetric at one half."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_tools import CLASSES, logits, value

from engine.losses.jsd import JSD, generalized_jsd
from engine.losses.kd import softened_kl


def test_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])
    middle = (0.625, 0.375)
    first = 0.75 * math.log(0.75 / middle[0]) + 0.25 * math.log(0.25 / middle[1])
    second = 0.5 * math.log(0.5 / middle[0]) + 0.5 * math.log(0.5 / middle[1])
    assert generalized_jsd(student, teacher, 0.5, 1.0).item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_golden() -> None:
    assert value(JSD(0.3, 4.0, 0.9), logits(0), logits(1)).item() == pytest.approx(1.54930762331, rel=1e-9)


def test_it_agrees_with_scipy() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    special = pytest.importorskip("scipy.special")
    sides = [special.softmax(logits(i).numpy() / 2, axis=1) for i in (0, 1)]
    expected = 4 * (distance.jensenshannon(*sides, axis=1) ** 2).mean()  # SciPy gives the root
    assert generalized_jsd(logits(0), logits(1), 0.5, 2.0).item() == pytest.approx(expected, rel=1e-9)


def test_its_limits_are_the_two_kl_divergences() -> None:
    """Agarwal et al. 2023, section 2: JSD_beta / beta tends to the forward KL as beta goes to 0."""
    small = 1e-6
    forward = generalized_jsd(logits(0), logits(1), small, 3.0) / small
    torch.testing.assert_close(forward, softened_kl(logits(0), logits(1), 3.0), rtol=1e-3, atol=0)
    backward = generalized_jsd(logits(0), logits(1), 1 - small, 3.0) / small
    torch.testing.assert_close(backward, softened_kl(logits(1), logits(0), 3.0), rtol=1e-3, atol=0)


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 0.95), st.floats(0.5, 20.0))
def test_it_is_bounded_and_turns_with_beta(seed: int, beta: float, temperature: float) -> None:
    a, b = 10 * logits(seed), 10 * logits(seed + 1)
    found = generalized_jsd(a, b, beta, temperature)
    most = -beta * math.log(beta) - (1 - beta) * math.log(1 - beta)
    assert 0 <= found <= temperature**2 * most + 1e-9
    torch.testing.assert_close(found, generalized_jsd(b, a, 1 - beta, temperature))


def test_it_is_zero_only_where_both_agree() -> None:
    assert generalized_jsd(logits(0), logits(0) + 5, 0.3, 2.0).abs() < 1e-12
    assert generalized_jsd(logits(0), logits(1), 0.3, 2.0) > 1e-2


def test_teacher_and_student_that_exclude_each_other_cost_the_bound() -> None:
    sure = 1000 * torch.eye(CLASSES, dtype=torch.float64)
    assert generalized_jsd(sure, sure.roll(1, 1), 0.5, 1.0).item() == pytest.approx(math.log(2))
