"""Models, images and a short way to factor them, for tests of factored layers."""

from __future__ import annotations

from typing import Any

import small_nets
import torch
from torch import Tensor, nn

from engine import registry
from engine.stages._base import Stage


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def model_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = registry.get("models", name).make()
    return made.eval()


def small_context(example: Tensor, seed: int = 1) -> Any:
    found = small_nets.context()
    found.example, found.generator = example[:1], torch.Generator().manual_seed(seed)
    return found


def applied(one: Stage, model: nn.Module, seed: int = 1) -> list[dict[str, Any]]:
    plan = one.plan(model, small_context(images(2, 1, 28, 28), seed))
    one.attach(model, plan)
    return plan
