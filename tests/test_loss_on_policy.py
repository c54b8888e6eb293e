"""On-policy distillation: what is drawn, what is judged, what it costs; a student learns on its own words."""

from __future__ import annotations

from typing import Any

import pytest
import tiny_training as tiny
import torch
from loss_nets import BATCH, TextNet, TokenNet, batch_for
from torch import Tensor, nn

from engine.errors import TrialFailedError
from engine.losses._base import LossContext
from engine.losses.kd import softened_kl
from engine.losses.on_policy import OnPolicy, OnPolicyObjective, continued
from engine.step import Batch, Output, Step
from engine.tasks._base import Split
from engine.training import CachedTeacher, EitherTeacher, LiveTeacher


class Sure(nn.Module):
    """Always sure that i + 1 follows i."""

    def forward(self, ids: Tensor) -> Tensor:
        return 50.0 * nn.functional.one_hot((ids + 1) % 9, 9).float()


def objective(**settings: Any) -> OnPolicyObjective:
    built = OnPolicy(**settings).build(LossContext())
    assert isinstance(built, OnPolicyObjective)
    return built


def step(student: nn.Module, teachers: list[Any], rows: Batch | None = None) -> Step:
    optimizer = torch.optim.SGD(TokenNet(0).parameters(), 0.1)
    return Step(student, rows or batch_for(TokenNet), teachers, optimizer, 0, 10)


def test_a_sure_model_goes_on_as_it_must() -> None:
    found = continued(Sure(), torch.tensor([[3, 4], [7, 8]]), 4)
    assert found.tolist() == [[3, 4, 5, 6, 7, 8], [7, 8, 0, 1, 2, 3]]


def test_words_are_drawn_from_the_models_probabilities() -> None:
    model = TokenNet(3)
    torch.manual_seed(0)
    drawn = continued(model, torch.full((20_000, 1), 4), 1)[:, 1]
    expected = torch.softmax(model(torch.tensor([[4]]))[0, 0], 0)
    assert torch.allclose(drawn.bincount(minlength=9) / 20_000, expected, atol=0.015)
    assert model.training, "it is left as it was"


def test_only_the_students_own_words_are_judged() -> None:
    """The teacher is asked for texts that the student made: their beginnings are real, the rest is its own."""
    asked: list[Tensor] = []
    teacher, rows = TokenNet(9), batch_for(TokenNet)

    def source(inputs: Tensor, places: Tensor | None, grad: bool) -> Output:
        assert places is None, "these texts are in no cache"
        asked.append(inputs)
        return Output(teacher(inputs).flatten(0, 1).detach())

    torch.manual_seed(1)
    student = TokenNet(1)
    loss = objective(student_share=1.0, prompt_tokens=10, new_tokens=6, divergence="forward_kl", weight=0.8)
    found = loss.loss(step(student, [source], rows))
    (told,) = asked
    assert told.shape == (BATCH, 15)
    assert torch.equal(told[:, :10], rows.inputs[:, :10])
    expected = softened_kl(student(told)[:, 9:].flatten(0, 1), teacher(told)[:, 9:].flatten(0, 1), 1.0)
    torch.testing.assert_close(found, 0.8 * expected)


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
def test_without_own_words_it_is_distillation_on_known_texts(divergence: str) -> None:
    rows, teacher, student = batch_for(TokenNet), TokenNet(9), TokenNet(1)
    cached = CachedTeacher(teacher(rows.inputs).detach())
    found = objective(student_share=0.0, divergence=divergence, weight=1.0).loss(step(student, [cached], rows))
    s, t = (torch.log_softmax(net(rows.inputs).flatten(0, 1), 1) for net in (student, teacher))
    middle = (0.5 * (s.exp() + t.exp())).log()
    kinds = {"forward_kl": (t.exp() * (t - s)).sum(1), "reverse_kl": (s.exp() * (s - t)).sum(1),
             "jsd": 0.5 * (t.exp() * (t - middle)).sum(1) + 0.5 * (s.exp() * (s - middle)).sum(1)}  # fmt: skip
    torch.testing.assert_close(found, kinds[divergence].mean(), rtol=1e-4, atol=1e-6)


def test_the_teacher_runs_only_for_what_is_new() -> None:
    rows, runs = batch_for(TokenNet), []
    live = LiveTeacher(TokenNet(9))
    live.model.register_forward_hook(lambda *_a: runs.append(1))
    either = EitherTeacher(CachedTeacher(live.model(rows.inputs).detach()), live)
    runs.clear()
    objective(student_share=0.0).loss(step(TokenNet(1), [either], rows))
    assert not runs
    objective(student_share=1.0).loss(step(TokenNet(1), [either], rows))
    assert len(runs) == 1


def test_it_brings_the_student_nearer_on_its_own_words() -> None:
    def gap(model: nn.Module) -> float:
        torch.manual_seed(5)
        ids = continued(model, rows.inputs[:, :10], 20)
        return float(softened_kl(model(ids)[:, 9:].flatten(0, 1), teacher(ids)[:, 9:].flatten(0, 1), 1.0))

    rows, teacher, student = batch_for(TokenNet, count=96), TokenNet(9), TokenNet(1)
    with torch.no_grad():
        teacher.head.weight.mul_(4)
        answers, before = teacher(rows.inputs), gap(student)
    either = EitherTeacher(CachedTeacher(answers), LiveTeacher(teacher))
    data = Split(rows.inputs, rows.labels.view(96, -1))
    tiny.train(student, objective(student_share=1.0), data, teachers=[either], plan=tiny.plan(20))
    with torch.no_grad():
        assert gap(student) < 0.2 * before


def test_it_is_refused_where_nothing_can_be_continued() -> None:
    with pytest.raises(TrialFailedError, match="every place"):
        objective(student_share=1.0).loss(step(TextNet(1), [], batch_for(TextNet)))
    with pytest.raises(TrialFailedError, match="no prompt"):
        objective(student_share=1.0, new_tokens=40).loss(step(TokenNet(1), []))
