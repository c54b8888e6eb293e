"""Hints: the projector fits any two layers, learns what is linear in the student, and stays behind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import tiny_training as tiny
import torch
from loss_features_tools import features
from torch import Tensor, nn

from engine.losses._base import LossContext
from engine.losses.hint import Hint, HintObjective, aligned, projector
from engine.recipe import Part
from engine.step import Output
from engine.training import LiveTeacher, build_objective

ROLE = "middle_map"


def objective(student: Tensor, *teachers: Tensor) -> HintObjective:
    """Prepared for these tensors, in double precision."""
    torch.manual_seed(0)
    built = Hint().build(LossContext())
    assert isinstance(built, HintObjective)
    built.prepare(output(student), [output(t) for t in teachers])
    return built.double()


def output(tensor: Tensor) -> Output:
    return Output(torch.empty(0), taps(tensor))


def taps(tensor: Tensor) -> Mapping[str, Tensor]:
    return {ROLE: tensor}


def test_by_hand() -> None:
    """W = (2), b = 1: the projected 2 * 3 + 1 misses 5 by 2."""
    three, five = (torch.full((1, 1, 1, 1), number, dtype=torch.float64) for number in (3.0, 5.0))
    built = objective(three, five)
    nn.init.constant_(built.projectors[0].weight, 2.0)
    nn.init.constant_(built.projectors[0].bias, 1.0)
    assert built.term(taps(three), taps(five), 0).item() == 4


def test_golden() -> None:
    student, teacher = features(0), features(1, 6, 5, 4, 4)
    found = objective(student, teacher).term(taps(student), taps(teacher), 0).item()
    assert found == pytest.approx(1.4612054645, rel=1e-6)


def test_it_agrees_with_numpy() -> None:
    """Pool to the smaller grid, one matrix for every place, mean square."""
    student, teacher = features(0, 6, 3, 4, 4), features(1, 6, 5, 2, 2)
    built = objective(student, teacher)
    weight, bias = (p.detach().numpy() for p in built.projectors[0].parameters())
    pooled = student.numpy().reshape(6, 3, 2, 2, 2, 2).mean((3, 5))
    projected = np.einsum("oi,bihw->bohw", weight[:, :, 0, 0], pooled) + bias[None, :, None, None]
    expected = ((projected - teacher.numpy()) ** 2).mean()
    assert built.term(taps(student), taps(teacher), 0).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("student", "teacher", "kind"),
    [((6, 3, 4, 4), (6, 5, 4, 4), nn.Conv2d), ((6, 3, 7, 7), (6, 5, 3, 3), nn.Conv2d),
     ((6, 3, 2, 2), (6, 5, 4, 4), nn.Conv2d), ((6, 9), (6, 5), nn.Linear), ((6, 9), (6, 5, 1, 1), nn.Linear)],
)  # fmt: skip
def test_any_two_layers_fit(student: tuple[int, ...], teacher: tuple[int, ...], kind: type) -> None:
    pair = aligned(features(0, *student), features(1, *teacher))
    assert isinstance(projector(*pair), kind)
    found = objective(features(0, *student), features(1, *teacher))
    assert found.term(taps(features(0, *student)), taps(features(1, *teacher)), 0).isfinite()


def test_what_is_linear_in_the_student_can_be_learned_by_the_projector_alone() -> None:
    student = features(0)
    teacher = torch.einsum("oi,bihw->bohw", features(2, 5, 3), student) + 0.7
    built = objective(student, teacher)
    optimizer = torch.optim.Adam(built.parameters(), 0.05)
    first = built.term(taps(student), taps(teacher), 0).item()
    for _ in range(400):
        optimizer.zero_grad()
        built.term(taps(student), taps(teacher), 0).backward()
        optimizer.step()
    assert built.term(taps(student), taps(teacher), 0).item() < 1e-4 * first


def test_every_teacher_has_a_projector_of_its_size() -> None:
    built = objective(features(0), features(1, 6, 5, 4, 4), features(2, 6, 7, 2, 2))
    assert [p.weight.shape[0] for p in built.projectors] == [5, 7]


def test_the_loop_trains_the_projector_and_the_student_keeps_its_layers() -> None:
    built = build_objective([Part.from_json("losses", {"name": "hint"}, "test")], tiny.TAPS)
    model = tiny.net()
    tiny.train(model, built, teachers=[LiveTeacher(tiny.net(7), tiny.TAPS)], plan=tiny.plan(epochs=1))
    trained = [p.clone() for p in built.parameters()]
    assert trained
    assert model.state_dict().keys() == tiny.net().state_dict().keys()
    still = build_objective([Part.from_json("losses", {"name": "hint"}, "test")], tiny.TAPS)
    frozen = tiny.plan(epochs=1, rate=0.0)
    tiny.train(tiny.net(), still, teachers=[LiveTeacher(tiny.net(7), tiny.TAPS)], plan=frozen)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(trained, still.parameters(), strict=True))


def test_a_first_phase_without_labels_leaves_the_head_alone() -> None:
    """FitNets' first stage: only the layers up to the hint learn."""
    part = Part.from_json("losses", {"name": "hint", "label_weight": 0.0}, "test")
    model, untrained = tiny.net(), tiny.net()
    teachers = [LiveTeacher(tiny.net(7), tiny.TAPS)]
    tiny.train(model, build_objective([part], tiny.TAPS), teachers=teachers, plan=tiny.plan(epochs=1))
    assert torch.equal(model[6].weight, untrained[6].weight)
    assert not torch.equal(model[0].weight, untrained[0].weight)
