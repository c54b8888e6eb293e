"""Wanda: its score by hand and on layers that run, magnitude as its limit, the same share of every row."""

from __future__ import annotations

import copy

import pytest
import torch
from small_nets import context, data, fresh, outputs, phase, stage
from torch import Tensor, nn

from engine.weights import code
from engine.weights.layer_inputs import largest_magnitudes, mean_magnitudes, second_moments, squared_norms


def rows_of(inputs: Tensor, weight: Tensor, **knobs: object) -> tuple[nn.Module, Tensor]:
    """A linear layer after Wanda on these inputs, and its mask."""
    model = nn.Sequential(nn.Linear(*weight.shape[::-1], bias=False))
    with torch.no_grad():
        model[0].weight.copy_(weight)
    one, given = stage("prune_wanda", **knobs), context()
    given.calibration = [(inputs, torch.zeros(len(inputs)))]
    one.attach(model, [])
    one.prepare(model, given)
    return model, code.masks(model)["0"]


def test_by_hand() -> None:
    """Norms 5, 1 and 2: |w| times them is 0.5, 1, 0.6 in the first row and 5, 3, 6 in the second."""
    inputs = torch.tensor([[3.0, 1.0, 0.0], [-4.0, 0.0, 2.0]])
    weight = torch.tensor([[0.1, -1.0, 0.3], [1.0, 3.0, -3.0]])
    _, mask = rows_of(inputs, weight, sparsity=1 / 3)
    assert mask.tolist() == [[False, True, True], [True, False, True]]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9])
def test_with_inputs_of_one_size_it_is_magnitude_within_each_row(share: float) -> None:
    torch.manual_seed(0)
    weight = torch.randn(6, 20)
    inputs = torch.linalg.qr(torch.randn(20, 20)).Q * 3.0  # every column of norm 3
    _, mask = rows_of(inputs, weight, sparsity=share)
    gone = round(share * 20)
    for row, kept in zip(weight, mask, strict=True):
        assert int((~kept).sum()) == gone
        assert gone == 0 or float(row[~kept].abs().max()) < float(row[kept].abs().min())


def test_of_single_weights_it_takes_the_one_whose_loss_changes_the_outputs_least() -> None:
    """|w_j| ||x_j|| is the change of an output when one weight goes: brute force over all of them."""
    torch.manual_seed(1)
    weight, inputs = torch.randn(4, 5), torch.randn(30, 5) * torch.tensor([0.1, 1.0, 3.0, 0.5, 2.0])
    _, mask = rows_of(inputs, weight, sparsity=0.2)
    for row, kept in zip(weight, mask, strict=True):
        without = [row.clone().index_fill(0, torch.tensor(j), 0.0) for j in range(5)]
        errors = [float((inputs @ (row - other)).square().sum()) for other in without]
        assert int((~kept).nonzero()) == errors.index(min(errors))


def test_a_convolution_counts_every_place_that_a_weight_meets() -> None:
    torch.manual_seed(2)
    layer, images = nn.Conv2d(4, 6, 3, padding=1, groups=2), torch.randn(5, 4, 6, 6)
    model, batches = nn.Sequential(layer), [(images, torch.zeros(5))]
    (norms,) = squared_norms(model, [layer], batches)
    patches = nn.functional.unfold(images, 3, padding=1).view(5, 2, 18, -1)
    torch.testing.assert_close(norms, patches.square().sum((0, 3)))
    (means,), (largest,) = (f(model, [layer], batches) for f in (mean_magnitudes, largest_magnitudes))
    torch.testing.assert_close(means, patches.abs().mean((0, 3)))
    torch.testing.assert_close(largest, patches.abs().amax((0, 3)))
    (moments,) = second_moments(model, [layer], batches)
    torch.testing.assert_close(moments.diagonal(dim1=1, dim2=2), norms / (5 * 36))


def test_positions_of_a_text_are_rows() -> None:
    torch.manual_seed(3)
    weight, inputs = torch.randn(3, 4), torch.randn(2, 7, 4)
    _, mask = rows_of(inputs, weight)
    _, flat = rows_of(inputs.reshape(14, 4), weight)
    assert torch.equal(mask, flat)


def test_patterns_leave_half_of_every_group() -> None:
    torch.manual_seed(4)
    _, mask = rows_of(torch.randn(9, 16), torch.randn(5, 16), pattern="2:4", sparsity=0.9)
    assert bool((mask.view(5, 4, 4).sum(2) == 2).all())


def test_over_a_whole_layer_rows_may_lose_different_shares() -> None:
    inputs, weight = torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert rows_of(inputs, weight, pattern="layer")[1].tolist() == [[False, False], [True, True]]


def test_masks_in_a_network_are_exact_by_row_and_only_tighten() -> None:
    model = fresh()
    phase(model, [stage("prune_wanda", sparsity=0.25)])
    first = code.masks(model)
    phase(model, [stage("prune_wanda", sparsity=0.5)], epochs=1)
    for name, mask in code.masks(model).items():
        rows = mask.flatten(1)
        assert bool(((~rows).sum(1) == round(0.5 * rows.shape[1])).all())
        assert not bool((mask & ~first[name]).any())
    assert torch.isfinite(outputs(model)).all()


def test_it_leaves_the_mode_and_the_weights_alone() -> None:
    model = fresh().train()
    before = {n: p.clone() for n, p in model.state_dict().items()}
    squared_norms(model, [model.head], [(data().inputs, data().labels)])
    assert model.training
    assert all(torch.equal(before[n], p) for n, p in model.state_dict().items())


def test_the_layout_in_memory_does_not_matter() -> None:
    torch.manual_seed(3)
    images, found = torch.randn(5, 4, 6, 6), []
    layer = nn.Sequential(nn.Conv2d(4, 6, 3))
    for layout in (torch.contiguous_format, torch.channels_last):
        one, given = stage("prune_wanda", keep_first=False), context()
        given.calibration = [(images, torch.zeros(5))]
        model = copy.deepcopy(layer).to(memory_format=layout)
        one.attach(model, [])
        one.prepare(model, given)
        found.append(code.masks(model)["0"])
    assert found[0].equal(found[1])


def test_a_weight_stored_the_other_way_round_is_scored_alike() -> None:
    torch.manual_seed(5)
    weight, inputs = torch.randn(4, 6), torch.randn(20, 6)
    model = nn.Sequential(nn.Linear(6, 4, bias=False))
    model[0].weight = nn.Parameter(weight.T.contiguous().T)
    one, given = stage("prune_wanda"), context()
    given.calibration = [(inputs, torch.zeros(20))]
    one.attach(model, [])
    one.prepare(model, given)
    assert torch.equal(code.masks(model)["0"], rows_of(inputs, weight)[1])
