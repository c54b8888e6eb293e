"""Movement pruning: the sum of minus gradient times weight over a phase, and what it chooses by it."""

from __future__ import annotations

import pytest
import torch
from saliency_tools import reference_masks
from small_nets import context, fresh, phase, stage
from torch import nn

from engine.errors import InputError
from engine.recipe import Recipe
from engine.step import Batch, Step
from engine.weights import code


def watching(model: nn.Module, rate: float, steps: int, sparsity: float) -> dict[str, torch.Tensor]:
    """Plain gradient descent on L = sum of w_i t_i under the stage, once at the end; what it has gathered."""
    one = stage("prune_movement", sparsity=sparsity, schedule="one_shot")
    one.attach(model, [])
    one.prepare(model, context(steps))
    optimizer = torch.optim.SGD(model.parameters(), rate)
    none = torch.zeros(0)
    for number in range(steps):
        optimizer.zero_grad()
        (model[0].weight * torch.tensor([[1.0, -1.0, 0.5, 2.0]])).sum().backward()
        step = Step(model, Batch(none, none, none, none), [], optimizer, number, steps)
        one.before_step(step)
        optimizer.step()
        one.after_step(step)
    one.finish(model, context(steps))
    return one.memory


def test_the_sum_in_closed_form_and_what_moves_towards_zero_goes() -> None:
    model = nn.Sequential(nn.Linear(4, 1, bias=False))
    start, pull = torch.tensor([[3.0, 0.1, -0.2, 0.5]]), torch.tensor([[1.0, -1.0, 0.5, 2.0]])
    with torch.no_grad():
        model[0].weight.copy_(start)
    found = watching(model, 0.01, 5, 0.5)
    # w_t = w_0 - 0.01 t g, so S = -sum g (w_0 - 0.01 t g) = -5 g w_0 + 0.1 g^2
    torch.testing.assert_close(found["0"], -5 * pull * start + 0.1 * pull**2)
    kept = code.masks(model)["0"]
    assert kept.tolist() == [[False, True, True, False]], "the largest weight goes: it was on its way to zero"
    theirs = reference_masks(nn.Sequential(nn.Linear(4, 1, bias=False)), {"0": found["0"] - found["0"].min()}, 0.5)
    assert torch.equal(kept, theirs["0"])


@pytest.mark.parametrize("schedule", ["one_shot", "gradual"])
def test_exact_zeros_in_every_layer_in_both_schedules(schedule: str) -> None:
    model = fresh()
    phase(model, [stage("prune_movement", sparsity=0.7, schedule=schedule)], epochs=2)
    for mask in code.masks(model).values():
        assert int((~mask).sum()) == round(0.7 * mask.numel())


def test_once_leaves_the_phase_alone_until_its_end() -> None:
    model, plain = fresh(), fresh()
    phase(model, [stage("prune_movement", sparsity=0.7, schedule="one_shot")], epochs=1)
    phase(plain, [], epochs=1)
    after = code.bake(model)
    for name, mask in code.masks(model).items():
        weight = plain.get_parameter(f"{name}.weight")
        assert torch.equal(after.get_parameter(f"{name}.weight"), torch.where(mask, weight, 0.0))


def test_it_is_not_magnitude() -> None:
    masks = []
    for name in ("prune_movement", "prune_magnitude"):
        model = fresh()
        phase(model, [stage(name, sparsity=0.7, scope="layer", schedule="gradual")], epochs=1)
        masks.append(torch.cat([m.flatten() for m in code.masks(model).values()]))
    shared = float((masks[0] & masks[1]).sum() / masks[0].sum())
    assert shared < 0.95


@pytest.mark.parametrize("schedule", ["one_shot", "gradual"])
def test_without_training_it_is_refused(schedule: str) -> None:
    stages = [{"name": "prune_movement", "schedule": schedule}]
    with pytest.raises(InputError, match="at least 1 with prune_movement"):
        Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": [{"epochs": 0, "stages": stages}]})
