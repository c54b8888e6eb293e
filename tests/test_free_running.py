"""What a language model does on its own words, against models whose answers are known."""

from __future__ import annotations

import math

import pytest
import torch
from loss_nets import TokenNet, batch_for
from torch import Tensor, nn

from engine.measure.free_running import free_running


class Follows(nn.Module):
    """After i comes i + 1 with probability ``sure``, every other of nine tokens with an equal share of the rest."""

    def __init__(self, sure: float) -> None:
        super().__init__()
        self.sure = sure

    def forward(self, ids: Tensor) -> Tensor:
        chances = torch.full((*ids.shape, 9), (1 - self.sure) / 8)
        return chances.scatter(2, ((ids + 1) % 9)[..., None], self.sure).log()


IDS = batch_for(TokenNet).inputs


def test_equal_models_have_no_gap_and_the_entropy_of_their_answers() -> None:
    found = free_running(Follows(0.6), Follows(0.6), IDS, 10)
    assert torch.allclose(found.own, torch.zeros(12), atol=1e-6)
    assert torch.allclose(found.gap, torch.zeros(12), atol=1e-6)
    entropy = -(0.6 * math.log(0.6) + 0.4 * math.log(0.05))
    assert torch.allclose(found.entropy, torch.full((12,), entropy), atol=1e-5)


def test_the_divergence_is_the_teachers_from_the_students() -> None:
    found = free_running(Follows(0.6), Follows(0.9), IDS, 10)
    expected = 0.9 * math.log(0.9 / 0.6) + 0.1 * math.log((0.1 / 8) / 0.05)
    assert torch.allclose(found.given, torch.full((12,), expected), atol=1e-5)
    assert torch.allclose(found.own, found.given, atol=1e-5), "these models do not mind what came before"


def test_words_that_the_student_likes_are_judged_by_the_teacher() -> None:
    """A student that always goes on as it must writes what the teacher gives probability 0.9."""
    found = free_running(Follows(1 - 1e-9), Follows(0.9), IDS, 10)
    assert torch.allclose(found.teacher_loss, torch.full((12,), -math.log(0.9)), atol=1e-4)


def test_a_student_that_strays_pays_on_its_own_words() -> None:
    """The teacher answers plainly on real texts and strangely after a token 5, which only the student writes."""

    class Odd(Follows):
        def forward(self, ids: Tensor) -> Tensor:
            strange = (ids == 5).cumsum(1) > 0
            return torch.where(strange[..., None], super().forward((ids + 3) % 9), super().forward(ids))

    ids = torch.arange(20).remainder(4)[None].repeat(6, 1)
    found = free_running(Follows(0.3), Odd(0.3), ids, 4)
    assert torch.allclose(found.given, torch.zeros(6), atol=1e-6)
    assert found.gap.mean() > 0.05


def test_the_same_seed_writes_the_same() -> None:
    first, again, other = (free_running(TokenNet(1), TokenNet(2), IDS, 10, seed) for seed in (0, 0, 1))
    assert torch.equal(first.own, again.own)
    assert not torch.equal(first.own, other.own)
    assert first.entropy.mean().item() == pytest.approx(math.log(9), abs=0.3)
