"""Heads, shared keys and dropped blocks of a language model: the same answers by hand, in files, with a cache."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gpt_tools import small_gpt, token_ids
from small_nets import stage
from torch import Tensor, nn

from engine.artifact import build, kv_graph, predict, session, unpack
from engine.home import Home
from engine.measure import cost
from engine.prefix import Trained, load_prefix, save_prefix
from engine.stages._base import Stage, StageContext
from engine.step import NO_LABEL
from engine.weights.attention import attentions, blocks, keep, pool
from engine.weights.constraint import weight_of
from engine.weights.heads import effects
from sample_models._gpt_blocks import Gpt

HEADS, SIZE, WIDTH = 4, 8, 32


def loss(model: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(ids).flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL)


def apply(model: nn.Module, *stages: Stage) -> list[list[Any]]:
    ids, labels, plans = token_ids(6, 20), token_ids(6, 20, seed=2), []
    context = StageContext([(ids, labels)], ids[:1], loss, torch.Generator().manual_seed(0), 0)
    for one in stages:
        plans.append(one.plan(model, context))
        one.attach(model, plans[-1])
        one.prepare(model, context)
    return plans


def answers(model: nn.Module, ids: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.eval()(ids)
    return logits


def step_by_step(model: Gpt, ids: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits token by token with the cache, and the cache at the end."""
    past, found = model.no_past(len(ids)), []
    with torch.no_grad():
        for piece in ids.split(1, 1):
            logits, *past = model.with_past(piece, *past)
            found.append(logits)
    return torch.cat(found, 1), past


def assert_in_files(model: Gpt) -> None:
    """The ONNX file answers as the model does, so does the graph with a cache, and the packed file rebuilds it."""
    ids = token_ids(2, 128)
    made = build(model, ids)
    assert unpack(made.packed()) == made.onnx
    expected = answers(model, ids).numpy()
    np.testing.assert_allclose(predict(session(made.onnx), ids.numpy()).reshape(expected.shape), expected, atol=2e-3)
    graph = session(kv_graph.build(model).onnx)
    feed = {f"past.{i}": t.numpy() for i, t in enumerate(model.no_past(2))}
    logits = graph.run(None, {"input": ids[:, :9].numpy(), **feed})[0]
    np.testing.assert_allclose(logits, expected[:, :9], atol=2e-3)


def test_they_are_found_by_the_names_of_their_layers() -> None:
    model = small_gpt(3)
    found = attentions(model)
    assert [a.name for a in found] == [f"transformer.h.{i}.attn" for i in range(3)]
    assert found[2].layers[3] == "transformer.h.2.attn.c_proj"
    assert {(a.heads, a.groups, a.size) for a in found} == {(HEADS, HEADS, SIZE)}
    assert blocks(model) == [f"transformer.h.{i}" for i in range(3)]


def test_without_heads_it_computes_as_with_zeros_in_their_place() -> None:
    model, zeroed = small_gpt(), small_gpt()
    with torch.no_grad():
        weight_of(attentions(zeroed)[1].out)[:, SIZE : 3 * SIZE] = 0.0
    keep(attentions(model)[1], [0, 3])
    ids = token_ids(2, 30)
    torch.testing.assert_close(answers(model, ids), answers(zeroed, ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("groups", [1, 2])
def test_shared_keys_answer_as_their_copies_would(groups: int) -> None:
    model, copies = small_gpt(), small_gpt()
    for attention in attentions(copies):
        with torch.no_grad():
            for layer in (attention.key, attention.value):
                for tensor in (layer.weight, layer.bias):
                    heads = tensor.view(groups, HEADS // groups, SIZE, -1)
                    heads.copy_(heads.mean(1, keepdim=True).expand_as(heads).clone())
    for attention in attentions(model):
        pool(attention, groups)
    ids = token_ids(2, 30)
    torch.testing.assert_close(answers(model, ids), answers(copies, ids), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "values", "rows"),
    [("group_key_values", {"groups": 2}, (2, 2)), ("prune_heads", {"fraction": 0.25}, (3, 3)),
     ("drop_layers", {"rule": "last"}, (4,))],
)  # fmt: skip
def test_the_cache_holds_what_is_left_and_files_agree(name: str, values: dict[str, Any], rows: tuple[int, ...]) -> None:
    model = small_gpt()
    apply(model, stage(name, **values))
    ids = token_ids(2, 12)
    logits, past = step_by_step(model, ids)
    torch.testing.assert_close(logits, answers(model, ids), atol=1e-4, rtol=1e-4)
    assert [tuple(t.shape) for t in past] == [(2, heads, 12, SIZE) for heads in rows for _ in "kv"]
    assert_in_files(model)


def test_parameters_and_operations_fall_as_computed() -> None:
    model, ids = small_gpt(), token_ids(2, 16)
    before = cost.count(model)[0], cost.macs(model, ids)
    apply(model, stage("prune_heads", fraction=0.5))
    cut = 2 * 2 * SIZE
    assert before[0] - cost.count(model)[0] == cut * (4 * WIDTH + 3)
    assert before[1] - cost.macs(model, ids) == cut * (4 * WIDTH * 16 + 2 * 16 * 16)
    apply(model, stage("group_key_values", groups=1))
    shared = 2 * 2 * SIZE
    assert before[0] - cost.count(model)[0] == cut * (4 * WIDTH + 3) + shared * (WIDTH + 1)


def test_a_heads_effect_is_of_whole_blocks_of_text() -> None:
    model, ids, labels = small_gpt().double(), token_ids(3, 10), token_ids(3, 10, seed=2)
    told = effects(model, attentions(model), [(ids, labels)], loss)

    def changed(gate: float, row: int) -> float:
        twin = copy.deepcopy(model)
        with torch.no_grad():
            weight_of(attentions(twin)[1].out)[:, 2 * SIZE : 3 * SIZE] *= gate
            return float(loss(twin, ids[row : row + 1], labels[row : row + 1]))

    slopes = [(changed(1 + 1e-5, row) - changed(1 - 1e-5, row)) / 2e-5 for row in range(3)]
    expected = sum(map(abs, slopes)) / 3
    assert float(told["transformer.h.1.attn"][2]) == pytest.approx(expected, rel=1e-4)
    some = labels.clone()
    some[1] = NO_LABEL
    assert effects(model, attentions(model), [(ids, some)], loss)["transformer.h.0.attn"].isfinite().all()


def test_blocks_share_their_weights_and_a_prefix_brings_all_back(tmp_path: Path) -> None:
    model, ids = small_gpt(3), token_ids(2, 12)
    stages = [stage("drop_layers", fraction=0.34), stage("group_key_values", groups=2), stage("share_layers")]
    plans = apply(model, *stages)
    first, second = attentions(model)
    assert first.query is second.query
    assert first.query is not first.key
    save_prefix(Home(tmp_path), "k" * 32, Trained(model, tuple(map(tuple, plans))))

    def attach(fresh: nn.Module, kept: Any) -> None:
        for one, plan in zip(stages, kept, strict=True):
            one.attach(fresh, list(plan))

    kept = load_prefix(Home(tmp_path), "k" * 32, small_gpt(3, seed=9), attach)
    assert kept is not None
    assert torch.equal(answers(kept.model, ids), answers(model, ids))
    assert_in_files(model)


def test_projections_get_a_low_rank_by_name() -> None:
    model = small_gpt()
    (plan,) = apply(model, stage("factor_low_rank", layers="*.attn.?_proj", keep=0.25))
    assert len(plan) == 8
    assert {row["rank"] for row in plan} == {8}
    apply(model, stage("prune_heads", fraction=0.5))
    assert [(a.heads, a.query.weight.shape) for a in attentions(model)] == [(2, (16, 8))] * 2
    assert_in_files(model)
