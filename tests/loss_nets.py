"""The nets and batches that every loss is tried on: numbers to classes, texts to classes, running text to its next ids.

Which of them a loss is tried on, its ``modalities`` say.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.losses._base import Loss
from engine.step import NO_LABEL, Batch

CLASSES, BATCH = 5, 12
DEPTHS, PARTS = ("first", "middle", "last"), ("query", "key", "value")


class Net(nn.Module):
    """Ten numbers to five classes, with the taps that losses may ask for."""

    taps = {"first_map": "body.2", "middle_map": "body.4", "last_map": "body.4", "last_feature": "body.5"}

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        layers = (nn.Linear(10, 32), nn.ReLU(), nn.Unflatten(1, (2, 4, 4)), nn.Conv2d(2, 3, 3, padding=1), nn.ReLU())
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(48, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))


class Reader(nn.Module):
    """Ids [B, T] to states [B, T, 8] by one round of attention; at 0 nobody looks unless it looks back only."""

    taps = {f"{depth}_{part}": part for depth in DEPTHS for part in PARTS} | {"last_feature": "states"}

    def __init__(self, seed: int, answers: int, causal: bool) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.causal = causal
        self.table = nn.Embedding(9, 8)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.states, self.head = nn.Identity(), nn.Linear(8, answers)

    def read(self, ids: Tensor) -> Tensor:
        x = self.table(ids)
        seen = (ids != 0)[:, None, :].expand(-1, ids.shape[1], -1)
        if self.causal:
            seen = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
        mixed = nn.functional.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x), attn_mask=seen)
        return self.states(x + mixed)


class TextNet(Reader):
    """Ids [B, T] to five classes."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, CLASSES, causal=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.read(ids).mean(1))


class TokenNet(Reader):
    """Ids [B, T] to logits [B, T, 9] of the next ones."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, 9, causal=True)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.read(ids))


NETS = {"image": Net, "text": TextNet, "tokens": TokenNet}


def net_of(loss: type[Loss]) -> type[Net | TextNet | TokenNet]:
    """The first of image, text and tokens that the loss can be used on."""
    return next(net for modality, net in NETS.items() if modality in loss.modalities)  # type: ignore[return-value]


def batch_for(net: type[nn.Module], labelled: bool = True, seed: int = 0, count: int = BATCH) -> Batch:
    """A batch for it; without ``labelled`` every third example has a label."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.arange(count) % 3 == 0 if not labelled else torch.ones(count, dtype=torch.bool)
    if net is Net:
        labels, inputs = (
            torch.randint(CLASSES, (count,), generator=generator),
            torch.randn(count, 10, generator=generator),
        )
        return Batch(inputs, torch.where(known, labels, NO_LABEL), known, torch.arange(count))
    inputs = torch.randint(1, 9, (count, 40 if net is TokenNet else 7), generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    if net is TokenNet:
        known, labels = known.repeat_interleave(40), inputs.roll(-1, 1).flatten()
    else:
        inputs[::2, 5:] = 0  # padding
    return Batch(inputs, torch.where(known, labels, NO_LABEL), known, torch.arange(count))


def other_inputs(rows: Batch) -> Tensor:
    """The inputs of a batch, those without a label changed."""
    known = rows.labelled.view(len(rows.index), -1)[:, :1]
    moved = rows.inputs + 1 if rows.inputs.is_floating_point() else rows.inputs % 8 + (rows.inputs != 0).long()
    return torch.where(known, rows.inputs, moved)
