"""A PyTorch language model as a function that :func:`engine.generation.generate` can ask."""

from __future__ import annotations

import torch
from torch import nn

from engine.generation import POSITIONS, Answer, Ids, Logits


def from_model(model: nn.Module, positions: int = POSITIONS) -> Answer:
    """The answers of a module of ids [B, T] -> logits [B, T, V], in eval mode, whole texts anew at each call."""

    @torch.no_grad()
    def answer(ids: Ids) -> Logits:
        there = next(model.parameters()).device
        logits = model.eval()(torch.from_numpy(ids[:, -positions:].copy()).to(there))
        last: Logits = logits[:, -1].float().numpy(force=True)
        return last

    return answer
