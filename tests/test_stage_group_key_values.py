"""Keys and values for several heads: how many stay, what is saved, the file, what comes before and after, resuming."""

from __future__ import annotations

from pathlib import Path

import pytest
import text_nets
from attention_tools import LAYER, answers, assert_resumes, packed, size
from small_nets import fresh, phase, stage
from torch import nn

from engine.errors import InputError
from engine.weights.attention import attentions

HEADS, SIZE, WIDTH = 4, 4, text_nets.WIDTH


@pytest.fixture
def model() -> nn.Module:
    made = text_nets.fresh()
    phase(made, [], epochs=1)
    return made


@pytest.mark.parametrize(("groups", "left"), [(1, 1), (2, 2), (3, 2), (4, 4), (12, 4)])
def test_the_largest_number_that_fits_evenly_stays(model: nn.Module, groups: int, left: int) -> None:
    (plan,) = phase(model, [stage("group_key_values", groups=groups)])
    assert [a.groups for a in attentions(model)] == [left, left]
    assert [a.heads for a in attentions(model)] == [HEADS, HEADS]
    assert len(plan) == (0 if left == HEADS else 2)


@pytest.mark.parametrize("groups", [1, 2])
def test_parameters_and_operations_fall_as_computed(model: nn.Module, groups: int) -> None:
    before, bytes_before = size(model), packed(model)
    phase(model, [stage("group_key_values", groups=groups)])
    gone = 2 * 2 * (HEADS - groups) * SIZE  # rows of keys and of values in two layers
    after = size(model)
    assert before[0] - after[0] == gone * (WIDTH + 1)
    assert before[1] - after[1] == gone * WIDTH * text_nets.TOKENS
    # what repeats the keys costs a few hundred bytes of graph
    assert bytes_before - packed(model) > 4 * gone * WIDTH - 1200


def test_it_is_repaired_by_training_and_resumes(model: nn.Module, tmp_path: Path) -> None:
    one = stage("group_key_values", groups=1, layers=f"{LAYER}0.*")
    (plan,) = phase(model, [one], epochs=1, number=1)
    assert [a.groups for a in attentions(model)] == [1, HEADS]
    assert_resumes(model, text_nets.fresh, one, plan, tmp_path)


def test_after_heads_were_removed_the_rest_is_grouped(model: nn.Module) -> None:
    phase(model, [stage("prune_heads", fraction=0.25), stage("group_key_values", groups=2)])
    assert [(a.heads, a.groups) for a in attentions(model)] == [(3, 1)] * 2  # 2 does not divide 3
    packed(model)


def test_pruning_and_rounding_act_on_what_is_left(model: nn.Module) -> None:
    later = [stage("prune_magnitude", sparsity=0.5), stage("quantize_linear", bits=4)]
    phase(model, [stage("group_key_values", groups=2), *later])
    assert answers(model).isfinite().all()
    packed(model)


def test_it_is_refused_without_attention() -> None:
    with pytest.raises(InputError, match="bert_2 or gpt_2"):
        phase(fresh(), [stage("group_key_values")])
