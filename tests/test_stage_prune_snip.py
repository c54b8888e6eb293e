"""SNIP: its score is the gradient of a factor on each weight, its masks are those of torch's pruning."""

from __future__ import annotations

import pytest
import torch
from saliency_tools import gated, reference_masks, watched
from small_nets import context, fresh, phase, stage

from engine.weights import code


def test_the_score_and_the_masks_agree_with_an_independent_way() -> None:
    parts = gated(fresh(), context().calibration)
    expected = {n: torch.stack([p[n] for p in parts]).mean(0) for n in parts[0]}
    found = watched("prune_snip", model := fresh(), sparsity=0.8)
    for name, score in expected.items():
        torch.testing.assert_close(found[name], score, rtol=1e-5, atol=1e-7)
    masks, theirs = code.masks(model), reference_masks(fresh(), {n: v.abs() for n, v in found.items()}, 0.8)
    assert all(torch.equal(masks[n], theirs[n]) for n in theirs)


def test_effects_of_opposite_sign_cancel_which_tells_it_from_taylor() -> None:
    from torch import nn

    found = {}
    for name in ("prune_snip", "prune_taylor"):
        model = nn.Sequential(nn.Linear(2, 1, bias=False))
        nn.init.ones_(model[0].weight)
        one, given = stage(name, sparsity=0.5), context()
        one.attach(model, [])
        # the first input pulls one way in one part and the other way in the next
        parts = torch.tensor([[3.0, 1.0], [-3.0, 1.0]])
        given.calibration = [(row.view(1, 2), torch.zeros(1, dtype=torch.long)) for row in parts]
        given.loss = lambda m, x, _: m(x).mean()
        one.prepare(model, given)
        found[name] = code.masks(model)["0"].tolist()
    assert found == {"prune_snip": [[False, True]], "prune_taylor": [[True, False]]}


def test_the_scale_of_the_loss_does_not_matter() -> None:
    masks = []
    for factor in (1.0, 1024.0):
        model, given = fresh(), context()
        plain = given.loss
        given.loss = lambda m, x, y, plain=plain, factor=factor: factor * plain(m, x, y)
        one = stage("prune_snip", sparsity=0.7)
        one.attach(model, [])
        one.prepare(model, given)
        masks.append(code.masks(model))
    assert all(torch.equal(masks[0][n], masks[1][n]) for n in masks[0])


@pytest.mark.parametrize("schedule", ["one_shot", "gradual"])
def test_exact_zeros_in_both_schedules(schedule: str) -> None:
    model = fresh()
    phase(model, [stage("prune_snip", sparsity=0.9, schedule=schedule)], epochs=1)
    masks = code.masks(model)
    assert sum(int((~m).sum()) for m in masks.values()) == round(0.9 * sum(m.numel() for m in masks.values()))
