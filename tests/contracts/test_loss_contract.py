"""What every registered loss must do, whoever added it: a finite scalar that teaches and reads no hidden label."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine import registry
from engine.knobs import check_values, knobs_of
from engine.losses._base import TEACHER_MODES, LossContext, Objective
from engine.recipe import Recipe
from engine.step import NO_LABEL, Batch, Output, Step
from engine.taps import TapReader, tap_paths
from engine.training import LiveTeacher

LOSSES: dict[str, Any] = registry.registered("losses")
every_loss = pytest.mark.parametrize("name", LOSSES)
CLASSES, BATCH = 5, 12


class Net(nn.Module):
    """Ten numbers to five classes, with the taps that losses may ask for."""

    taps = {"first_map": "body.2", "middle_map": "body.4", "last_map": "body.4", "last_feature": "body.5"}

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        layers = (nn.Linear(10, 32), nn.ReLU(), nn.Unflatten(1, (2, 4, 4)), nn.Conv2d(2, 3, 3, padding=1), nn.ReLU())
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(48, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))


def objective(name: str, **values: Any) -> Objective:
    """Built, and shown the tensors at its taps, as the loop does it."""
    torch.manual_seed(0)
    context = LossContext(Net.taps, batch().inputs, lambda number: Net(100 + number))
    built: Objective = LOSSES[name](**values).build(context)
    if built.student_taps or built.teacher_taps:
        rows = batch()
        taught = [frozen_teacher(built)(rows.inputs, rows.index, False)] if built.teacher_mode != "none" else []
        with student_reader(Net(1), built) as reader, torch.no_grad():
            built.prepare(reader(rows.inputs), taught)
    return built


def frozen_teacher(loss: Objective) -> LiveTeacher:
    return LiveTeacher(Net(99), tap_paths(loss.teacher_taps, Net.taps, "teacher"))


def student_reader(student: nn.Module, loss: Objective) -> TapReader:
    return TapReader(student, tap_paths(loss.student_taps, Net.taps, "student"))


def batch(labelled: bool = True, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    known = torch.arange(BATCH) % 3 == 0 if not labelled else torch.ones(BATCH, dtype=torch.bool)
    inputs = torch.randn(BATCH, 10, generator=generator)
    return Batch(inputs, torch.where(known, labels, NO_LABEL), known, torch.arange(BATCH))


def value(name: str, student: nn.Module, rows: Batch, loss: Objective | None = None) -> Tensor:
    """The loss of one batch with a frozen teacher."""
    loss = loss or objective(name)
    least = LOSSES[name].least_teachers if LOSSES[name].needs_teacher else 0
    teachers = [frozen_teacher(loss) for _ in range(least)]
    optimizer = torch.optim.SGD([*student.parameters(), *loss.parameters()], 0.1)
    with student_reader(student, loss) as reader:
        return loss.loss(Step(student, rows, teachers, optimizer, 0, 10, reader))


@every_loss
def test_its_knobs_round_trip(name: str) -> None:
    knobs = knobs_of(LOSSES[name])
    values = check_values(knobs, {}, name)
    assert LOSSES[name](**values) == LOSSES[name]()
    assert check_values(knobs, values, name) == values


@every_loss
def test_it_carries_words_and_a_formula(name: str) -> None:
    cls = LOSSES[name]
    assert all((cls.title, cls.source, cls.formula))
    assert len(cls.help.split()) >= 8
    assert objective(name).teacher_mode in TEACHER_MODES


@every_loss
def test_it_is_a_finite_scalar_that_reaches_every_weight(name: str) -> None:
    student, built = Net(1), objective(name)
    loss = value(name, student, batch(), built)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    weights = [*student.parameters(), *built.parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in weights)


@every_loss
def test_the_same_seed_gives_the_same_value(name: str) -> None:
    assert torch.equal(value(name, Net(1), batch()), value(name, Net(1), batch()))


@every_loss
def test_following_it_lowers_it(name: str) -> None:
    """Well towards what a long training reaches, which need not be 0: soft targets have an entropy of their own."""
    student, loss, rows = Net(1), objective(name), batch()
    optimizer = torch.optim.Adam([*student.parameters(), *loss.parameters()], 0.02)
    seen = []
    for _ in range(300):
        seen.append(value(name, student, rows, loss))
        optimizer.zero_grad()
        seen[-1].backward()
        optimizer.step()
    first, soon, late = (seen[i].item() for i in (0, 60, -1))
    assert late < first - 0.01
    assert soon - late < 0.7 * (first - late)


@every_loss
def test_the_order_of_a_batch_does_not_matter(name: str) -> None:
    rows, turned = batch(), torch.arange(BATCH).flip(0)
    other = Batch(rows.inputs[turned], rows.labels[turned], rows.labelled[turned], rows.index[turned])
    torch.testing.assert_close(value(name, Net(1), rows), value(name, Net(1), other))


@every_loss
def test_a_hidden_row_teaches_where_the_loss_says_so_or_not_at_all(name: str) -> None:
    """Rows without a label carry NO_LABEL; to a loss that draws labelled rows only their inputs must not matter."""
    student, rows = Net(1), batch(labelled=False)
    loss = value(name, student, rows)
    assert loss.isfinite()
    other = torch.where(rows.labelled[:, None], rows.inputs, rows.inputs + 1)
    changed = value(name, student, Batch(other, rows.labels, rows.labelled, rows.index))
    assert torch.equal(loss, changed) is not objective(name).uses_unlabelled


@every_loss
def test_a_batch_without_any_label_is_finite(name: str) -> None:
    rows = batch()
    nothing = torch.full((BATCH,), NO_LABEL)
    loss = value(name, Net(1), Batch(rows.inputs, nothing, torch.zeros(BATCH, dtype=torch.bool), rows.index))
    assert loss.isfinite()
    loss.backward()


@every_loss
def test_each_phase_gets_an_objective_of_its_own(name: str) -> None:
    first, again = objective(name), objective(name)
    assert first is not again
    assert not {id(p) for p in first.parameters()} & {id(p) for p in again.parameters()}


@every_loss
def test_a_recipe_keeps_every_setting(name: str) -> None:
    settings = check_values(knobs_of(LOSSES[name]), {}, name)
    teachers = ["teacher"] * LOSSES[name].least_teachers if LOSSES[name].needs_teacher else []
    phase = {"epochs": 1, "loss": {"name": name, **settings}, "teachers": teachers}
    recipe = Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": [phase]})
    assert dict(recipe.phases[0].loss[0].values) == settings
    assert Recipe.from_json(recipe.to_json()).key == recipe.key


@every_loss
def test_it_says_truly_whether_it_needs_a_teacher(name: str) -> None:
    def asked(*_call: Any) -> Output:
        raise LookupError

    student, rows = Net(1), batch()
    step = Step(student, rows, [asked], torch.optim.SGD(student.parameters(), 0.1), 0, 10)
    if LOSSES[name].needs_teacher:
        with pytest.raises(LookupError):
            objective(name).loss(step)
    else:
        objective(name).loss(step)
