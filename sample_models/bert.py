"""Transformer students of text: the architecture of BERT with one, two or four layers."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from sample_models._text import SPAM, TOKENS, TOPICS, MeanOfTokens, TextSize, register_sizes

SOURCE = (
    "Devlin et al. 2019, arXiv:1810.04805; small ones: Turc et al. 2019, arXiv:1908.08962; transformers.BertModel; "
    "widths chosen here"
)
HEADS, WIDER = 4, 4


class BertClassifier(nn.Module):
    """BERT's encoder without a pooler, the mean of the unpadded positions, a linear head.

    Padding is left out of the attention and of the mean, so answers do not depend on how much of it there is. No
    dropout: a student trains for few epochs, and its teacher's answers are its regularisation.
    """

    def __init__(self, vocabulary: int, classes: int, layers: int, width: int) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel  # takes more than a second: only who makes one pays it

        config = BertConfig(
            vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=HEADS,
            intermediate_size=WIDER * width, max_position_embeddings=TOKENS, type_vocab_size=1,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.bert = BertModel(config, add_pooling_layer=False)
        self.pool = MeanOfTokens()
        self.head = nn.Linear(width, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of tokens [B, T] int64, T of at most 128 -> logits [B, classes]."""
        # four axes: transformers adds such a mask to the attention's scores as it is
        padding = (ids == 0)[:, None, None, :].to(self.head.weight.dtype) * torch.finfo(torch.float16).min
        states = self.bert(input_ids=ids, attention_mask=padding).last_hidden_state
        logits: Tensor = self.head(self.pool(states, ids))
        return logits


def make(vocabulary: int, classes: int, layers: int, width: int) -> nn.Module:
    """Ids [B, T] -> logits [B, classes]."""
    return BertClassifier(vocabulary, classes, layers, width)


def taps(layers: int) -> dict[str, str]:
    """The features before the head [B, H], states after a layer and its queries, keys and values [B, T, H]."""
    layer = "bert.encoder.layer."
    depths = {"first": 0, "middle": layers // 2, "last": layers - 1}
    states = {f"{depth}_states": f"{layer}{depths[depth]}" for depth in ("first", "last")}
    parts = {
        f"{depth}_{part}": f"{layer}{number}.attention.self.{part}"
        for depth, number in depths.items()
        for part in ("query", "key", "value")
    }
    return {"last_feature": "pool", **states, **parts}


def _size(layers: int, width: int, seconds: float, rate: float, parameters: tuple[int, int], help_: str) -> TextSize:
    plural = "layer" if layers == 1 else "layers"
    sizes = dict(zip((SPAM.name, TOPICS.name), parameters, strict=True))
    made = functools.partial(make, layers=layers, width=width)
    title = f"BERT, {layers} {plural} of {width}"
    return TextSize(f"bert_{layers}", title, help_, made, sizes, seconds, rate, taps(layers))


register_sizes(
    (
        _size(1, 64, 4.0, 1e-3, (320_642, 583_956),
              "One layer in which every word looks at every other. Five of six of its numbers are the table of words: "
              "rounding that table saves more bytes than anything done to the layer."),
        _size(2, 64, 7.5, 1e-3, (370_626, 633_940),
              "Two layers: the second one looks at words that already know their neighbours. Twice the time of one "
              "layer, hardly more bytes."),
        _size(4, 96, 22.0, 5e-4, (853_346, 1_248_308),
              "Four wider layers, for seeing what depth is worth and what can be taken away from it. An epoch "
              "takes six times as long as with one layer."),
    ),
    "bert",
    SOURCE,
)  # fmt: skip
