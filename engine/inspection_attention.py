"""Where the heads of a transformer look: attention probabilities for a few validation texts, from queries and keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine import registry
from engine.modalities import IMAGE, TOKENS
from engine.weights.attention import Attention, attentions

EXAMPLES, PLACES, PAD = 6, 24, 0


def of_task(model: nn.Module | None, task_name: str, data: str) -> NDArray[np.float32] | None:
    """:func:`maps` of the first validation texts of a task; None for images and for models without attention."""
    task = registry.get("tasks", task_name)
    if model is None or task.modality == IMAGE or not attentions(model):
        return None
    inputs = task.split(data, "validation").inputs[:EXAMPLES, :PLACES]
    return maps(model, inputs, causal=task.modality == TOKENS)


@torch.no_grad()
def maps(model: nn.Module, ids: Tensor, causal: bool) -> NDArray[np.float32]:
    """[n, layers, heads, T, T] of ids [n, T]: softmax(q k / sqrt(d)) over what a place may see (Vaswani et al. 2017,
    arXiv:1706.03762, eq. 1), as the model computes it for texts that end there. Layers of fewer heads than others are
    filled up with zeros.
    """
    found, seen = attentions(model), dict[nn.Module, Tensor]()

    def keep(layer: nn.Module, _: Any, out: Tensor) -> None:
        seen[layer] = out.detach()

    hooks = [layer.register_forward_hook(keep) for a in found for layer in (a.query, a.key)]
    try:
        model.eval()(ids)
    finally:
        for hook in hooks:
            hook.remove()
    layers = [_probabilities(a, seen[a.query], seen[a.key], ids, causal) for a in found]
    most = max(layer.shape[1] for layer in layers)
    filled = [nn.functional.pad(layer, (0, 0, 0, 0, 0, most - layer.shape[1])) for layer in layers]
    return np.asarray(torch.stack(filled, 1).float().numpy(force=True))


def _probabilities(block: Attention, query: Tensor, key: Tensor, ids: Tensor, causal: bool) -> Tensor:
    """[n, heads, T, T] from projections [n, T, heads * d]; heads that share keys read the same ones."""
    n, places, _ = query.shape
    q = query.view(n, places, block.heads, block.size).transpose(1, 2)
    k = key.view(n, places, block.groups, block.size).transpose(1, 2).repeat_interleave(block.each, 1)
    scores = q @ k.transpose(2, 3) / math.sqrt(block.size)
    hidden = (ids == PAD)[:, None, None, :].expand_as(scores)
    if causal:
        hidden = hidden | torch.ones(places, places, dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1)
