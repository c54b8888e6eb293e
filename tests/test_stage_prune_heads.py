"""Head pruning: scores against finite differences, which heads go, what is saved, the file, order and resuming."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import text_nets
import torch
import torch.nn.functional as F
from attention_tools import LAYER, SELF, answers, assert_resumes, packed, size
from small_nets import context, fresh, phase, stage
from torch import nn

from engine.errors import InputError
from engine.step import NO_LABEL
from engine.weights.attention import attentions, pool, strength
from engine.weights.constraint import weight_of
from engine.weights.heads import effects

HEADS, SIZE, WIDTH = 4, 4, text_nets.WIDTH


def loss(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(model(inputs), labels)


def slope(model: nn.Module, block: int, head: int, row: int) -> float:
    """By central differences in double precision: how the loss of one text changes with the gate of one head."""
    data, found = text_nets.data(), []
    for gate in (1 + 1e-4, 1 - 1e-4):
        twin = copy.deepcopy(model).double()
        with torch.no_grad():
            weight_of(attentions(twin)[block].out)[:, head * SIZE : (head + 1) * SIZE] *= gate
            found.append(float(loss(twin, data.inputs[row : row + 1], data.labels[row : row + 1])))
    return (found[0] - found[1]) / 2e-4


@pytest.fixture
def model() -> nn.Module:
    made = text_nets.fresh()
    phase(made, [], epochs=1)
    return made


def test_a_heads_effect_is_the_mean_of_absolute_slopes(model: nn.Module) -> None:
    model, data = model.eval(), text_nets.data()
    rows = 6
    batch = [(data.inputs[:rows], data.labels[:rows])]
    told = effects(model, attentions(model), batch, loss)
    for block, name in enumerate(told):
        for head in range(HEADS):
            expected = sum(abs(slope(model, block, head, row)) for row in range(rows)) / rows
            assert float(told[name][head]) == pytest.approx(expected, rel=1e-2, abs=1e-6)
    halves = [(data.inputs[:2], data.labels[:2]), (data.inputs[2:rows], data.labels[2:rows])]
    again = effects(model, attentions(model), halves, loss)
    for name, values in told.items():
        torch.testing.assert_close(again[name], values)


def test_without_labels_a_text_counts_as_what_the_model_takes_it_for(model: nn.Module) -> None:
    data = text_nets.data()
    own = answers(model).argmax(1)
    hidden = [(data.inputs, torch.full_like(data.labels, NO_LABEL))]
    told = effects(model, attentions(model), [(data.inputs, own)], loss)
    for name, values in effects(model, attentions(model), hidden, loss).items():
        torch.testing.assert_close(values, told[name])


@pytest.mark.parametrize("score", ["taylor", "magnitude"])
def test_the_weakest_heads_of_each_layer_go(model: nn.Module, score: str) -> None:
    found = context(text=True)
    told = effects(model, attentions(model), found.calibration, found.loss)
    worth = [told[a.name] if score == "taylor" else strength(a) for a in attentions(model)]
    plan = stage("prune_heads", score=score).plan(model, found)
    assert [row["attention"] for row in plan] == [a.name for a in attentions(model)]
    for row, values in zip(plan, worth, strict=True):
        assert row["keep"] == sorted(values.argsort(descending=True)[:2].tolist())


def test_over_all_layers_each_is_normalized_and_one_head_stays(model: nn.Module) -> None:
    first, second = attentions(model)
    with torch.no_grad():
        for layer in (second.query, second.key, second.value, second.out):
            layer.weight.mul_(1e-3)  # weak as a whole, which says nothing about its heads
    told = [strength(a) / strength(a).norm() for a in (first, second)]
    one = stage("prune_heads", score="magnitude", scope="global")
    (plan, ) = phase(model, [one])  # fmt: skip
    kept = {row["attention"]: len(row["keep"]) for row in plan}
    weakest = torch.cat(told).argsort()[:4]
    expected = [HEADS - int(((weakest // HEADS) == i).sum()) for i in (0, 1)]
    assert [kept.get(a.name, HEADS) for a in (first, second)] == expected
    everything = stage("prune_heads", fraction=0.95, scope="global")
    phase(model, [everything])
    assert [a.heads for a in attentions(model)] == [1, 1]


def test_parameters_and_operations_fall_as_computed(model: nn.Module) -> None:
    before, bytes_before = size(model), packed(model)
    phase(model, [stage("prune_heads", fraction=0.5)])
    gone, tokens = 2 * 2 * SIZE, text_nets.TOKENS  # numbers of two heads in each of two layers
    after = size(model)
    assert before[0] - after[0] == gone * (4 * WIDTH + 3)
    assert before[1] - after[1] == gone * (4 * WIDTH * tokens + 2 * tokens**2)  # the latter: scores and their sums
    assert bytes_before - packed(model) > 0.8 * 4 * gone * 4 * WIDTH


def test_one_layer_can_be_named(model: nn.Module) -> None:
    phase(model, [stage("prune_heads", layers=f"{LAYER}1.*")])
    assert [a.heads for a in attentions(model)] == [4, 2]
    assert model.get_submodule(f"{LAYER}1.{SELF}").num_attention_heads == 2


def test_training_on_repairs_and_what_is_kept_resumes(model: nn.Module, tmp_path: Path) -> None:
    one = stage("prune_heads", fraction=0.75)
    (plan, ) = phase(model, [one], epochs=1, number=1)  # fmt: skip
    assert_resumes(model, text_nets.fresh, one, plan, tmp_path)
    packed(model)


def test_groups_of_heads_that_share_keys_go_together(model: nn.Module) -> None:
    for attention in attentions(model):
        pool(attention, 2)
    phase(model, [stage("prune_heads", fraction=0.5)])
    assert [(a.heads, a.groups) for a in attentions(model)] == [(2, 1)] * 2
    packed(model)


def test_it_is_refused_without_attention_and_after_pruning(model: nn.Module) -> None:
    with pytest.raises(InputError, match="bert_2 or gpt_2"):
        phase(fresh(), [stage("prune_heads")])
    phase(model, [stage("prune_magnitude", sparsity=0.5)])
    with pytest.raises(InputError, match="before what prunes"):
        phase(model, [stage("prune_heads")])
