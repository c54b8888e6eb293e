"""What every registered loss must do inside the training loop; a new one is found by itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import tiny_training as tiny
import torch
from loss_nets import batch_for, net_of

from engine import catalogue, registry
from engine.losses._base import Loss, Objective
from engine.recipe import Part
from engine.tasks._base import Split
from engine.training import CachedTeacher, EitherTeacher, LiveTeacher, build_objective

LOSSES = registry.registered("losses")


@pytest.fixture(params=list(LOSSES))
def loss(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[Loss]:
    """Each loss in turn; the catalogue in force is what the registry says now."""
    rows = {name: registry.describe("losses", entry) for name, entry in LOSSES.items()}
    monkeypatch.setattr(catalogue, "current", lambda: catalogue.Catalogue({"losses": rows}))
    found: type[Loss] = LOSSES[request.param]
    return found


def on_images(loss: type[Loss]) -> bool:
    return "image" in loss.modalities


def model_of(loss: type[Loss], seed: int = 0) -> Any:
    return tiny.net(seed) if on_images(loss) else net_of(loss)(seed)


def split_of(loss: type[Loss]) -> Split:
    if on_images(loss):
        return tiny.split()
    rows = batch_for(net_of(loss), count=96)
    return Split(rows.inputs, rows.labels.view(96, -1).squeeze(1))


def objective_of(loss: type[Loss], *parts: Part) -> Objective:
    """Built as the pipeline builds it, through a recipe's part."""
    chosen = parts or (Part.from_json("losses", {"name": loss.name}, "test"),)
    if on_images(loss):
        return tiny.built(chosen)
    return build_objective(
        chosen, net_of(loss).taps, split_of(loss).inputs, lambda number: model_of(loss, 100 + number)
    )


def teachers_of(loss: type[Loss], objective: Objective) -> list[Any]:
    """Two, of the kind that it asks for."""
    taps = tiny.TAPS if on_images(loss) else net_of(loss).taps
    live = [LiveTeacher(model_of(loss, seed), taps) for seed in (7, 8)]
    if objective.teacher_mode == "live":
        return live
    if on_images(loss):
        logits = tiny.teacher_logits(tiny.split())
        return [CachedTeacher(logits), CachedTeacher(logits.roll(1, 1))]
    inputs = split_of(loss).inputs
    return [EitherTeacher(CachedTeacher(t.model(inputs).detach()), t) for t in live]


def test_says_what_it_is(loss: type[Loss]) -> None:
    row = registry.describe("losses", loss)
    for field in ("title", "help", "source", "formula", "expect"):
        assert row[field].strip(), f"{loss.name} has no {field}"
    assert len(row["help"].split()) >= 20
    assert any(word.isdigit() and len(word) == 4 for word in row["source"].replace(",", " ").split()), "no year"
    assert row["formula"].count("{") == row["formula"].count("}")
    assert all(len(k["help"].split()) >= 8 for k in row["knobs"])


def test_round_trip_through_a_recipe(loss: type[Loss]) -> None:
    part = Part.from_json("losses", {"name": loss.name}, "test")
    again = Part.from_json("losses", part.to_json(), "test")
    assert again == part
    assert again.to_json() == part.to_json()
    assert loss(**dict(again.values)) == loss()


def test_declares_how_it_uses_the_teacher(loss: type[Loss]) -> None:
    objective = objective_of(loss)
    assert loss.needs_teacher == (objective.teacher_mode != "none")
    assert set(objective.student_taps) == set(objective.student_paths)


def test_trains_a_tiny_model(loss: type[Loss]) -> None:
    objective, untrained, model = objective_of(loss), model_of(loss), model_of(loss)
    curve = tiny.train(model, objective, split_of(loss), teachers=teachers_of(loss, objective))
    assert [p.epoch for p in curve] == [1, 2]
    assert all(math.isfinite(p.loss) for p in curve)
    assert curve[1].loss < curve[0].loss or loss.modalities == ("tokens",), "batches of its own words are another loss"
    assert not tiny.same(model, untrained)
    if on_images(loss):
        assert model.state_dict()["1.num_batches_tracked"] == 12, "it must not run the student twice a step"


def test_same_seed_same_weights(loss: type[Loss]) -> None:
    models = [model_of(loss) for _ in range(3)]
    for model, seed in zip(models, (3, 3, 4), strict=True):
        objective = objective_of(loss)
        teachers = teachers_of(loss, objective)
        tiny.train(model, objective, split_of(loss), teachers=teachers, plan=tiny.plan(seed=seed))
    assert tiny.same(models[0], models[1])
    assert not tiny.same(models[0], models[2])


def test_hidden_labels_never_matter(loss: type[Loss]) -> None:
    """Few labels: permuting those that may not be used changes no bit of the weights."""
    data, labelled = split_of(loss), torch.arange(0, 96, 5)
    hidden = torch.ones(96, dtype=torch.bool).index_fill_(0, labelled, False)
    shuffled = data.labels.clone()
    shuffled[hidden] = data.labels[hidden].roll(1, 0)
    assert not torch.equal(data.labels, shuffled)
    models = [model_of(loss), model_of(loss)]
    for model, labels in zip(models, (data.labels, shuffled), strict=True):
        objective = objective_of(loss)
        teachers = teachers_of(loss, objective)
        tiny.train(model, objective, Split(data.inputs, labels), labelled=labelled, teachers=teachers)
    assert tiny.same(*models)


def test_can_be_part_of_a_sum(loss: type[Loss]) -> None:
    parts = [Part("losses", "cross_entropy", ()), Part("losses", loss.name, (), 0.5)]
    objective, model = objective_of(loss, *parts), model_of(loss)
    curve = tiny.train(model, objective, split_of(loss), teachers=teachers_of(loss, objective))
    assert math.isfinite(curve[-1].loss)
    if on_images(loss):
        assert model.state_dict()["1.num_batches_tracked"] == 12
