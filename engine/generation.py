"""Continuing a text token by token, greedy or by chance, with any function that answers, or an ONNX file. No torch.

A token is chosen from the logits at the last position; id 0 (padding) never is. A text longer than the model's context
is seen through a window: its last ``positions`` tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import InputError

Ids = NDArray[np.int64]
Logits = NDArray[np.float32]
Answer = Callable[[Ids], Logits]  # ids [B, T] of whole texts so far -> logits [B, V] of the token that comes next

PAD = 0
POSITIONS = 128
HOTTEST, MOST_TOKENS = 5.0, 2_000


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen. ``temperature`` 0 takes the likeliest; ``top_k``: among so many, 0 for all.

    Equal settings and logits give equal texts. Values out of range raise :class:`InputError`.
    """

    temperature: float = 0.8
    top_k: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= HOTTEST:
            raise InputError("temperature", self.temperature, f"a number from 0 to {HOTTEST:g}")
        if self.top_k < 0 or self.seed < 0:
            where, value = ("top_k", self.top_k) if self.top_k < 0 else ("seed", self.seed)
            raise InputError(where, value, "a whole number from 0 on")


def choose(logits: Logits, sampling: Sampling, draw: np.random.Generator) -> Ids:
    """[B] ids for logits [B, V]: softmax(logits / temperature) over the ``top_k`` largest, or the largest."""
    scores = np.asarray(logits, np.float64).copy()
    scores[:, PAD] = -np.inf
    if sampling.temperature == 0:
        return np.asarray(scores.argmax(1), np.int64)
    if 0 < sampling.top_k < scores.shape[1]:
        least = np.partition(scores, -sampling.top_k, axis=1)[:, -sampling.top_k, None]
        scores = np.where(scores < least, -np.inf, scores)
    weights = np.exp((scores - scores.max(1, keepdims=True)) / sampling.temperature).cumsum(1)
    chance = draw.random((len(scores), 1)) * weights[:, -1:]
    return np.asarray((weights <= chance).sum(1), np.int64)


def generate(answer: Answer, ids: Ids, tokens: int, sampling: Sampling = Sampling()) -> Ids:
    """``ids`` [B, T0] with ``tokens`` more, [B, T0 + tokens]; T0 at least 1. Raises :class:`InputError`."""
    if ids.ndim != 2 or ids.shape[1] < 1:
        raise InputError("prompt", tuple(ids.shape), "at least one token to begin with")
    if not 0 <= tokens <= MOST_TOKENS:
        raise InputError("tokens", tokens, f"a whole number from 0 to {MOST_TOKENS}")
    draw = np.random.default_rng(sampling.seed)
    for _ in range(tokens):
        ids = np.concatenate([ids, choose(answer(ids), sampling, draw)[:, None]], axis=1)
    return ids


def from_session(session: Any, positions: int = POSITIONS) -> Answer:
    """The answers of an ONNX Runtime session of a language model, ids [B, T] -> logits [B, T, V].

    Each call computes the whole text anew. Short texts are filled up at the end, which nothing before it sees.
    """
    name = session.get_inputs()[0].name

    def answer(ids: Ids) -> Logits:
        window = ids[:, -positions:]
        length = window.shape[1]
        filled = np.pad(window, ((0, 0), (0, positions - length)), constant_values=PAD)
        logits: Logits = session.run(None, {name: filled})[0].reshape(len(ids), positions, -1)[:, length - 1]
        return logits

    return answer


class Remembering:
    """The answers of a session with a key-value cache (see ``engine.artifact.kv_graph``), as an :data:`Answer`.

    A text that continues the one of the last call costs its new tokens only. Once it is longer than ``positions`` the
    window moves, every position changes, and each call computes the whole window.
    """

    def __init__(self, session: Any, positions: int = POSITIONS) -> None:
        self.session, self.positions = session, positions
        self._ids_name, *self._past_names = [given.name for given in session.get_inputs()]
        self._shapes = [given.shape for given in session.get_inputs()[1:]]
        self._seen: Ids = np.empty((0, 0), np.int64)
        self._past: list[Logits] = []

    def __call__(self, ids: Ids) -> Logits:
        """[B, T] -> [B, V]."""
        window = ids[:, -self.positions :]
        known = self._seen.shape[1]
        if not (0 < known < window.shape[1] and np.array_equal(self._seen, window[:, :known])):
            known, self._past = 0, self.empty(len(ids))
        past = dict(zip(self._past_names, self._past, strict=True))
        logits, *self._past = self.session.run(None, {self._ids_name: window[:, known:], **past})
        self._seen = window
        last: Logits = logits[:, -1]
        return last

    def empty(self, count: int) -> list[Logits]:
        """The cache of ``count`` texts of no tokens."""
        return [np.zeros((count, shape[1], 0, shape[3]), np.float32) for shape in self._shapes]
