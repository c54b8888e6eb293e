"""The smallest student of text: a bag of words, blind to their order."""

from __future__ import annotations

from torch import Tensor, nn

from sample_models._text import SPAM, TOPICS, MeanOfTokens, TextSize, register_sizes

WIDTH = 16


class BagClassifier(nn.Module):
    """The mean of the words' vectors and a linear head."""

    def __init__(self, vocabulary: int, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.pool = MeanOfTokens()
        self.head = nn.Linear(width, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of tokens [B, T] int64 -> logits [B, classes]."""
        logits: Tensor = self.head(self.pool(self.embedding(ids), ids))
        return logits


register_sizes(
    (
        TextSize(
            "bag",
            f"Bag of words, width {WIDTH}",
            "Averages a vector for each word and draws a line through the result. It knows which words occur, not in "
            "which order; for spam and topics that is most of what there is to know, and it takes no time at all.",
            BagClassifier,
            {SPAM.name: 65_570, TOPICS.name: 131_412},
            seconds=0.1,
            learning_rate=3e-2,
            taps={"last_feature": "pool"},
        ),
    ),
    "bag",
    "Joulin et al. 2017, Bag of Tricks for Efficient Text Classification, arXiv:1607.01759, without n-grams",
)
