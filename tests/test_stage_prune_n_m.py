"""N:M pruning: two zeros in every four, the same masks as torch's own sparsifier, groups along the input channels."""

from __future__ import annotations

import itertools

import pytest
import torch
from small_nets import context, fresh, phase, stage
from torch import Tensor, nn
from torch.ao.pruning import WeightNormSparsifier

from engine.weights import code
from engine.weights.sparsity import n_m_mask

PATTERNS = ("2:4", "1:2", "4:8", "1:4", "2:8", "1:8")


def rows(weight: Tensor) -> Tensor:
    """The matrix of a layer, neighbours as they are grouped."""
    return weight.movedim(1, -1).flatten(1)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("schedule", ["one_shot", "gradual"])
def test_every_group_keeps_n_and_they_are_its_largest(pattern: str, schedule: str) -> None:
    kept, group = (int(number) for number in pattern.split(":"))
    model = fresh()
    phase(model, [stage("prune_n_m", pattern=pattern, schedule=schedule)], epochs=int(schedule == "gradual"))
    found = code.masks(model)
    assert set(found) == {"blocks.1.depthwise", "blocks.1.pointwise", "head"}
    for name, mask in found.items():
        flat = rows(mask)
        whole = flat.shape[1] - flat.shape[1] % group
        assert bool((flat[:, :whole].reshape(-1, group).sum(1) == kept).all())
        assert bool(flat[:, whole:].all()), "a rest stays dense"
        if schedule == "one_shot":
            weight = rows(fresh().get_parameter(f"{name}.weight").detach().abs())[:, :whole].reshape(-1, group)
            inside = flat[:, :whole].reshape(-1, group)
            lowest_kept = weight.where(inside, torch.inf).amin(1)
            assert bool((lowest_kept >= weight.where(~inside, 0.0).amax(1)).all())


def test_the_known_example() -> None:
    score = torch.tensor([[1.0, 5.0, 2.0, 4.0, 3.0, 3.0, 9.0, 1.0, 0.0]])
    expected = torch.tensor([[False, True, False, True, False, True, True, False, True]])
    assert torch.equal(n_m_mask(score, 2, 4), expected)
    channels = torch.arange(8.0).view(1, 4, 2, 1)  # two places with four input channels each: 0 2 4 6 and 1 3 5 7
    assert torch.equal(n_m_mask(channels, 2, 4)[0, :, :, 0], torch.tensor([[False] * 2] * 2 + [[True] * 2] * 2))


def test_it_agrees_with_torch_s_sparsifier() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(32, 16))
    ours = n_m_mask(model[0].weight.detach().abs(), 2, 4)
    theirs = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    theirs.prepare(model, [{"tensor_fqn": "0.weight"}])
    theirs.step()
    assert torch.equal(ours, model[0].parametrizations.weight[0].mask.bool())


def test_gradually_groups_lose_one_weight_after_another() -> None:
    one, scores = stage("prune_n_m", pattern="1:4", schedule="gradual"), {"a": torch.rand(6, 8)}
    counts = [int((~one.keeps(scores, share)["a"]).sum()) for share in (0.0, 0.2, 0.4, 0.6, 0.75, 0.9)]
    assert counts == [0, 12, 24, 24, 36, 36]
    masks = [one.keeps(scores, share)["a"] for share in (0.2, 0.4, 0.75)]
    assert all(bool((few | ~many).all()) for few, many in itertools.pairwise(masks))


def test_weights_that_are_zero_already_count() -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.3)])
    before = code.masks(model)
    one = stage("prune_n_m")
    one.attach(model, [])
    one.prepare(model, context())
    for name, mask in code.masks(model).items():
        assert bool((before[name] | ~mask).all())
        whole = rows(mask).shape[1] // 4 * 4
        zeros = 4 - rows(mask)[:, :whole].reshape(-1, 4).sum(1)
        earlier = 4 - rows(before[name])[:, :whole].reshape(-1, 4).sum(1)
        assert torch.equal(zeros, earlier.clamp(min=2))
