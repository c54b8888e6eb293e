"""Several teachers with weights: they add up to one, prefer the better teacher, and equal teachers give the mean."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_tools import BATCH, CLASSES, gradient, logits, step_of, value

from engine.errors import InputError
from engine.losses._base import LossContext
from engine.losses.ensemble import Ensemble, attention_weights
from engine.losses.kd import KD
from engine.recipe import Recipe

LABELS = torch.arange(BATCH) % CLASSES
HOT = torch.nn.functional.one_hot(LABELS, CLASSES).double()


def test_weights_by_hand() -> None:
    """The right class gets 3/4 and 1/4: cross-entropies differ by log 3, so the weights are 3/4 and 1/4."""
    teachers = torch.tensor([[[3.0, 1.0]], [[1.0, 3.0]]]).log()
    found = attention_weights(teachers, torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.75], [0.25]]))


def test_golden() -> None:
    found = value(Ensemble(), logits(0), logits(1), logits(2), logits(3))
    assert found.item() == pytest.approx(7.24750276177, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_weights_add_up_and_none_exceeds_its_bound(seed: int, count: int) -> None:
    teachers = torch.stack([3 * logits(seed + k) for k in range(count)])
    found = attention_weights(teachers, HOT)
    torch.testing.assert_close(found.sum(0), torch.ones(BATCH, dtype=torch.float64))
    assert found.min() >= 0
    assert found.max() <= 1 / (count - 1) + 1e-12


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_the_teacher_that_knows_the_label_better_counts_more(seed: int) -> None:
    teachers = torch.stack([logits(seed), logits(seed + 1), logits(seed + 2)])
    found = attention_weights(teachers, HOT)
    likely = torch.log_softmax(teachers, 2)[:, torch.arange(BATCH), LABELS]
    assert torch.equal(found.argsort(0), likely.argsort(0))


def test_it_agrees_with_the_formula_written_out() -> None:
    teachers, temperature, alpha = [logits(k) for k in (1, 2, 3)], 3.0, 0.7
    total = 0.0
    for i in range(BATCH):
        losses = [-float(torch.log_softmax(t[i], 0)[LABELS[i]]) for t in teachers]
        whole = sum(math.exp(x) for x in losses)
        student = torch.log_softmax(logits(0)[i] / temperature, 0)
        for t, own in zip(teachers, losses, strict=True):
            p = torch.softmax(t[i] / temperature, 0)
            kl = float((p * (p.log() - student)).sum())
            total += 0.5 * (1 - math.exp(own) / whole) * kl * temperature**2 / BATCH
    hard = torch.nn.functional.cross_entropy(logits(0), LABELS)
    found = value(Ensemble("label", temperature, alpha), logits(0), *teachers)
    assert found.item() == pytest.approx((1 - alpha) * hard.item() + alpha * total, rel=1e-9)


@pytest.mark.parametrize("trust", ["label", "agreement", "equal"])
def test_equal_teachers_are_one_teacher(trust: str) -> None:
    one = value(KD(2.0, 0.6), logits(0), logits(1))
    torch.testing.assert_close(value(Ensemble(trust, 2.0, 0.6), logits(0), logits(1), logits(1)), one)


def test_trusting_equally_is_the_mean_of_kd() -> None:
    both = value(KD(2.0, 0.6), logits(0), logits(1), logits(2))
    torch.testing.assert_close(value(Ensemble("equal", 2.0, 0.6), logits(0), logits(1), logits(2)), both)


def test_a_hopeless_teacher_among_two_is_hardly_heard() -> None:
    wrong = -60 * HOT
    found = value(Ensemble("label", 1.0, 1.0), logits(0), 30 * HOT, wrong)
    torch.testing.assert_close(found, value(KD(1.0, 1.0), logits(0), 30 * HOT), rtol=1e-6, atol=1e-6)


def test_hidden_labels_leave_the_common_opinion() -> None:
    """Without labels both ways of judging are one; with some, the labelled rows alone tell them apart."""
    hidden = torch.zeros(BATCH, dtype=torch.bool)
    rows = (logits(0), logits(1), logits(2))
    by_label, by_all = Ensemble("label"), Ensemble("agreement")
    torch.testing.assert_close(value(by_label, *rows, labelled=hidden), value(by_all, *rows, labelled=hidden))
    assert not torch.allclose(value(by_label, *rows), value(by_all, *rows))


def test_the_teacher_close_to_the_others_counts_more_where_they_have_to_agree() -> None:
    step, _ = step_of(logits(0), [logits(1), logits(1), -logits(1)])
    built = Ensemble("agreement").build(LossContext())
    weights = built.weights(torch.stack([t.logits for t in step.teachers]), step)
    assert (weights[0] > weights[2]).all()


def test_the_gradient_is_that_of_the_weighted_mean_teacher() -> None:
    """At T = 1: p_s - sum_k w_k p_k, over the batch's size (the weights do not depend on the student)."""
    step, model = step_of(logits(0), [logits(1), logits(2)])
    Ensemble("label", 1.0, 1.0).build(LossContext()).loss(step).backward()
    teachers = torch.stack([logits(1), logits(2)])
    mixed = (attention_weights(teachers, HOT)[:, :, None] * teachers.softmax(2)).sum(0)
    torch.testing.assert_close(model.values.grad, (logits(0).softmax(1) - mixed) / BATCH)


def test_one_teacher_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"at least 2 teachers.*kd"):
        gradient(Ensemble(), logits(0), logits(1))
    phase = {"epochs": 1, "loss": {"name": "ensemble"}, "teachers": ["teacher"]}
    row = {"task": "fashion_mnist", "student": "plain_1k5", "phases": [phase]}
    with pytest.raises(InputError, match=r"\['teacher'\].*at least 2 teachers, which ensemble needs: name more"):
        Recipe.from_json(row)
    assistant = {**row, "phases": [{"epochs": 1}], "student": "plain_5k"}
    both = Recipe.from_json({**row, "phases": [{**phase, "teachers": ["teacher", assistant]}]})
    assert len(both.phases[0].teachers) == 2
