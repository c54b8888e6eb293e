"""A recurrent student of text: it reads word by word and keeps a state."""

from __future__ import annotations

from torch import Tensor, nn

from sample_models._text import SPAM, TOPICS, MeanOfTokens, TextSize, register_sizes

WIDTH = 64


class LstmClassifier(nn.Module):
    """Embedding, one LSTM from left to right, the mean of its states over the unpadded positions, a linear head.

    Padding stands at the end, so no state that counts has seen any.
    """

    def __init__(self, vocabulary: int, classes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.pool = MeanOfTokens()
        self.head = nn.Linear(width, classes)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids of tokens [B, T] int64 -> logits [B, classes]."""
        states, _ = self.lstm(self.embedding(ids))
        logits: Tensor = self.head(self.pool(states, ids))
        return logits


register_sizes(
    (
        TextSize(
            "lstm",
            f"LSTM, width {WIDTH}",
            "Reads one word after the other and remembers what seems to matter, as was usual before transformers. Its "
            "steps cannot run side by side, so it is slow for its size. Methods that round or prune weights act on its "
            "head and on its table of words; the LSTM itself stays in float.",
            LstmClassifier,
            {SPAM.name: 295_554, TOPICS.name: 558_868},
            seconds=1.8,
            learning_rate=1e-2,
            taps={"last_feature": "pool"},
        ),
    ),
    "lstm",
    "Hochreiter & Schmidhuber 1997, Long Short-Term Memory; torch.nn.LSTM",
)
