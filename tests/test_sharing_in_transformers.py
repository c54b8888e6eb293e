"""Weights shared from block to block, and low ranks of projections: existing stages on transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import text_nets
import torch
from attention_tools import LAYER, OUT, SELF, answers, assert_resumes, packed, size
from small_nets import phase, stage
from torch import nn

from engine.artifact import build
from engine.artifact.reading import read
from engine.errors import InputError
from engine.weights.attention import attentions
from engine.weights.constraint import weight_of
from engine.weights.factor import low_rank

WIDTH = text_nets.WIDTH


def test_a_whole_block_is_every_block_and_is_trained_by_all() -> None:
    model = text_nets.fresh(layers=3)
    phase(model, [stage("share_layers")], epochs=1)
    one, *others = (dict(model.get_submodule(f"{LAYER}{i}").named_parameters()) for i in range(3))
    assert len(one) == 16
    for other in others:
        assert all(other[name] is tensor for name, tensor in one.items())
    alone = {p for name in ("query", "key", "value") for p in [one[f"{SELF}.{name}.weight"]]}
    assert len(alone) == 3, "queries are no keys, however equal their shapes"
    whole, block = text_nets.fresh(layers=3), sum(p.numel() for p in one.values())
    assert size(whole)[0] - size(model)[0] == 2 * block
    assert size(whole)[1] == size(model)[1]
    phase(whole, [], epochs=1)
    assert packed(whole) - packed(model) > 0.8 * 2 * 4 * block


def test_the_file_names_the_shared_layers_once_and_pruning_acts_on_all_places() -> None:
    model = text_nets.fresh()
    phase(model, [stage("share_layers"), stage("prune_magnitude", sparsity=0.5)], epochs=1)
    assert float((weight_of(model.get_submodule(f"{LAYER}1.{OUT}")) == 0).float().mean()) > 0.2
    made = build(model.eval(), text_nets.data().inputs[:2])
    found = {layer.name: layer for layer in read(made.onnx, made.packed()).layers}
    assert found[f"{LAYER}0.{OUT}"].macs == 2 * WIDTH**2 * text_nets.TOKENS
    assert found[f"{LAYER}0.{OUT}"].packed_bytes > WIDTH**2
    assert not any(name.startswith(f"{LAYER}1.{OUT}") for name in found)
    packed(model)


def test_only_attention_may_be_shared_and_is_kept(tmp_path: Path) -> None:
    model, one = text_nets.fresh(), stage("share_layers", layers="*attention*")
    (plan,) = phase(model, [one], epochs=1)
    first, second = (model.get_submodule(f"{LAYER}{i}") for i in (0, 1))
    assert first.attention.self.query is second.attention.self.query
    assert first.attention.output.LayerNorm is second.attention.output.LayerNorm
    assert first.intermediate.dense is not second.intermediate.dense
    assert_resumes(model, text_nets.fresh, one, plan, tmp_path)


def test_heads_are_cut_before_blocks_are_shared() -> None:
    model = text_nets.fresh()
    phase(model, [stage("prune_heads"), stage("share_layers")], epochs=1)
    assert [a.heads for a in attentions(model)] == [2, 2]
    assert attentions(model)[0].query is attentions(model)[1].query
    packed(model)


def test_a_transformer_of_one_block_has_nothing_to_share() -> None:
    with pytest.raises(InputError, match="bert_2"):
        phase(text_nets.fresh(layers=1), [stage("share_layers")])


@pytest.mark.parametrize("names", [f"*{SELF}.query", "*attention*"])
def test_projections_of_attention_get_a_low_rank(names: str, tmp_path: Path) -> None:
    model, rank = text_nets.fresh(), 4
    whole = {n: weight_of(m).clone() for n, m in model.named_modules() if isinstance(m, nn.Linear)}
    one = stage("factor_low_rank", keep=0.25, layers=names)
    before, bytes_before = size(model), packed(model)
    (plan,) = phase(model, [one])
    chosen = [row["layer"] for row in plan]
    each = ["query"] if names.endswith("query") else ["query", "key", "value"]
    outs = [] if names.endswith("query") else [f"{LAYER}{i}.{OUT}" for i in (0, 1)]
    assert sorted(chosen) == sorted([*(f"{LAYER}{i}.{SELF}.{n}" for i in (0, 1) for n in each), *outs])
    for name in chosen:
        left, right = (weight_of(model.get_submodule(f"{name}.{i}")) for i in (1, 0))
        exact = torch.linalg.svd(whole[name].double())
        nearest = (exact.U[:, :rank] * exact.S[:rank]) @ exact.Vh[:rank]
        torch.testing.assert_close((left @ right).double(), nearest, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(left @ right, torch.matmul(*reversed(low_rank(whole[name], rank))))
    saved = len(chosen) * (WIDTH * WIDTH - 2 * rank * WIDTH)
    assert before[0] - size(model)[0] == saved
    assert before[1] - size(model)[1] == saved * text_nets.TOKENS
    assert packed(model) < bytes_before
    assert_resumes(model, text_nets.fresh, one, plan, tmp_path)


def test_of_full_rank_a_factored_attention_answers_as_before() -> None:
    model = text_nets.fresh()
    before = answers(model)
    one = stage("factor_low_rank", keep=1.0, layers=f"*{SELF}.*")
    rows = [{"layer": n, "rank": WIDTH} for n, m in one.candidates(model)]
    one.attach(model, rows)
    torch.testing.assert_close(answers(model), before, atol=1e-4, rtol=1e-3)
