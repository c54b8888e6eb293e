"""Worst-case inputs: closed forms for linear models, the ball, and no trace left in the model."""

from __future__ import annotations

import itertools

import pytest
import tiny_training as tiny
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.attack import Ball, ascend, aside, ball_around, evaluating, value_range
from engine.measure.robustness import attacked_logits, robust_accuracy


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wide(radius: float) -> Ball:
    return Ball(torch.tensor(radius), torch.tensor(-100.0), torch.tensor(100.0))


def test_one_step_on_a_linear_model_is_the_sign_of_its_weights() -> None:
    """Goodfellow et al. 2015, section 3: among all changes of at most epsilon w.x grows most along sign(w)."""
    weights, clean = normal(0, 20), normal(1, 5, 20)
    found = ascend(lambda x: (x @ weights).sum(), clean, wide(0.25), 1, torch.tensor(0.25))
    torch.testing.assert_close(found, clean + 0.25 * weights.sign(), rtol=0, atol=1e-15)


def test_one_step_on_logistic_regression_goes_against_the_label() -> None:
    weights, clean, labels = normal(0, 20), normal(1, 6, 20), torch.tensor([0.0, 1.0] * 3, dtype=torch.float64)

    def loss(x: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(x @ weights, labels, reduction="sum")

    found = ascend(loss, clean, wide(0.1), 1, torch.tensor(0.1))
    torch.testing.assert_close(found, clean + 0.1 * (1 - 2 * labels)[:, None] * weights.sign())


def test_the_loss_rises_at_every_step_on_a_linear_model_up_to_its_closed_form() -> None:
    weights, clean, ball = normal(0, 20), normal(1, 5, 20), wide(0.5)
    runs = [ascend(lambda x: (x @ weights).sum(), clean, ball, n, torch.tensor(0.07)) for n in range(10)]
    losses = [float((x @ weights).sum()) for x in runs]
    assert all(b > a for a, b in itertools.pairwise(losses[:9]))
    assert losses[-1] == pytest.approx(float((clean @ weights).sum() + 5 * 0.5 * weights.abs().sum()))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.01, 0.5), st.integers(1, 6), st.floats(0.1, 1.0))
def test_it_stays_in_the_ball_and_in_the_range_of_the_data(seed: int, epsilon: float, steps: int, size: float) -> None:
    data = normal(seed, 8, 2, 3, 3)
    data[:, 1] *= 5  # channels have ranges of their own
    ball = ball_around(data, epsilon)
    start = data + 3 * normal(seed + 1, *data.shape)
    found = ascend(lambda x: (x**3).sum(), data, ball, steps, size * ball.radius, start)
    spans = data.amax((0, 2, 3)) - data.amin((0, 2, 3))
    assert ((found - data).abs().amax((0, 2, 3)) <= epsilon * spans + 1e-9).all()
    low, high = value_range(data)
    assert ((found >= low) & (found <= high)).all()


def test_an_input_outside_the_range_is_allowed_as_it_is() -> None:
    ball = Ball(torch.tensor(0.1), torch.tensor(0.0), torch.tensor(1.0))
    clean = torch.tensor([-0.5, 0.05, 2.0])
    assert torch.equal(ball.inside(clean, clean), clean)
    assert torch.allclose(ball.inside(torch.tensor([9.0, -9.0, -9.0]), clean), torch.tensor([-0.4, 0.0, 1.9]))


def test_a_forward_aside_equals_one_inside_and_moves_nothing() -> None:
    model, twin = tiny.net().train(), tiny.net().train()
    before, inputs = tiny.weights_hash(model), tiny.split().inputs
    torch.manual_seed(3)
    found = aside(model, inputs)
    assert tiny.weights_hash(model) == before
    torch.manual_seed(3)  # dropout
    torch.testing.assert_close(found, twin(inputs))
    assert tiny.weights_hash(twin) != before


def test_a_forward_aside_takes_other_weights() -> None:
    model, other = tiny.net().eval(), tiny.net(5).eval()
    inputs = tiny.split().inputs
    assert torch.equal(aside(model, inputs, dict(other.named_parameters())), other(inputs))


def test_eval_mode_ends_even_after_an_error() -> None:
    model = tiny.net().train()

    def fail() -> None:
        with evaluating(model):
            assert not model.training
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert all(m.training for m in model.modules())


def linear_task(margin: float) -> tuple[nn.Linear, Tensor, Tensor]:
    """Two classes by the sign of one number that lies ``margin`` from 0; the other number spans 0 to 10."""
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, -1.0], [0.0, 1.0]]))
        model.bias.zero_()
    labels = torch.arange(40) % 2
    inputs = torch.stack([torch.linspace(0, 10, 40), margin * (2.0 * labels - 1)], 1)
    return model, inputs, labels


def test_robust_accuracy_of_a_linear_model_falls_where_the_margin_ends() -> None:
    """The data span 0 to 10 and the margin is 1 (so from -1 to 10): epsilon of 1/11 just reaches it."""
    model, inputs, labels = linear_task(1.0)

    def at(epsilon: float) -> float:
        return robust_accuracy(model, inputs, labels, epsilon, 5, torch.Generator().manual_seed(0))

    assert [at(e) for e in (0.0, 0.08, 0.1)] == [1.0, 1.0, 0.0]


def test_robust_accuracy_leaves_the_model_alone_and_follows_the_generator() -> None:
    model, data = tiny.net().train(), tiny.split()
    before = tiny.weights_hash(model)

    def once(seed: int) -> Tensor:
        return attacked_logits(model, data.inputs, data.labels, 0.1, 2, torch.Generator().manual_seed(seed))

    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))
    assert model.training
    assert tiny.weights_hash(model) == before
    assert all(p.grad is None for p in model.parameters())


def test_no_steps_give_ordinary_accuracy_and_more_steps_less() -> None:
    model, data = tiny.net(), tiny.split()
    tiny.train(model, tiny.kd(), plan=tiny.plan(6))
    clean = (model.eval()(data.inputs).argmax(1) == data.labels).float().mean().item()
    found = [robust_accuracy(model, data.inputs, data.labels, 0.1, n, torch.Generator()) for n in (0, 1, 10)]
    assert found[0] == pytest.approx(clean)
    assert found[0] > found[1] >= found[2]
