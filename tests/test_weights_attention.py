"""Attention blocks: what is found, what cutting, pooling and skipping do, against calculations written out here."""

from __future__ import annotations

import copy

import pytest
import text_nets
import torch
from attention_tools import LAYER, OUT, SELF, answers
from small_nets import stage
from torch import Tensor, nn

from engine.weights.attention import Attention, Skipped, attentions, blocks, keep, places, pool, put, strength
from engine.weights.constraint import weight_of

HEADS, SIZE, WIDTH = 4, 4, text_nets.WIDTH


def by_hand(attention: Attention, states: Tensor) -> Tensor:
    """Softmax attention head by head, without a mask: [T, D] -> [T, D]."""
    q, k, v = (layer(states).split(attention.size, 1) for layer in (attention.query, attention.key, attention.value))
    mixed = []
    for head, query in enumerate(q):
        key, value = k[head // attention.each], v[head // attention.each]
        mixed.append(torch.softmax(query @ key.T / attention.size**0.5, -1) @ value)
    return attention.out(torch.cat(mixed, 1))


def computed(attention: Attention, states: Tensor) -> Tensor:
    """What the model's own code makes of it."""
    return attention.out(attention.module(states[None])[0][0])


@pytest.fixture
def found() -> list[Attention]:
    return attentions(text_nets.fresh().eval())


def test_they_are_found_with_their_layers(found: list[Attention]) -> None:
    assert [a.name for a in found] == [f"{LAYER}{i}.{SELF}" for i in (0, 1)]
    assert [(a.heads, a.groups, a.size) for a in found] == [(HEADS, HEADS, SIZE)] * 2
    assert found[1].layers == (*(f"{LAYER}1.{SELF}.{n}" for n in ("query", "key", "value")), f"{LAYER}1.{OUT}")
    assert attentions(nn.Sequential(nn.Linear(4, 4), nn.ReLU())) == []


def test_blocks_and_the_places_inside_them() -> None:
    model = text_nets.fresh()
    assert blocks(model) == [f"{LAYER}0", f"{LAYER}1"]
    inside = places(model)
    assert inside[f"{LAYER}0.{OUT}"] == inside[f"{LAYER}1.{OUT}"] == OUT
    assert len({n for n in inside.values() if n.endswith("dense")}) == 3
    assert "head" not in inside
    put(model, f"{LAYER}0", Skipped())
    assert blocks(model) == [f"{LAYER}1"]


@torch.no_grad()
@pytest.mark.parametrize("chosen", [[0], [1, 3], [0, 2, 3]])
def test_without_heads_it_computes_as_with_zeros_in_their_place(chosen: list[int]) -> None:
    model, zeroed = text_nets.fresh(), text_nets.fresh()
    (_, attention), (_, other) = attentions(model), attentions(zeroed)
    columns = weight_of(other.out).view(WIDTH, HEADS, SIZE)
    columns[:, [h for h in range(HEADS) if h not in chosen]] = 0.0
    keep(attention, chosen)
    torch.testing.assert_close(answers(model), answers(zeroed))
    assert attention.query.weight.shape == attention.value.weight.shape == (SIZE * len(chosen), WIDTH)
    assert attention.out.weight.shape == (WIDTH, SIZE * len(chosen))
    assert (attention.heads, attentions(model)[1].heads) == (len(chosen), len(chosen))


@torch.no_grad()
@pytest.mark.parametrize("groups", [1, 2])
def test_shared_keys_are_read_by_the_right_heads(found: list[Attention], groups: int) -> None:
    attention, states = found[0], torch.randn(7, WIDTH)
    pool(attention, groups)
    assert (attention.heads, attention.groups, attention.each) == (HEADS, groups, HEADS // groups)
    torch.testing.assert_close(computed(attention, states), by_hand(attention, states))


@torch.no_grad()
def test_keys_of_a_group_are_the_mean_of_its_heads(found: list[Attention]) -> None:
    attention = found[0]
    weight, bias = (t.clone() for t in (attention.key.weight, attention.key.bias))
    pool(attention, 2)
    for group in range(2):
        rows = [slice(h * SIZE, (h + 1) * SIZE) for h in (2 * group, 2 * group + 1)]
        mine = slice(group * SIZE, (group + 1) * SIZE)
        torch.testing.assert_close(attention.key.weight[mine], (weight[rows[0]] + weight[rows[1]]) / 2)
        torch.testing.assert_close(attention.key.bias[mine], (bias[rows[0]] + bias[rows[1]]) / 2)
    once = copy.deepcopy(attention.value.weight)
    pool(attention, 1)
    torch.testing.assert_close(attention.value.weight, once.view(2, SIZE, WIDTH).mean(0))


@torch.no_grad()
def test_where_heads_of_a_group_are_equal_sharing_changes_nothing() -> None:
    model = text_nets.fresh()
    for attention in attentions(model):
        for layer in (attention.key, attention.value):
            for tensor in (layer.weight, layer.bias):
                heads = tensor.view(2, 2, SIZE, -1)
                heads[:, 1] = heads[:, 0]
    before = answers(model)
    for attention in attentions(model):
        pool(attention, 2)
    torch.testing.assert_close(answers(model), before, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_heads_that_share_keys_are_cut_together(found: list[Attention]) -> None:
    attention, states = found[1], torch.randn(5, WIDTH)
    pool(attention, 2)
    last = weight_of(attention.query)[2 * SIZE :].clone()
    keep(attention, [1])
    assert (attention.heads, attention.groups) == (2, 1)
    assert torch.equal(weight_of(attention.query), last)
    torch.testing.assert_close(computed(attention, states), by_hand(attention, states))


def test_strength_is_the_norm_of_all_that_goes_with_a_head(found: list[Attention]) -> None:
    attention, rows = found[0], slice(SIZE, 2 * SIZE)
    parts = [attention.query.weight[rows], attention.key.weight[rows], attention.value.weight[rows]]
    expected = sum(float(p.detach().square().sum()) for p in (*parts, attention.out.weight[:, rows]))
    assert float(strength(attention)[1]) == pytest.approx(expected, rel=1e-5)
    assert strength(attention).shape == (HEADS,)


def test_factored_projections_can_be_cut_too() -> None:
    model = text_nets.fresh().eval()
    low = stage("factor_low_rank", layers=f"*{SELF}.*", keep=0.3)
    low.attach(model, low.plan(model, None))  # type: ignore[arg-type]
    attention = attentions(model)[0]
    assert attention.heads == HEADS
    zeroed = copy.deepcopy(model)
    with torch.no_grad():
        attentions(zeroed)[0].out.weight[:, :SIZE] = 0.0
    keep(attention, [1, 2, 3])
    assert attention.query.in_features == 5  # the rank
    torch.testing.assert_close(answers(model), answers(zeroed))


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
def test_a_skipped_block_lets_states_through(kind: str) -> None:
    model = text_nets.fresh(layers=3).eval()
    model.bert.config._attn_implementation = kind
    put(model, f"{LAYER}1", Skipped())
    ids = text_nets.data().inputs[:4]
    padding = (ids == 0)[:, None, None, :].float() * torch.finfo(torch.float16).min
    with torch.no_grad():
        states = model.bert.embeddings(ids)
        for number in (0, 2):
            states = model.get_submodule(f"{LAYER}{number}")(states, padding)
        expected = model.head(model.pool(states, ids))
    torch.testing.assert_close(answers(model, ids), expected)
