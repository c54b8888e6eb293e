"""The network of the MiniLM teachers, apart from their registration, since transformers takes seconds to import."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from engine.tasks._text_files import LENGTH, PAD
from sample_models._text import MeanOfTokens

LAYERS, WIDTH, HEADS, INNER = 6, 384, 12, 1536


class Minilm(nn.Module):
    """Token ids [B, T] -> logits [B, C]: the encoder's last layer, averaged over the words, and a linear head."""

    def __init__(self, words: int, classes: int) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=words, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
            intermediate_size=INNER, max_position_embeddings=LENGTH, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.encoder: Any = BertModel(config, add_pooling_layer=False)
        self.pool = MeanOfTokens()
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, ids: Tensor) -> Tensor:
        states = self.encoder(input_ids=ids, attention_mask=without_padding(ids)).last_hidden_state
        logits: Tensor = self.head(self.pool(states, ids))
        return logits


def without_padding(ids: Tensor) -> Tensor:
    """What is added to the attention's scores [B, 1, 1, T]: nothing for a word, very little chance for padding."""
    return (ids == PAD)[:, None, None, :].float() * torch.finfo(torch.float16).min
