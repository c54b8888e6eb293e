"""Continuing texts: greedy and by chance as their formulas say, equal for PyTorch, ONNX and ONNX with a cache."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gpt_tools import small_gpt, token_ids
from scipy.stats import chisquare

from engine import artifact
from engine.artifact import kv_graph
from engine.errors import InputError
from engine.generation import PAD, Answer, Ids, Logits, Remembering, Sampling, choose, from_session, generate
from engine.generation_model import from_model

GREEDY = Sampling(temperature=0)


def count_up(ids: Ids) -> Logits:
    """After i comes i + 1, of 9 ids."""
    return np.eye(9, dtype=np.float32)[(ids[:, -1] + 1) % 9]


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    model = small_gpt()
    whole, cached = artifact.build(model, token_ids(2)).onnx, kv_graph.build(model).onnx
    return {
        "model": from_model(model),
        "session": from_session(artifact.session(whole)),
        "cache": Remembering(artifact.session(cached)),
    }


def test_greedy_takes_the_likeliest_and_never_padding() -> None:
    found = generate(count_up, np.array([[3], [5]]), 8, GREEDY)
    assert found[0].tolist() == [3, 4, 5, 6, 7, 8, 1, 2, 3]  # after 8 comes padding, which is left out
    assert found[1, 0] == 5
    assert (found[:, 1:] != PAD).all()


def test_greedy_is_the_limit_of_low_temperature() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
    cold = choose(logits, Sampling(1e-6, 0), np.random.default_rng(1))
    assert cold.tolist() == choose(logits, GREEDY, np.random.default_rng(1)).tolist()


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, 0), (0.5, 0), (2.0, 3)])
def test_chance_follows_the_softmax(temperature: float, top_k: int) -> None:
    row = np.array([4.0, 0.3, 1.2, -0.5, 0.9, 0.1])
    drawn = choose(np.tile(row, (20_000, 1)), Sampling(temperature, top_k), np.random.default_rng(0))
    scores = row / temperature
    scores[PAD] = -np.inf
    if top_k:
        scores[np.argsort(scores)[:-top_k]] = -np.inf
    expected = torch.from_numpy(scores).softmax(0).numpy()
    counts = np.bincount(drawn, minlength=6)
    assert counts[expected == 0].sum() == 0
    assert chisquare(counts[expected > 0], 20_000 * expected[expected > 0]).pvalue > 1e-3


def test_equal_settings_give_equal_texts() -> None:
    answer = from_model(small_gpt())
    ids = token_ids(2, 5).numpy()
    first = generate(answer, ids, 12, Sampling(1.0, 0, seed=4))
    assert np.array_equal(first, generate(answer, ids, 12, Sampling(1.0, 0, seed=4)))
    assert not np.array_equal(first, generate(answer, ids, 12, Sampling(1.0, 0, seed=5)))
    assert np.array_equal(first[:, :5], ids)


@pytest.mark.parametrize("other", ["session", "cache"])
def test_artifacts_answer_like_the_model(answers: dict[str, Answer], other: str) -> None:
    ids = token_ids(2, 30).numpy()
    for length in (1, 2, 7, 30):
        np.testing.assert_allclose(answers[other](ids[:, :length]), answers["model"](ids[:, :length]), atol=2e-4)


@pytest.mark.parametrize("other", ["session", "cache"])
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(0.8, 40, 1)], ids=["greedy", "chance"])
def test_artifacts_write_the_text_that_the_model_writes(
    answers: dict[str, Answer], other: str, sampling: Sampling
) -> None:
    """Also past the end of the window."""
    ids = token_ids(2, 120).numpy()
    expected = generate(answers["model"], ids, 20, sampling)
    assert expected.shape == (2, 140)
    assert np.array_equal(generate(answers[other], ids, 20, sampling), expected)


def test_greedy_is_what_transformers_generates() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from sample_models._gpt_blocks import Body, with_linear_layers

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=512, n_positions=128, n_embd=32, n_layer=2, n_head=4, bos_token_id=None,
                        eos_token_id=None, initializer_range=0.3, pad_token_id=PAD)  # fmt: skip
    theirs, ids = GPT2LMHeadModel(config).eval(), token_ids(1, 6)
    expected = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False,
                               suppress_tokens=[PAD])  # fmt: skip
    ours = small_gpt(tied=True)
    ours.transformer = with_linear_layers(Body(theirs.transformer))
    assert generate(from_model(ours), ids.numpy(), 20, GREEDY).tolist() == expected.tolist()


def test_the_cache_computes_new_tokens_only_and_notices_another_text() -> None:
    given = []

    class Counting:
        def __init__(self) -> None:
            self.real = artifact.session(kv_graph.build(small_gpt()).onnx)
            self.get_inputs = self.real.get_inputs

        def run(self, names: object, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            given.append(feeds["input"].shape[1])
            return self.real.run(names, feeds)

    answer = Remembering(Counting())
    generate(answer, token_ids(1, 10).numpy(), 5, GREEDY)
    assert given == [10, 1, 1, 1, 1]
    other = token_ids(1, 8, seed=9).numpy()
    np.testing.assert_allclose(answer(other), from_model(small_gpt())(other), atol=2e-4)
    assert given[-1] == 8
    answer(np.concatenate([other, other[:, :3]], 1))
    assert given[-1] == 3


@pytest.mark.parametrize(
    ("values", "named"),
    [({"temperature": -0.1}, "temperature"), ({"temperature": 9.0}, "temperature"), ({"top_k": -1}, "top_k"),
     ({"seed": -1}, "seed"), ({"temperature": float("nan")}, "temperature")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(values: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Sampling(**values)


def test_prompts_and_lengths_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="prompt"):
        generate(count_up, np.empty((1, 0), np.int64), 3)
    with pytest.raises(InputError, match="tokens"):
        generate(count_up, np.array([[1]]), 1_000_000)
    assert generate(count_up, np.array([[1]]), 0).tolist() == [[1]]
