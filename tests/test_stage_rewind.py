"""Rewinding: the starting weights under the masks, bit for bit; then it trains like a sparse fresh network."""

from __future__ import annotations

import pytest
import torch
from small_nets import context, fresh, outputs, phase, stage
from torch import nn

from engine.errors import InputError
from engine.home import Home
from engine.recipe import Recipe
from engine.stages.rewind import plain_state
from engine.student import train as train_student
from engine.weights import code
from engine.weights.constraint import original
from engine.workbench import Bench


def ticket() -> nn.Module:
    model = fresh()
    phase(model, [], epochs=2)
    phase(model, [stage("prune_magnitude", sparsity=0.8)])
    return model


def test_what_is_left_is_as_it_began_and_the_zeros_stay() -> None:
    model, dense = ticket(), fresh()
    masks = code.masks(model)
    one, given = stage("rewind"), context(12)
    given.initial = fresh
    one.prepare(model, given)
    plain = code.bake(model)
    for name, parameter in dense.state_dict().items():
        mask = masks.get(name.removesuffix(".weight"))
        expected = parameter if mask is None else torch.where(mask, parameter, 0.0)
        assert torch.equal(plain.state_dict()[name], expected), name
    assert all(torch.equal(m, masks[n]) for n, m in code.masks(model).items())


def test_the_same_as_training_a_fresh_network_under_the_ticket_s_masks() -> None:
    rewound, other = ticket(), fresh()
    masks = code.masks(rewound)
    phase(rewound, [stage("rewind")], epochs=1, number=3)
    stage("prune_magnitude").attach(other, [])
    for name, mask in masks.items():
        other.get_submodule(name).parametrizations.weight[0].tighten(mask)
    phase(other, [], epochs=1, number=3)
    assert torch.equal(outputs(rewound), outputs(other))


def test_shuffled_is_the_same_values_in_another_order() -> None:
    model, one, given = ticket(), stage("rewind", start="shuffled"), context(12)
    given.initial = fresh
    one.prepare(model, given)
    ours, first = plain_state(model), fresh().state_dict()
    for name, value in first.items():
        assert torch.equal(ours[name].flatten().sort().values, value.flatten().sort().values)
    assert not torch.equal(ours["head.weight"], first["head.weight"])


def test_a_pattern_rewinds_its_layers_only() -> None:
    model, one, given = ticket(), stage("rewind", layers="head"), context(12)
    before, given.initial = plain_state(ticket()), fresh
    one.prepare(model, given)
    assert torch.equal(original(model.head), fresh().head.weight)
    changed = {n for n, v in plain_state(model).items() if not torch.equal(v, before[n])}
    assert changed == {"head.weight", "head.bias"}


def test_without_training_it_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1 with rewind"):
        Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": [{"stages": ["rewind"]}]})


def test_the_pipeline_gives_the_untrained_student_in_its_present_shape(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Narrowed before: the ticket starts from the starting values of the channels that are left."""
    from engine import student

    seen: list[nn.Module] = []

    def no_training(bench: Bench, model: nn.Module, stages: object, given: object, number: int) -> list[object]:
        seen.append(code.bake(model))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)
        return []

    monkeypatch.setattr(student, "_fit", no_training)
    monkeypatch.setattr(Bench, "quality", lambda *_: 0.0)
    phases = [
        {"epochs": 1, "stages": ["prune_channels", {"name": "prune_magnitude", "keep_first": False}]},
        {"epochs": 1, "stages": [{"name": "prune_random", "sparsity": 0.6, "keep_first": False}, "rewind"]},
    ]
    recipe = Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": phases})
    train_student(Bench(recipe, Home(tmp_path)))  # type: ignore[arg-type]
    first, second = (m.state_dict() for m in seen)
    for name, value in second.items():
        left = value != 0
        assert torch.equal(value[left], first[name][left]), name
