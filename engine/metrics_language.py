"""How good a language model is, from its logits: numpy in, plain numbers out, no torch.

Everywhere ``logits`` is [N T, V], one row for each predicted token, block after block of T; ``labels`` [N T] are the
tokens that came next, ``characters`` [V] how many characters each token of the vocabulary stands for. Bits a character
can be compared between vocabularies, perplexity cannot: longer tokens are harder to guess and there are fewer of them.
Logits that are not finite raise :class:`TrialFailedError`.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from engine import metrics
from engine.result import Quality

Array: TypeAlias = npt.NDArray[Any]

METRIC = "bits_per_character"
RESAMPLES, SEED = 2_000, 0


def bits_per_character(logits: Array, labels: Array, characters: Array, block: int) -> Quality:
    """Bits that the model needs for a character of text, with its 95 % interval; less is better.

    The bits of all next tokens, -log2 p, over the characters that they stand for. The interval is the percentile
    bootstrap over blocks of ``block`` tokens (Efron 1979): tokens of one block are not independent.
    """
    bits, letters = by_block(logits, labels, characters, block)
    value = float(bits.sum() / letters.sum())
    low, high = bootstrap(bits, letters)
    return Quality(METRIC, value, min(low, value), max(high, value), "minimize", "bootstrap")


def by_block(logits: Array, labels: Array, characters: Array, block: int) -> tuple[Array, Array]:
    """Bits [N] and characters [N] of every block; raises ValueError where the rows are no whole blocks."""
    nats = token_nats(logits, labels)
    if len(nats) % block:
        raise ValueError(f"{len(nats)} tokens are no whole blocks of {block}")
    letters = np.asarray(characters)[np.asarray(labels)]
    return nats.reshape(-1, block).sum(1) / math.log(2), letters.reshape(-1, block).sum(1)


def scores(logits: Array, labels: Array, characters: Array, block: int) -> Array:
    """[N] each block's bits over the mean number of characters of a block: their mean is the bits a character."""
    bits, letters = by_block(logits, labels, characters, block)
    return np.asarray(bits / letters.mean())


def token_nats(logits: Array, labels: Array) -> Array:
    """[N T] -log p of each token that came next, in nats."""
    values, targets = np.asarray(logits, np.float64), np.asarray(labels)
    metrics.correct(values, targets)  # refuses shapes and numbers that cannot be judged
    largest = values.max(1)
    total = np.log(np.exp(values - largest[:, None]).sum(1))
    return np.asarray(total + largest - values[np.arange(len(targets)), targets])


def bootstrap(numerators: Array, denominators: Array, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % percentile interval of sum(numerators) / sum(denominators), both [N], over N resampled pairs."""
    rows = np.random.default_rng(SEED).integers(0, len(numerators), (resamples, len(numerators)))
    ratios = numerators[rows].sum(1) / denominators[rows].sum(1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)


def perplexity(logits: Array, labels: Array) -> float:
    """exp of the mean cross entropy of a token: among so many equally likely tokens the model hesitates."""
    return math.exp(min(float(token_nats(logits, labels).mean()), 700.0))  # more than 1e304 says no more than that


def language_model(logits: Array, labels: Array, characters: Array, block: int,
                   teacher_logits: Array | None = None) -> dict[str, float]:  # fmt: skip
    """All measures by name; ``agreement`` and ``kl_to_teacher`` only where there is a teacher."""
    row = {
        METRIC: bits_per_character(logits, labels, characters, block).value,
        "perplexity": perplexity(logits, labels),
        "next_token_accuracy": float(metrics.correct(logits, labels).mean()),
        "cross_entropy": metrics.cross_entropy(logits, labels),
    }
    if teacher_logits is not None:
        row["agreement"] = metrics.agreement(logits, teacher_logits)
        row["kl_to_teacher"] = metrics.kl_to_teacher(logits, teacher_logits)
    return row
