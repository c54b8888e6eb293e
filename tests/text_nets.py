"""A transformer of several small blocks, for tests of stages that act on attention; texts as in :mod:`small_nets`."""

from __future__ import annotations

import small_nets
import torch
from torch import nn

from engine.tasks._base import Split
from sample_models import bert

TOKENS, WIDTH = 16, 16


def fresh(seed: int = 0, layers: int = 2) -> nn.Module:
    """Blocks of four heads that are 4 wide: ids [B, 16] -> logits [B, 4]; weights depend on ``seed`` alone.

    Weights of attention are larger than BERT's usual ones, so that it looks at some words more than at others.
    """
    torch.manual_seed(seed)
    model = bert.make(small_nets.WORDS, small_nets.CLASSES, layers, WIDTH)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "attention.self" in name:
                parameter.add_(torch.randn_like(parameter) * 0.4)
    return model


def data() -> Split:
    """Texts whose words tell their class."""
    return small_nets.data(text=True)
