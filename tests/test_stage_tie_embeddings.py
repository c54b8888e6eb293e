"""One table for inputs and answers: one tensor, trained by both uses, stored and rounded once; resumed, refused."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import small_nets
import torch
import torch.nn.functional as F
from gpt_tools import small_gpt, token_ids
from small_nets import stage
from torch import nn

from engine.artifact import build, kv_graph, predict, session, unpack
from engine.errors import InputError
from engine.home import Home
from engine.measure import cost
from engine.prefix import Trained, load_prefix, save_prefix
from engine.weights.code import bake
from engine.weights.constraint import weight_of
from sample_models._gpt_blocks import Gpt

TABLE, LAYER, VALUES = "transformer.wte", "lm_head", 512 * 32


def tied(start: str = "input") -> Gpt:
    model, one = small_gpt(), stage("tie_embeddings", start=start)
    one.attach(model, one.plan(model, small_nets.context()))
    return model


def answers(model: nn.Module, ids: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return model.eval()(ids).numpy()


def test_it_is_one_tensor_that_starts_as_told() -> None:
    whole = small_gpt()
    first, second = weight_of(whole.transformer.wte), weight_of(whole.lm_head)
    for start, expected in {"input": first, "output": second, "mean": (first + second) / 2}.items():
        model = tied(start)
        for one in (model, bake(model), copy.deepcopy(model)):
            assert weight_of(one.get_submodule(TABLE)) is weight_of(one.get_submodule(LAYER))
            torch.testing.assert_close(weight_of(one.get_submodule(LAYER)), expected)
        assert cost.count(whole)[0] - cost.count(model)[0] == VALUES
        assert cost.macs(model, token_ids()) == cost.macs(whole, token_ids())


def test_it_answers_as_a_model_that_was_built_with_one_table() -> None:
    model, built = tied(), small_gpt(tied=True)
    built.load_state_dict({k: v for k, v in model.state_dict().items() if k != f"{LAYER}.weight"})
    ids = token_ids(2, 20)
    np.testing.assert_allclose(answers(model, ids), answers(built, ids), atol=1e-5)


def test_its_gradient_is_the_sum_of_both_uses() -> None:
    model, apart, ids = tied(), small_gpt(), token_ids(2, 20)
    with torch.no_grad():
        weight_of(apart.lm_head).copy_(weight_of(apart.transformer.wte))
    for one in (model, apart):
        F.cross_entropy(one(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()
    both = weight_of(apart.lm_head).grad + weight_of(apart.transformer.wte).grad
    torch.testing.assert_close(weight_of(model.lm_head).grad, both)


@pytest.mark.parametrize("later", [[], [stage("quantize_embeddings", bits=8)]], ids=["float", "rounded"])
def test_files_hold_the_table_once(later: list[nn.Module]) -> None:
    model, apart, ids = tied(), small_gpt(), token_ids(2)
    for one in later:
        for net in (model, apart):
            one.attach(net, [])
            one.prepare(net, small_nets.context())
    expected = answers(model, ids)
    assert weight_of(model.transformer.wte).equal(weight_of(model.lm_head))
    made, other = build(model, ids), build(apart, ids)
    assert unpack(made.packed()) == made.onnx
    found = predict(session(made.onnx), ids.numpy()).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=0.35 if later else 1e-3)
    assert len(other.packed()) - len(made.packed()) > 0.8 * 4 * VALUES
    graph = session(kv_graph.build(model).onnx)
    past = {f"past.{i}": t.numpy() for i, t in enumerate(model.no_past(2))}
    logits = graph.run(None, {"input": ids[:, :7].numpy(), **past})[0]
    np.testing.assert_allclose(logits, expected[:, :7], atol=0.35 if later else 1e-3)


def test_a_kept_prefix_brings_it_back(tmp_path: Path) -> None:
    model, one = tied("mean"), stage("tie_embeddings", start="mean")
    save_prefix(Home(tmp_path), "k" * 32, Trained(model, (([TABLE, LAYER],),)))
    kept = load_prefix(Home(tmp_path), "k" * 32, small_gpt(seed=5), lambda m, p: one.attach(m, list(p[0])))
    assert kept is not None
    assert weight_of(kept.model.get_submodule(TABLE)) is weight_of(kept.model.get_submodule(LAYER))
    assert np.array_equal(answers(kept.model, token_ids()), answers(model, token_ids()))


def test_it_is_refused_where_there_are_no_two_tables() -> None:
    for model in (small_gpt(tied=True), tied(), small_nets.fresh(text=True)):
        with pytest.raises(InputError, match="gpt_1"):
            stage("tie_embeddings").plan(model, small_nets.context())
    model = small_gpt()
    pruning = stage("prune_magnitude", sparsity=0.5)
    pruning.attach(model, [])
    with pytest.raises(InputError, match="before those"):
        stage("tie_embeddings").plan(model, small_nets.context())
