"""Mutual learning: symmetrical, without a teacher, peers of their own that stay behind."""

from __future__ import annotations

from typing import Any

import pytest
import tiny_training as tiny
import torch
import torch.nn.functional as F
from loss_tools import BATCH, Given, logits
from torch import Tensor, nn

from engine.losses._base import LossContext
from engine.losses.cross_entropy import CrossEntropyObjective
from engine.losses.kd import softened_kl
from engine.losses.mutual import Mutual, MutualObjective
from engine.recipe import Part
from engine.step import NO_LABEL, Batch, Step
from engine.training import build_optimizer


def given(student: Tensor, *peers: Tensor, labelled: bool = True, **values: Any) -> tuple[MutualObjective, Step]:
    """Networks whose logits are these."""
    loss = Mutual(peers=len(peers), **values).build(LossContext(make_student=lambda i: Given(peers[i])))
    assert isinstance(loss, MutualObjective)
    model, known = Given(student), torch.full((BATCH,), labelled)
    labels = torch.arange(BATCH).where(known, NO_LABEL)
    batch = Batch(torch.zeros(BATCH, 1), labels, known, torch.arange(BATCH))
    return loss, Step(model, batch, [], build_optimizer(model, tiny.plan()), 0, 1)


def test_its_value_and_the_gradients_of_both_sides() -> None:
    """Zhang et al. 2018, section 2.2: each side's gradient is that of its own loss, the other's answer fixed."""
    one, two = logits(0), logits(1)
    loss, step = given(one, two, weight=0.7, temperature=2.0)
    found = loss.loss(step)
    labels = torch.arange(BATCH)
    torch.testing.assert_close(found, F.cross_entropy(one, labels) + 0.7 * softened_kl(one, two, 2.0))
    found.backward()
    for values, mine, other in ((step.model.values, one, two), (loss.peers[0].values, two, one)):
        free = mine.clone().requires_grad_()
        (F.cross_entropy(free, labels) + 0.7 * softened_kl(free, other, 2.0)).backward()
        torch.testing.assert_close(values.grad, free.grad)


def test_a_cohort_averages_over_the_others() -> None:
    sides = [logits(i) for i in range(4)]
    loss, step = given(*sides)
    pairs = [softened_kl(sides[0], other, 1.0) for other in sides[1:]]
    torch.testing.assert_close(loss.loss(step), F.cross_entropy(sides[0], torch.arange(BATCH)) + sum(pairs) / 3)


def test_equal_networks_have_nothing_to_tell_each_other() -> None:
    loss, step = given(logits(0), logits(0), weight=5.0)
    torch.testing.assert_close(loss.loss(step), F.cross_entropy(logits(0), torch.arange(BATCH)))
    loss, step = given(logits(0), logits(0), labelled=False)
    found = loss.loss(step)
    assert found.item() == pytest.approx(0.0, abs=1e-12)
    found.backward()
    assert step.model.values.grad.abs().max() < 1e-12  # type: ignore[union-attr,operator]


def test_images_without_labels_are_agreed_upon() -> None:
    loss, step = given(logits(0), logits(1), labelled=False)
    torch.testing.assert_close(loss.loss(step), softened_kl(logits(0), logits(1), 1.0))
    assert not given(logits(0), logits(1), weight=0.0)[0].uses_unlabelled


class Still(nn.Module):
    """The tiny network without dropout, whose random draws would depend on how many networks run."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.net = nn.Sequential(*(m for m in tiny.net(seed) if not isinstance(m, nn.Dropout)))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.net(inputs)


def peers_of(weight: float) -> MutualObjective:
    made = Mutual(weight=weight).build(LossContext(make_student=lambda i: Still(50 + i)))
    assert isinstance(made, MutualObjective)
    return made


def test_weight_zero_trains_bit_for_bit_what_labels_alone_train() -> None:
    mutual, alone = Still(0), Still(0)
    curve = tiny.train(mutual, peers_of(0.0), teachers=[])
    plain = tiny.train(alone, CrossEntropyObjective(), teachers=[])
    assert tiny.same(mutual, alone)
    assert curve == plain


def test_the_peer_learns_too_and_its_statistics_move_once_a_step() -> None:
    model, loss, before = Still(0), peers_of(1.0), Still(50)
    tiny.train(model, loss, teachers=[], plan=tiny.plan(8))
    data, peer = tiny.split(), loss.peers[0]
    assert not tiny.same(peer, before)
    assert not tiny.same(peer, model)
    assert peer.state_dict()["net.1.num_batches_tracked"] == 48
    assert (peer.eval()(data.inputs).argmax(1) == data.labels).float().mean() > 0.9


def test_peers_come_closer_than_students_that_learn_apart() -> None:
    data, gaps = tiny.split(), []
    for weight in (0.0, 2.0):
        model, loss = Still(0), peers_of(weight)
        tiny.train(model, loss, teachers=[], plan=tiny.plan(4))
        pair = [net.eval()(data.inputs) for net in (model, loss.peers[0])]
        gaps.append(softened_kl(*pair, 1.0).item())
    assert gaps[1] < 0.5 * gaps[0]


def test_it_stands_in_a_sum() -> None:
    parts = [Part.from_json("losses", {"name": n}, "t") for n in ("mutual", "kd")]
    loss, model = tiny.built(parts), tiny.net()
    curve = tiny.train(model, loss, plan=tiny.plan(4))
    assert curve[-1].loss < curve[0].loss


def test_without_a_way_to_make_a_peer_it_says_so() -> None:
    with pytest.raises(ValueError, match="make_student"):
        Mutual().build(LossContext())
