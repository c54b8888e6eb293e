"""Losses on inner tensors: what the loop, the live teacher and a sum do for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import tiny_training as tiny
import torch
from torch import Tensor, nn

from engine.errors import InputError
from engine.home import Home
from engine.losses._features import FeatureObjective
from engine.losses._sum import SumObjective
from engine.losses.cross_entropy import CrossEntropyObjective
from engine.recipe import Part, Recipe
from engine.step import Output
from engine.student import _live
from engine.training import LiveTeacher, build_objective
from engine.workbench import Bench


class Seen(FeatureObjective):
    """Keeps what it is shown, and has a weight that is made only then."""

    def __init__(self, role: str = "last_map") -> None:
        super().__init__((role,), 1.0, 1.0)
        self.role, self.shown = role, []
        self.student_paths = {role: tiny.TAPS[role]}

    def prepare(self, student: Output, teachers: Sequence[Output]) -> None:
        self.shown.append((student.taps[self.role].shape, [t.taps[self.role].shape for t in teachers]))
        self.scale = nn.Parameter(torch.rand(()))
        self.first = self.scale.item()

    def term(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor], k: int) -> Tensor:
        return (self.scale * student[self.role].mean() - teacher[self.role].mean()).square()


def teachers() -> list[Any]:
    return [LiveTeacher(tiny.net(seed), tiny.TAPS) for seed in (7, 8)]


def test_the_loop_shows_shapes_once_and_trains_what_was_made_of_them() -> None:
    model, objective = tiny.net(), Seen()
    tiny.train(model, objective, teachers=teachers())
    assert objective.shown == [((2, 6, 6, 6), [(2, 6, 6, 6)] * 2)]
    assert objective.scale.item() != objective.first
    assert model.state_dict()["1.num_batches_tracked"] == 12, "the look must not move BatchNorm"


def test_what_it_makes_depends_on_the_seed_alone() -> None:
    found = []
    for noise, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(noise)
        objective = Seen()
        tiny.train(tiny.net(), objective, teachers=teachers(), plan=tiny.plan(epochs=1, seed=seed))
        found.append(objective.first)
    assert found[0] == found[1] != found[2]


def test_an_objective_without_taps_is_not_asked() -> None:
    class Never(CrossEntropyObjective):
        def prepare(self, student: Output, teachers: Sequence[Output]) -> None:
            raise AssertionError

    tiny.train(tiny.net(), Never(), plan=tiny.plan(epochs=1))


def test_a_sum_shows_every_part_what_it_needs() -> None:
    parts = [CrossEntropyObjective(), Seen("first_map"), Seen("last_map")]
    total = SumObjective(parts, [1.0, 1.0, 0.5])
    total.student_paths = {role: tiny.TAPS[role] for role in total.student_taps}
    tiny.train(tiny.net(), total, teachers=teachers(), plan=tiny.plan(epochs=1))
    assert [part.shown[0][0] for part in parts[1:]] == [(2, 6, 6, 6)] * 2
    assert total.teacher_mode == "live"


def test_a_shipped_teacher_gives_its_taps(tmp_path: Any) -> None:
    phase = {"epochs": 1, "loss": {"name": "similarity"}, "teachers": ["teacher"]}
    bench = Bench(
        Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": [phase]}), Home(tmp_path)
    )
    live = _live(bench, "teacher", ("first_map", "last_feature"))
    seen = live(bench.example, None, False)
    assert {role: tuple(t.shape[1:]) for role, t in seen.taps.items()} == {
        "first_map": (64, 14, 14), "last_feature": (256,)}  # fmt: skip
    shipped = bench.task.shipped_outputs("teacher", "sample", "train")
    assert shipped is not None
    rows = torch.arange(4)
    inputs = bench.task.split("sample", "train").inputs[rows]
    torch.testing.assert_close(live(inputs, rows, False).logits, shipped[rows].float(), rtol=2e-2, atol=2e-2)


def test_a_place_that_a_teacher_lacks_is_refused_with_those_it_has(tmp_path: Any) -> None:
    bench = Bench(
        Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": [{"epochs": 1}]}), Home(tmp_path)
    )
    with pytest.raises(InputError, match="last_map"):
        _live(bench, "teacher", ("lost_map",))


def test_a_student_without_the_place_is_refused() -> None:
    part = Part.from_json("losses", {"name": "similarity", "layer": "first_map"}, "test")
    with pytest.raises(InputError, match="first_map"):
        build_objective([part], {"last_map": "2"})
