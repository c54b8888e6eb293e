"""Factorizations of one weight: the errors are those of the singular values left out, nothing is nearer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.weights import factor
from engine.weights.factor import CHANNEL, FORMS, SPATIAL, depthwise, low_rank, matrix_of, rank_for


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def product(first: Tensor, second: Tensor) -> Tensor:
    """The one weight that two of low_rank stand for."""
    if first.ndim == 2:
        return second @ first
    return torch.einsum(
        "rihx,orxw->oihw" if first.shape[3] == 1 < second.shape[3] else "rihw,orxy->oihw", first, second
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(7, 5, 3, 3), (4, 6, 3, 5), (9, 20), (20, 9)])
def test_the_error_is_that_of_the_singular_values_left_out(form: str, shape: tuple[int, ...]) -> None:
    weight = random(*shape)
    values = torch.linalg.svdvals(matrix_of(weight, form))
    assert len(values) == factor.full_rank(weight, form)
    for rank in range(1, len(values) + 1):
        error = (product(*low_rank(weight, rank, form)) - weight).norm()
        assert float(error) == pytest.approx(float(values[rank:].norm()), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_two_convolutions_compute_what_the_one_with_their_product_does(form: str) -> None:
    weight, image = random(7, 5, 3, 3), random(2, 5, 9, 8, seed=1)
    first, second = low_rank(weight, 4, form)
    one = F.conv2d(image, product(first, second), padding=1)
    if form == CHANNEL:
        two = F.conv2d(F.conv2d(image, first, padding=1), second)
    else:
        two = F.conv2d(F.conv2d(image, first, padding=(1, 0)), second, padding=(0, 1))
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("form", "weights"), [(CHANNEL, 4 * (5 * 9 + 7)), (SPATIAL, 4 * (5 * 3 + 7 * 3))])
def test_the_number_of_weights_is_the_papers(form: str, weights: int) -> None:
    assert sum(f.numel() for f in low_rank(random(7, 5, 3, 3), 4, form)) == weights


def test_both_factors_carry_the_same_share_of_the_scale() -> None:
    first, second = low_rank(100 * random(12, 8), 5)
    torch.testing.assert_close(first.norm(dim=1), second.norm(dim=0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wide", [True, False])
def test_a_matrix_of_lower_rank_is_copied_and_zeros_are_no_problem(wide: bool) -> None:
    thin = random(6, 2) @ random(2, 9, seed=1)
    matrix = thin if wide else thin.T
    for rank in (2, 5):
        left, right = factor.truncated(matrix, rank)
        torch.testing.assert_close(left @ right, matrix, rtol=1e-4, atol=1e-5)
    left, right = factor.truncated(torch.zeros(3, 4), 2)
    assert torch.equal(left @ right, torch.zeros(3, 4))


def test_the_rank_for_an_energy_is_the_smallest_that_holds_it() -> None:
    weight = torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0]))  # squares 16, 9, 4, 1 of 30
    shares = {0.01: 1, 16 / 30: 1, 0.54: 2, 25 / 30: 2, 0.9: 3, 29 / 30: 3, 0.97: 4, 1.0: 4}
    assert {share: rank_for(weight, CHANNEL, share) for share in shares} == shares
    assert rank_for(torch.zeros(3, 3), CHANNEL, 0.5) == 1


def separable(filters: Tensor, mixing: Tensor, inputs: int) -> Tensor:
    """The one weight that a depthwise and a pointwise convolution stand for."""
    taps = filters.view(inputs, -1, *filters.shape[2:])
    return torch.einsum("oit,ithw->oihw", mixing.view(mixing.shape[0], inputs, -1), taps)


@pytest.mark.parametrize("multiplier", [1, 2, 6])
def test_depthwise_errors_are_those_of_each_input_channels_own_matrix(multiplier: int) -> None:
    weight = random(6, 4, 3, 3)
    filters, mixing = depthwise(weight, multiplier)
    assert filters.shape == (4 * multiplier, 1, 3, 3)
    assert mixing.shape == (6, 4 * multiplier, 1, 1)
    left_out = [torch.linalg.svdvals(weight[:, i].flatten(1))[multiplier:].square().sum() for i in range(4)]
    error = (separable(filters, mixing, 4) - weight).square().sum()
    assert float(error) == pytest.approx(float(sum(left_out)), rel=1e-4, abs=1e-6)


def test_a_depthwise_and_a_pointwise_convolution_compute_it() -> None:
    weight, image = random(6, 4, 3, 3), random(2, 4, 8, 8, seed=1)
    filters, mixing = depthwise(weight, 2)
    two = F.conv2d(F.conv2d(image, filters, padding=1, groups=4), mixing)
    torch.testing.assert_close(F.conv2d(image, separable(filters, mixing, 4), padding=1), two, rtol=1e-4, atol=1e-5)


def test_no_step_of_least_squares_comes_nearer_than_the_depthwise_pair() -> None:
    """Alternating least squares over both factors, started elsewhere, ends at the same error."""
    weight = random(6, 4, 3, 3)
    best = (separable(*depthwise(weight, 1), 4) - weight).square().sum()
    matrices = weight.transpose(0, 1).flatten(2)  # [inputs, outputs, taps]
    rows = random(4, 9, seed=2)
    for _ in range(300):
        columns = torch.einsum("iot,it->io", matrices, rows) / rows.square().sum(1, keepdim=True)
        rows = torch.einsum("iot,io->it", matrices, columns) / columns.square().sum(1, keepdim=True)
    found = (columns[:, :, None] * rows[:, None] - matrices).square().sum()
    assert float(found) == pytest.approx(float(best), rel=1e-4)
