"""Measures of language models: closed forms, and agreement with torch's and scikit-learn's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import log_loss

from engine import metrics_language as ml
from engine.errors import TrialFailedError

T, V = 4, 8
CHARACTERS = np.array([0, 1, 1, 2, 2, 3, 4, 5])


def made_up(blocks: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(blocks * T, V)) * 2, draw.integers(1, V, blocks * T)


def test_uniform_answers_cost_the_logarithm_of_the_vocabulary() -> None:
    labels = np.array([1, 2, 3, 4, 5, 6, 7, 1])
    row = ml.language_model(np.zeros((8, V)), labels, CHARACTERS, T)
    letters = CHARACTERS[labels].sum()
    assert row["bits_per_character"] == pytest.approx(8 * 3 / letters)
    assert row["perplexity"] == pytest.approx(V)
    assert row["cross_entropy"] == pytest.approx(math.log(V))


def test_certain_and_right_costs_nothing() -> None:
    labels = np.array([1, 2, 3, 4])
    quality = ml.bits_per_character(np.eye(V)[labels] * 100, labels, CHARACTERS, T)
    assert (quality.value, quality.low, quality.high) == pytest.approx((0, 0, 0), abs=1e-30)
    assert quality.direction == "minimize"
    assert quality.method == "bootstrap"


def test_agrees_with_torch_and_scikit_learn() -> None:
    logits, labels = made_up()
    nats = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), reduction="sum").item()
    row = ml.language_model(logits, labels, CHARACTERS, T)
    assert row["bits_per_character"] == pytest.approx(nats / math.log(2) / CHARACTERS[labels].sum(), rel=1e-12)
    loss = log_loss(labels, torch.from_numpy(logits).softmax(1).numpy(), labels=list(range(V)))
    assert math.log(row["perplexity"]) == pytest.approx(loss, rel=1e-9)
    assert row["next_token_accuracy"] == (logits.argmax(1) == labels).mean()


def test_bits_a_character_do_not_depend_on_how_text_is_cut() -> None:
    """A token of two characters with probability p q costs as much as its two characters with p and q."""
    whole, halves = np.log([[0.06, 0.94]]), np.log([[0.2, 0.8], [0.3, 0.7]])
    coarse = ml.bits_per_character(whole, np.array([0]), np.array([2, 2]), 1)
    fine = ml.bits_per_character(halves, np.array([0, 0]), np.array([1, 1]), 2)
    assert coarse.value == pytest.approx(fine.value)
    assert ml.perplexity(whole, np.array([0])) == pytest.approx(ml.perplexity(halves, np.array([0, 0])) ** 2)


def test_interval_is_over_blocks_and_agrees_with_scipy() -> None:
    logits, labels = made_up(60, seed=3)
    bits, letters = ml.by_block(logits, labels, CHARACTERS, T)
    assert bits.shape == letters.shape == (60,)
    quality = ml.bits_per_character(logits, labels, CHARACTERS, T)
    other = scipy_bootstrap((bits, letters), lambda b, c, axis: b.sum(axis) / c.sum(axis), paired=True, vectorized=True,
                            n_resamples=4_000, method="percentile", rng=np.random.default_rng(1))  # fmt: skip
    width = other.confidence_interval.high - other.confidence_interval.low
    assert quality.low == pytest.approx(other.confidence_interval.low, abs=0.06 * width)
    assert quality.high == pytest.approx(other.confidence_interval.high, abs=0.06 * width)


def test_equal_blocks_leave_no_doubt_and_tokens_are_not_counted_as_independent() -> None:
    """Blocks that repeat one token each vary more than shuffled tokens would."""
    labels = np.repeat([1, 7], 20 * T)
    same = np.zeros((40 * T, V))
    same[: 20 * T, 1] = 6
    shuffled = np.random.default_rng(0).permutation(40 * T)
    wide = ml.bits_per_character(same, labels, np.ones(V, int), T)
    narrow = ml.bits_per_character(same[shuffled], labels[shuffled], np.ones(V, int), T)
    assert wide.value == pytest.approx(narrow.value)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    equal = ml.bits_per_character(np.zeros((40, V)), np.full(40, 3), CHARACTERS, T)
    assert equal.low == equal.value == equal.high == pytest.approx(1.5)


def test_the_mean_of_the_scores_of_blocks_is_the_quality() -> None:
    logits, labels = made_up()
    found = ml.scores(logits, labels, CHARACTERS, T)
    assert found.shape == (6,)
    assert found.mean() == pytest.approx(ml.bits_per_character(logits, labels, CHARACTERS, T).value, rel=1e-12)


def test_same_numbers_every_time() -> None:
    logits, labels = made_up()
    assert ml.bits_per_character(logits, labels, CHARACTERS, T) == ml.bits_per_character(logits, labels, CHARACTERS, T)


def test_teacher_measures() -> None:
    logits, labels = made_up()
    row = ml.language_model(logits, labels, CHARACTERS, T, logits)
    assert row["agreement"] == 1
    assert row["kl_to_teacher"] == pytest.approx(0, abs=1e-12)
    assert "agreement" not in ml.language_model(logits, labels, CHARACTERS, T)


def test_half_precision_logits_are_judged_in_double() -> None:
    logits, labels = made_up()
    half = logits.astype(np.float16)
    assert ml.perplexity(half, labels) == pytest.approx(ml.perplexity(half.astype(np.float64), labels), rel=1e-12)


def test_huge_losses_stay_numbers() -> None:
    assert math.isfinite(ml.perplexity(np.array([[0.0, 1e5]]), np.array([0])))


def test_refusals() -> None:
    logits, labels = made_up()
    with pytest.raises(ValueError, match="no whole blocks"):
        ml.by_block(logits[:-1], labels[:-1], CHARACTERS, T)
    with pytest.raises(TrialFailedError):
        ml.perplexity(np.full((4, V), np.nan), labels[:4])
