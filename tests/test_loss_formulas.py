"""The losses against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from loss_tools import BATCH, CLASSES, gradient, logits, step_of
from tiny_training import net, split, teacher_logits, train

from engine.losses._base import LossContext
from engine.losses._sum import SumObjective
from engine.losses.cross_entropy import CrossEntropy, labelled_cross_entropy
from engine.losses.kd import KD, softened_kl
from engine.losses.logit_mse import LogitMSE
from engine.training import CachedTeacher, LiveTeacher


def test_kd_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2 * math.log(3.0), 0.0]])
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))  # T = 2 turns 9:1 into 3:1
    assert softened_kl(student, teacher, 2.0).item() == pytest.approx(expected, rel=1e-5)


def test_kd_averages_over_examples_not_classes() -> None:
    student, teacher = logits(0), logits(1)
    one_by_one = [softened_kl(student[i : i + 1], teacher[i : i + 1], 3.0) for i in range(BATCH)]
    assert torch.allclose(softened_kl(student, teacher, 3.0), torch.stack(one_by_one).mean())


def test_kd_at_high_temperature_is_centred_logit_matching() -> None:
    """Hinton et al. 2015, eq. 4: the gradient tends to (z - v) / C for centred logits, which needs the factor T^2."""
    student, teacher = logits(0), logits(1)
    centred = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    values = student.clone().requires_grad_()
    softened_kl(values, teacher, 1e6).backward()
    assert values.grad is not None
    assert torch.allclose(values.grad, centred / (BATCH * CLASSES), rtol=1e-3, atol=1e-7)


def test_kd_gradient_is_temperature_times_the_difference_of_probabilities() -> None:
    student, teacher = logits(0), logits(1)
    gap = F.softmax(student / 4, 1) - F.softmax(teacher / 4, 1)
    assert torch.allclose(gradient(KD(4.0, 1.0), student, teacher), 4 * gap / BATCH)


def test_kd_mixes_both_terms() -> None:
    student, teacher = logits(0), logits(1)
    step, _ = step_of(student, [teacher])
    hard = F.cross_entropy(student, step.batch.labels)
    expected = 0.3 * hard + 0.7 * softened_kl(student, teacher, 2.0)
    assert torch.allclose(KD(2.0, 0.7).build(LossContext()).loss(step), expected)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_agrees_with_torchdistill(temperature: float) -> None:
    losses = pytest.importorskip("torchdistill.losses.mid_level")
    step, _ = step_of(logits(0), [logits(1)])
    other = losses.KDLoss("x", "output", "x", "output", temperature=temperature, alpha=0.3, beta=0.7)
    sides = ({"x": {"output": side}} for side in (logits(0), logits(1)))
    torch.testing.assert_close(KD(temperature, 0.7).build(LossContext()).loss(step), other(*sides, step.batch.labels))


@pytest.mark.parametrize("loss", [KD(4.0, 0.0), LogitMSE(0.0)])
def test_weight_zero_is_cross_entropy(loss: KD | LogitMSE) -> None:
    student, teacher = logits(0), logits(1)
    plain = gradient(CrossEntropy(), student, teacher)
    assert torch.allclose(gradient(loss, student, teacher), plain)
    assert loss.build(LossContext()).uses_unlabelled is False


@pytest.mark.parametrize("loss", [KD(4.0, 1.0), LogitMSE(1.0)])
def test_no_gradient_where_the_student_equals_the_teacher(loss: KD | LogitMSE) -> None:
    assert gradient(loss, logits(0), logits(0)).abs().max() < 1e-12
    assert gradient(loss, logits(0), logits(1)).abs().max() > 1e-3


def test_kd_ignores_a_constant_added_to_logits_and_logit_mse_does_not() -> None:
    assert torch.allclose(softened_kl(logits(0) + 5, logits(1), 2.0), softened_kl(logits(0), logits(1), 2.0))
    assert gradient(LogitMSE(1.0), logits(0), logits(0) + 5).abs().max() > 1e-3


def test_logit_mse_by_hand() -> None:
    student, teacher = logits(0), logits(1)
    step, _ = step_of(student, [teacher])
    assert torch.allclose(LogitMSE(1.0).build(LossContext()).loss(step), ((student - teacher) ** 2).mean())
    expected = 2 * (student - teacher) / (BATCH * CLASSES)
    assert torch.allclose(gradient(LogitMSE(1.0), student, teacher), expected)


def test_several_teachers_are_averaged() -> None:
    """The mean KL pulls to the mean of the probabilities: their gradients are equal."""
    step, model = step_of(logits(0), [logits(1), logits(2)])
    KD(2.0, 1.0).build(LossContext()).loss(step).backward()
    mean = (F.softmax(logits(1) / 2, 1) + F.softmax(logits(2) / 2, 1)) / 2
    assert model.values.grad is not None
    assert torch.allclose(model.values.grad, 2 * (F.softmax(logits(0) / 2, 1) - mean) / BATCH)


def test_only_labelled_rows_count_for_cross_entropy() -> None:
    mask = torch.tensor([True, False] * 4)
    step, _ = step_of(logits(0), [logits(1)], mask)
    expected = F.cross_entropy(logits(0)[mask], torch.arange(BATCH)[mask])
    assert torch.allclose(labelled_cross_entropy(logits(0), step.batch), expected)
    soft = softened_kl(logits(0), logits(1), 4.0)
    assert torch.allclose(KD(4.0, 0.9).build(LossContext()).loss(step), 0.1 * expected + 0.9 * soft)


def test_a_batch_without_labels_costs_nothing() -> None:
    step, model = step_of(logits(0), [logits(1)], torch.zeros(BATCH, dtype=torch.bool))
    loss = CrossEntropy().build(LossContext()).loss(step)
    loss.backward()
    assert loss.item() == 0.0
    assert model.values.grad is not None
    assert not model.values.grad.any()


def test_a_sum_adds_its_parts_with_factors() -> None:
    parts = [CrossEntropy().build(LossContext()), KD(2.0, 1.0).build(LossContext())]
    total = SumObjective(parts, [0.5, 2.0])
    step, _ = step_of(logits(0), [logits(1)])
    assert torch.allclose(total.loss(step), 0.5 * parts[0].loss(step) + 2.0 * parts[1].loss(step))
    assert total.teacher_mode == "cached"
    assert total.uses_unlabelled is True
    assert SumObjective(parts[:1], [1.0]).uses_unlabelled is False


def test_cached_teacher_equals_live_teacher() -> None:
    data, teacher = split(), net(seed=5).eval()
    with torch.no_grad():
        cache = CachedTeacher(teacher(data.inputs))
    rows = torch.tensor([3, 50, 7])
    live = LiveTeacher(teacher)(data.inputs[rows], rows, False).logits
    assert torch.allclose(cache(data.inputs[rows], rows, False).logits, live, atol=1e-6)
    curves = [train(net(), KD().build(LossContext()), data, teachers=[t]) for t in (cache, LiveTeacher(teacher))]
    assert curves[0][-1].loss == pytest.approx(curves[1][-1].loss, rel=1e-3)


def test_a_cache_refuses_changed_inputs() -> None:
    with pytest.raises(ValueError, match="live"):
        CachedTeacher(teacher_logits(split()))(torch.zeros(1, 1, 8, 8), None, False)
