"""Taylor pruning: its score is the mean square of gradient times weight, its masks are those of torch's pruning."""

from __future__ import annotations

import pytest
import torch
from saliency_tools import gated, reference_masks, watched
from small_nets import context, fresh, phase, stage
from torch import nn

from engine.step import NO_LABEL
from engine.weights import code, saliency


def test_the_score_and_the_masks_agree_with_an_independent_way() -> None:
    parts = gated(fresh(), context().calibration)
    expected = {n: torch.stack([p[n] for p in parts]).square().mean(0) for n in parts[0]}
    found = watched("prune_taylor", model := fresh(), sparsity=0.6)
    for name, score in expected.items():
        torch.testing.assert_close(found[name], score, rtol=1e-5, atol=1e-9)
    masks, theirs = code.masks(model), reference_masks(fresh(), found, 0.6)
    assert all(torch.equal(masks[n], theirs[n]) for n in theirs)


def test_a_linear_model_in_closed_form() -> None:
    """L = mean of x . w: the gradient is the mean of x, so the score is (mean x_i w_i)^2, and zeros go first."""
    model = nn.Sequential(nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0, -3.0, 0.5]]))
    one = stage("prune_taylor", sparsity=1 / 3)
    one.attach(model, [])
    rows = torch.tensor([[1.0, 0.1, 4.0], [3.0, -0.3, 0.0]])
    given = context()
    given.calibration = [(rows, torch.zeros(2, dtype=torch.long))]
    given.loss = lambda m, x, _: m(x).mean()
    one.prepare(model, given)
    torch.testing.assert_close(one.memory["0"], torch.tensor([[16.0, 0.09, 1.0]]))
    assert code.masks(model)["0"].tolist() == [[True, False, True]], (
        "the largest weight goes: the loss does not feel it"
    )


def test_it_changes_nothing_but_masks() -> None:
    model, before = fresh().eval(), fresh().state_dict()
    watched("prune_taylor", model)
    after = code.bake(model).state_dict()
    assert all(torch.equal(after[n], before[n]) for n in before if "running" in n or "batches" in n)
    assert not any(m.training for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.Linear))
    assert all(p.grad is None for p in model.parameters())


def test_images_without_label_count_as_what_the_model_takes_them_for() -> None:
    model, inputs = fresh(), context().calibration[0][0]
    layers = {"head": model.head}
    stage("prune_taylor").attach(model, [])
    own = model.train()(inputs[:32]).argmax(1)
    none = torch.full((32,), NO_LABEL)
    (a,) = saliency.products(model, layers, [(inputs[:32], none)], context().loss)
    (b,) = saliency.products(model, layers, [(inputs[:32], own)], context().loss)
    assert torch.equal(a["head"], b["head"])
    assert torch.isfinite(a["head"]).all()


@pytest.mark.parametrize("schedule", ["one_shot", "gradual"])
def test_exact_zeros_in_both_schedules(schedule: str) -> None:
    model = fresh()
    phase(model, [stage("prune_taylor", sparsity=0.7, schedule=schedule)], epochs=1)
    masks = code.masks(model)
    assert sum(int((~m).sum()) for m in masks.values()) == round(0.7 * sum(m.numel() for m in masks.values()))


def test_of_half_of_the_weights_it_leaves_those_that_the_loss_needs() -> None:
    losses = {"prune_taylor": 0.0, "prune_random": 0.0}
    for name in losses:
        for seed in range(3):
            model = fresh(seed)
            phase(model, [], epochs=6)
            phase(model, [stage(name, sparsity=0.5), stage("recalibrate")])
            (inputs, labels), _ = context().calibration
            losses[name] += float(nn.functional.cross_entropy(model.eval()(inputs), labels).detach())
    assert losses["prune_taylor"] < 0.7 * losses["prune_random"]
