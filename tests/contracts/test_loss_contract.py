"""What every registered loss must do, whoever added it: a finite scalar that teaches and reads no hidden label."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from loss_nets import BATCH, batch_for, net_of, other_inputs
from torch import Tensor, nn

from engine import catalogue, registry
from engine.knobs import check_values, knobs_of
from engine.losses._base import TEACHER_MODES, LossContext, Objective
from engine.recipe import Recipe
from engine.step import NO_LABEL, Batch, Output, Step
from engine.taps import TapReader, tap_paths
from engine.training import LiveTeacher

LOSSES: dict[str, Any] = registry.registered("losses")
every_loss = pytest.mark.parametrize("name", LOSSES)


def objective(name: str, **values: Any) -> Objective:
    """Built, and shown the tensors at its taps, as the loop does it."""
    torch.manual_seed(0)
    net = net_of(LOSSES[name])
    context = LossContext(net.taps, batch_for(net).inputs, lambda number: net(100 + number))
    built: Objective = LOSSES[name](**values).build(context)
    if built.student_taps or built.teacher_taps:
        rows = batch_for(net)
        taught = [frozen_teacher(built, net)(rows.inputs, rows.index, False)] if built.teacher_mode != "none" else []
        with student_reader(net(1), built) as reader, torch.no_grad():
            built.prepare(reader(rows.inputs), taught)
    return built


def frozen_teacher(loss: Objective, net: Any) -> LiveTeacher:
    return LiveTeacher(net(99), tap_paths(loss.teacher_taps, net.taps, "teacher"))


def student_reader(student: Any, loss: Objective) -> TapReader:
    return TapReader(student, tap_paths(loss.student_taps, student.taps, "student"))


def student_of(name: str) -> Any:
    return net_of(LOSSES[name])(1)


def batch(name: str, labelled: bool = True) -> Batch:
    return batch_for(net_of(LOSSES[name]), labelled)


def value(name: str, student: nn.Module, rows: Batch, loss: Objective | None = None) -> Tensor:
    """The loss of one batch with a frozen teacher."""
    loss = loss or objective(name)
    least = LOSSES[name].least_teachers if LOSSES[name].needs_teacher else 0
    torch.manual_seed(0)  # a loss may draw; the loop seeds it
    teachers = [frozen_teacher(loss, type(student)) for _ in range(least)]
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
    student, built = student_of(name), objective(name)
    loss = value(name, student, batch(name), built)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    weights = [*student.parameters(), *built.parameters()]
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in weights)


@every_loss
def test_the_same_seed_gives_the_same_value(name: str) -> None:
    assert torch.equal(value(name, student_of(name), batch(name)), value(name, student_of(name), batch(name)))


@every_loss
def test_following_it_lowers_it(name: str) -> None:
    """Well towards what a long training reaches, which need not be 0: soft targets have an entropy of their own."""
    student, loss, rows = student_of(name), objective(name), batch(name)
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
    """Continuations of texts are drawn one after the other: they are other ones in another order."""
    if LOSSES[name].modalities == ("tokens",):
        return
    rows, turned = batch(name), torch.arange(BATCH).flip(0)
    other = Batch(rows.inputs[turned], rows.labels[turned], rows.labelled[turned], rows.index[turned])
    torch.testing.assert_close(value(name, student_of(name), rows), value(name, student_of(name), other))


@every_loss
def test_a_hidden_row_teaches_where_the_loss_says_so_or_not_at_all(name: str) -> None:
    """Rows without a label carry NO_LABEL; to a loss that draws labelled rows only their inputs must not matter."""
    student, rows = student_of(name), batch(name, labelled=False)
    loss = value(name, student, rows)
    assert loss.isfinite()
    changed = value(name, student, Batch(other_inputs(rows), rows.labels, rows.labelled, rows.index))
    assert torch.equal(loss, changed) is not objective(name).uses_unlabelled


@every_loss
def test_a_batch_without_any_label_is_finite(name: str) -> None:
    rows = batch(name)
    nothing, none = torch.full_like(rows.labels, NO_LABEL), torch.zeros_like(rows.labelled)
    loss = value(name, student_of(name), Batch(rows.inputs, nothing, none, rows.index))
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
    rows = catalogue.current()
    suitable = [t for t in rows.names("tasks") if rows.row("tasks", t)["modality"] in LOSSES[name].modalities]
    if not suitable:
        pytest.skip("no task of this kind is registered")
    task = suitable[0]
    teachers = rows.teachers(task)[:1] * LOSSES[name].least_teachers if LOSSES[name].needs_teacher else []
    phase = {"epochs": 1, "loss": {"name": name, **settings}, "teachers": teachers}
    recipe = Recipe.from_json({"task": task, "student": rows.students(task)[0], "phases": [phase]})
    assert dict(recipe.phases[0].loss[0].values) == settings
    assert Recipe.from_json(recipe.to_json()).key == recipe.key


@every_loss
def test_it_says_truly_whether_it_needs_a_teacher(name: str) -> None:
    def asked(*_call: Any) -> Output:
        raise LookupError

    student, rows = student_of(name), batch(name)
    step = Step(student, rows, [asked], torch.optim.SGD(student.parameters(), 0.1), 0, 10)
    if LOSSES[name].needs_teacher:
        with pytest.raises(LookupError):
            objective(name).loss(step)
    else:
        objective(name).loss(step)
