"""Small language models with large weights, so that a wrong answer shows."""

from __future__ import annotations

from typing import Any

import torch
from small_nets import stage
from torch import Tensor, nn

from engine.stages._base import StageContext
from sample_models._gpt_blocks import Gpt


def small_gpt(layers: int = 2, tied: bool = False, seed: int = 0) -> Gpt:
    torch.manual_seed(seed)
    model = Gpt(layers, 32, 4, tied, spread=0.3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
    return model.eval()


def token_ids(count: int = 3, length: int = 128, seed: int = 1) -> Tensor:
    return torch.randint(1, 512, (count, length), generator=torch.Generator().manual_seed(seed))


def quantized(model: nn.Module, **values: Any) -> nn.Module:
    """``model`` in place, rounded after training as a recipe would do it."""
    ids, labels = token_ids(8), token_ids(8, seed=2)
    context = StageContext([(ids, labels)], ids[:1], _loss, torch.Generator().manual_seed(0), 0)
    rounding, plan = stage("quantize_linear", **values), []
    rounding.attach(model, plan)
    rounding.prepare(model, context)
    rounding.finish(model, context)
    return model


def _loss(model: nn.Module, ids: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(ids).flatten(0, 1), labels.flatten())
