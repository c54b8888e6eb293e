"""The live figure *softmax* against autograd, and its two limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine import live
from engine.live.data import answers
from engine.live.softmax import TEMPERATURES, gradient, softmax

FIGURE = live.find("softmax")


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_the_gradient_is_that_of_the_soft_term(temperature: float) -> None:
    seen = answers()
    scores = torch.tensor(seen.student, requires_grad=True)
    target = functional.softmax(torch.tensor(seen.teacher) / temperature, -1)
    functional.kl_div(functional.log_softmax(scores / temperature, -1), target, reduction="sum").backward()
    found = gradient(seen.student, seen.teacher, temperature)
    assert np.allclose(found, scores.grad.numpy(), atol=1e-10)
    assert np.allclose(softmax(seen.teacher, temperature), target.numpy())


def test_with_t_squared_the_push_tends_to_the_gap_of_centred_scores() -> None:
    seen = answers()  # Hinton et al. 2015, equation 4
    gap = seen.student - seen.student.mean(-1, keepdims=True) - (seen.teacher - seen.teacher.mean(-1, keepdims=True))
    assert np.allclose(1e8 * gradient(seen.student, seen.teacher, 1e4), gap / 10, rtol=5e-3, atol=1e-3)
    info = FIGURE.info(FIGURE.check({"image": 26}))
    assert info.limit == pytest.approx(np.abs(gap[26] / 10).sum() / 2)
    assert info.scaled[-1] == pytest.approx(info.limit, rel=0.2)


def test_without_it_the_push_shrinks_like_one_over_t_squared() -> None:
    info = FIGURE.info(FIGURE.check({}))
    at = {float(t): i for i, t in enumerate(TEMPERATURES)}
    assert info.plain[at[10.0]] / info.plain[at[20.0]] == pytest.approx(4, rel=0.15)
    assert np.allclose(np.array(info.scaled), np.array(info.plain) * TEMPERATURES**2)


def test_a_higher_temperature_brings_more_entropy() -> None:
    found = [FIGURE.info(FIGURE.check({"temperature": t})).entropy for t in (1.0, 2.0, 4.0, 8.0, 20.0)]
    assert found == sorted(found)
    assert found[-1] <= np.log2(10)
    info = FIGURE.info(FIGURE.check({"temperature": 1.0, "image": 4}))
    assert sum(info.shares) == pytest.approx(1)
    assert max(info.shares) > 0.9
