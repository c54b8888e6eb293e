"""The language models: the same function as transformers' GPT-2, causal, exportable; declared facts are true."""

from __future__ import annotations

import functools

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from engine.artifact.export import named_graph
from engine.registry import get
from sample_models import gpt
from sample_models._gpt_blocks import Body, Gpt, linear, separate, with_linear_layers

STUDENTS = ("gpt_1", "gpt_2", "gpt_3")


@functools.cache
def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = get("models", name).make()
    return model.eval()


def token_ids(count: int = 3, length: int = 128) -> Tensor:
    return torch.randint(1, 512, (count, length), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def theirs() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=512, n_positions=128, n_embd=32, n_layer=2, n_head=4, bos_token_id=None,
                        eos_token_id=None, initializer_range=0.3)  # fmt: skip
    return GPT2LMHeadModel(config).eval()


@torch.no_grad()
def test_same_function_as_transformers_on_equal_weights(theirs: GPT2LMHeadModel) -> None:
    ids = token_ids()
    expected = theirs(ids, attention_mask=torch.ones_like(ids)).logits
    ours = Gpt(layers=2, width=32, heads=4, tied=True)
    ours.transformer = with_linear_layers(Body(theirs.transformer))
    assert expected.std() > 0.1
    torch.testing.assert_close(ours.eval()(ids), expected, atol=2e-5, rtol=2e-5)


@torch.no_grad()
def test_attention_and_layers_agree_one_by_one() -> None:
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=8, n_positions=16, n_embd=24, n_layer=1, n_head=3, bos_token_id=None,
                        eos_token_id=None, attn_implementation="eager", initializer_range=0.3)  # fmt: skip
    block = GPT2LMHeadModel(config).eval().transformer.h[0]
    x = torch.randn(2, 7, 24)
    mask = torch.full((7, 7), -torch.inf).triu(1)[None, None]
    torch.testing.assert_close(separate(block.attn)(x)[0], block.attn(x, attention_mask=mask)[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(linear(block.mlp.c_fc)(x), block.mlp.c_fc(x), atol=1e-5, rtol=1e-5)
    assert linear(block.mlp.c_fc).weight.shape == (96, 24)


@pytest.mark.parametrize("name", STUDENTS)
@torch.no_grad()
def test_a_position_sees_what_came_before_it_only(name: str) -> None:
    ids = token_ids()
    later = ids.clone()
    later[:, 60:] = token_ids(3, 68).flip(0)
    before, after = made(name)(ids), made(name)(later)
    torch.testing.assert_close(before[:, :60], after[:, :60])
    assert not torch.allclose(before[:, 60:], after[:, 60:])
    torch.testing.assert_close(made(name)(ids[:, :40]), before[:, :40], atol=1e-5, rtol=1e-4)  # shorter texts too


@pytest.mark.parametrize("name", STUDENTS)
def test_declared_facts_are_true(name: str) -> None:
    spec, model = get("models", name), made(name)
    size = next(size for size in gpt.SIZES if size.name == name)
    per_layer = 12 * size.width**2 + 13 * size.width
    tables = (2 * 512 + 128 + 2) * size.width
    assert spec.parameters == sum(p.numel() for p in model.parameters()) == tables + size.layers * per_layer
    assert model(token_ids()).shape == (3, 128, 512)
    names = dict(model.named_modules())
    last = f"transformer.h.{size.layers - 1}.attn"
    assert {f"{last}.{part}" for part in ("q_proj", "k_proj", "v_proj", "c_proj")} <= set(names)
    assert set(spec.taps.values()) <= set(names)
    # every matrix but the tables is a linear layer, so that all stages can act on it
    linears = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    assert linears == 12 * size.width**2 * size.layers + 512 * size.width


def test_a_tied_network_counts_its_table_once() -> None:
    torch.manual_seed(0)
    tied, untied = Gpt(1, 32, 2, tied=True), Gpt(1, 32, 2)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (tied, untied)]
    assert sizes[1] - sizes[0] == 512 * 32
    assert not any("lm_head" in key for key in tied.state_dict())


def test_gradients_reach_everything() -> None:
    torch.manual_seed(0)
    model = get("models", "gpt_2").make()
    model(token_ids()).square().mean().backward()
    # a bias of all keys moves every score of a row alike, which the softmax does not see
    wanted = {name: p.grad for name, p in model.named_parameters() if "k_proj.bias" not in name}
    assert all(grad is not None and grad.abs().sum() > 0 for grad in wanted.values())


@pytest.mark.parametrize("name", STUDENTS[:2])
@torch.no_grad()
def test_it_exports(name: str) -> None:
    ids = token_ids(2)
    session = onnxruntime.InferenceSession(named_graph(made(name), ids).SerializeToString())
    answers = session.run(None, {session.get_inputs()[0].name: ids.numpy()})[0]
    np.testing.assert_allclose(answers, made(name)(ids).numpy(), atol=1e-4)
