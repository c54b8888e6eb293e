"""The teacher of the topics: a linear model on weighted words, hard to beat on long texts and cheap to ask."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.model_spec import ModelSpec
from engine.registry import register
from engine.tasks import _text_topics_files
from engine.tasks._text_files import END

WEIGHTS = Path(__file__).with_name("weights") / "linear_topics.safetensors"
WORDS = 8_192


class WeighedWords(nn.Module):
    """Ids [B, T] -> [B, V]: (1 + log n) times the word's weight, divided by the length of the row.

    ``weights`` [V] are the inverse document frequencies of the training texts; 0 for padding, unknown words and marks.
    """

    weights: Tensor

    def __init__(self, words: int) -> None:
        super().__init__()
        weights = torch.ones(words)
        weights[: END + 1] = 0
        self.register_buffer("weights", weights)

    def forward(self, ids: Tensor) -> Tensor:
        counts = torch.zeros(ids.shape[0], self.weights.shape[0], device=ids.device)
        counts = counts.scatter_add(1, ids, torch.ones_like(ids, dtype=counts.dtype))
        found = torch.where(counts > 0, 1 + counts.clamp(min=1).log(), counts) * self.weights
        return found / found.square().sum(1, keepdim=True).sqrt().clamp(min=1e-6)


class LinearText(nn.Module):
    """Token ids [B, T] -> logits [B, C], blind to the order of the words."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        self.weigh = WeighedWords(words)
        self.head = nn.Linear(words, classes)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.weigh(ids))
        return logits


register(
    ModelSpec(
        name="linear_topics",
        title="Weighted words and a linear head, 164k parameters",
        help="Counts the words of a text, gives rare ones more weight (TF-IDF) and adds up what each says about every "
        "topic. Trained in advance on 11,273 labelled posts; 80.6 % right on validation, 99.9 % on the posts that it "
        "was trained on. Its answers to every post come with the project.",
        source="Salton and Buckley 1988, Term-weighting approaches in automatic text retrieval, IP&M 24(5); logistic "
        "regression by scikit-learn; trained by sample_models/train_linear.py",
        family="linear",
        tasks=("text_topics",),
        make=functools.partial(LinearText, WORDS, len(_text_topics_files.CLASSES)),
        parameters=163_860,
        role="teacher",
        learning_rate=1e-2,
        batch_size=32,
        seconds_per_epoch=2.0,
        taps={"last_feature": "weigh"},
        weights=WEIGHTS,
    )
)
