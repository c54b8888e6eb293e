"""Rounded keys and values: by hand, against a loop in numpy, causal, token by token as all at once, bytes, the file."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from small_nets import fresh, stage
from torch import Tensor, nn

from engine.artifact import kv_graph, runtime, writing
from engine.errors import InputError
from engine.stages._base import StageContext
from engine.weights import cache
from sample_models._gpt_blocks import Gpt

PLACES, WIDTH, HEADS = 12, 16, 2


def gpt(seed: int = 0) -> Gpt:
    torch.manual_seed(seed)
    return Gpt(2, WIDTH, HEADS, spread=0.3).eval()


def ids(count: int = 6, seed: int = 3) -> Tensor:
    return torch.randint(512, (count, PLACES), generator=torch.Generator().manual_seed(seed))


def apply(model: nn.Module, **knobs: object) -> nn.Module:
    one = stage("quantize_kv_cache", **knobs)
    one.attach(model, one.plan(model, context()))
    one.finish(model, context())
    return model


def context() -> StageContext:
    return StageContext([(ids(16), torch.zeros(16))], ids(1), lambda *_: torch.zeros(()), torch.Generator())


def answers(model: nn.Module, texts: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(ids(seed=9) if texts is None else texts)
    return found


def made(kind: str, bits: int, size: int, width: int) -> cache.CacheQuantizer:
    found = cache.CacheQuantizer(width, size, bits, kind)
    found.active.fill_(True)
    return found


def test_per_token_by_hand() -> None:
    """Two heads of three numbers, two bits: levels 0, 1, 2, 3 for the first, -6, -2, 2, 6 for the second."""
    x = torch.tensor([[0.0, 1.4, 3.0, -6.0, 0.1, 6.0]])
    assert made("token", 2, 3, 6)(x).tolist() == [[0.0, 1.0, 3.0, -6.0, 2.0, 6.0]]


def test_per_channel_by_hand() -> None:
    quantizer = made("channel", 2, 1, 2)
    quantizer.low.copy_(torch.tensor([-3.0, 0.0]))
    quantizer.high.copy_(torch.tensor([3.0, 30.0]))
    assert quantizer(torch.tensor([[0.9, 14.0], [9.0, -4.0]])).tolist() == [[1.0, 10.0], [3.0, 0.0]]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_each_number_moves_by_half_a_step_at_most(bits: int) -> None:
    torch.manual_seed(bits)
    x = torch.randn(5, 7, 12) * torch.logspace(-2, 2, 12)
    rounded = made("token", bits, 4, 12)(x).numpy().reshape(5, 7, 3, 4)
    for row, own in zip(x.numpy().reshape(-1, 4), rounded.reshape(-1, 4), strict=True):
        step = (row.max() - row.min()) / (2**bits - 1)
        assert np.abs(row - own).max() <= step * 0.5001
        assert len(np.unique(own)) <= 2**bits


def test_a_constant_is_kept_and_a_gradient_passes() -> None:
    x = torch.full((2, 4), 1.5, requires_grad=True)
    found = made("token", 2, 4, 4)(x)
    assert torch.equal(found, x)
    found.sum().backward()
    assert torch.equal(x.grad, torch.ones(2, 4))  # type: ignore[arg-type]


def test_eight_bits_change_little_and_fewer_more() -> None:
    before = answers(gpt())
    lost = [float((answers(apply(gpt(), cache_bits=b)) - before).square().mean()) for b in (8, 4, 3, 2)]
    assert lost == sorted(lost)
    assert 0 < lost[0] < 1e-2 * float(before.square().mean())


@pytest.mark.parametrize("kind", ["token", "channel"])
def test_what_comes_later_changes_nothing_before_it(kind: str) -> None:
    model, texts = apply(gpt(), cache_bits=2, key_ranges=kind, value_ranges=kind), ids(seed=9)
    other = texts.clone()
    other[:, 8:] = (other[:, 8:] + 100) % 512
    assert torch.equal(answers(model, texts)[:, :8], answers(model, other)[:, :8])


@pytest.mark.parametrize("kind", ["token", "channel"])
def test_token_by_token_it_answers_as_all_at_once(kind: str) -> None:
    model, texts = apply(gpt(), cache_bits=3, key_ranges=kind), ids(seed=9)
    past, found = model.no_past(6), []  # type: ignore[operator]
    with torch.no_grad():
        for place in range(PLACES):
            logits, *past = model.with_past(texts[:, place : place + 1], *past)  # type: ignore[operator]
            found.append(logits)
    torch.testing.assert_close(torch.cat(found, 1), answers(model, texts), atol=1e-4, rtol=1e-4)


def test_keys_with_large_channels_lose_less_with_ranges_of_their_own() -> None:
    lost = {}
    for kind in ("token", "channel"):
        model = gpt()
        for block in model.transformer.h:
            with torch.no_grad():
                block.attn.k_proj.bias[::5] += 30.0  # what the softmax does not feel: the same for every place
        before = answers(model)
        lost[kind] = float(
            (answers(apply(model, cache_bits=3, key_ranges=kind, layers="*k_proj")) - before).square().mean()
        )
    assert lost["channel"] < 0.5 * lost["token"]


def test_bytes_of_a_token() -> None:
    assert cache.bytes_per_token(gpt()) == 2 * 2 * WIDTH * 4
    model = apply(gpt(), cache_bits=4)
    assert cache.bytes_per_token(model) == 2 * (WIDTH / 2 + WIDTH / 2 + HEADS * 4)


def test_a_second_stage_takes_bits_away_only_and_names_layers() -> None:
    model = apply(gpt(), cache_bits=3, layers="*.0.attn.*")
    assert cache.find(model.transformer.h[1].attn.k_proj) is None  # type: ignore[union-attr, index]
    apply(model, cache_bits=8)
    found = [cache.find(block.attn.v_proj).bits for block in model.transformer.h]  # type: ignore[union-attr]
    assert found == [3, 8]


def test_copies_and_state_are_their_own() -> None:
    model = apply(gpt(), cache_bits=2)
    again = gpt(1)
    stage("quantize_kv_cache", cache_bits=2).attach(again, [])
    again.load_state_dict(copy.deepcopy(model.state_dict()), strict=True)
    assert torch.equal(answers(again), answers(model))
    twin = copy.deepcopy(model)
    cache.find(model.transformer.h[0].attn.k_proj).active.fill_(False)  # type: ignore[union-attr, index]
    assert torch.equal(answers(twin), answers(again))


def test_the_files_round_as_the_network_does_and_say_so() -> None:
    model = apply(gpt(), cache_bits=3)
    built = writing.build(model, ids(2))
    found = runtime.predict(runtime.session(built.onnx), ids(seed=9).numpy())
    np.testing.assert_allclose(found, answers(model).flatten(0, 1).numpy(), atol=1e-3)
    assert built.simulated
    assert not writing.build(gpt(), ids(2)).simulated
    second = runtime.session(kv_graph.build(model).onnx)
    feeds = {"input": ids(seed=9).numpy()} | {f"past.{i}": t.numpy() for i, t in enumerate(model.no_past(6))}  # type: ignore[operator]
    np.testing.assert_allclose(second.run(["logits"], feeds)[0], answers(model).numpy(), atol=1e-3)


def test_a_student_without_attention_is_refused() -> None:
    with pytest.raises(InputError, match="attention"):
        stage("quantize_kv_cache").attach(fresh(), [])
