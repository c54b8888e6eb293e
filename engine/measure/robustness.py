"""How a classifier answers when its inputs are changed against it: accuracy under PGD."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine import metrics
from engine.attack import ascend, ball_around, evaluating

BATCH = 500
REACH = 2.5  # how many radii all steps together may go, so that every point of the ball can be reached and left again


def attacked_logits(
    model: nn.Module, inputs: Tensor, labels: Tensor, epsilon: float, steps: int, generator: torch.Generator
) -> Tensor:
    """Logits [N, C] of ``model`` in eval mode for the worst changes of ``inputs`` [N, ...] that PGD finds.

    Each number may move by ``epsilon`` (0 to 1) of the range that ``inputs`` span, and stays within that range. PGD
    starts at a random point of the ball, drawn from ``generator`` (on the CPU), and takes ``steps`` of 2.5 epsilon /
    steps up the cross-entropy with ``labels`` [N] (Madry et al. 2018, arXiv:1706.06083, section 2.1). ``steps`` 0 gives
    the answers to the inputs as they are. The attacker knows the weights. The model is left as it was.
    """
    ball = ball_around(inputs, epsilon)
    rate = REACH * ball.radius / max(steps, 1)
    found = []
    with evaluating(model):
        for clean, target in zip(torch.split(inputs, BATCH), torch.split(labels, BATCH), strict=True):
            lots = 2 * torch.rand(clean.shape, generator=generator).to(clean) - 1

            def loss(moved: Tensor, target: Tensor = target) -> Tensor:
                return F.cross_entropy(model(moved), target, reduction="sum")

            start = clean + ball.radius * lots if steps else None
            with torch.no_grad():
                found.append(model(ascend(loss, clean, ball, steps, rate, start)))
    return torch.cat(found)


def robust_accuracy(
    model: nn.Module, inputs: Tensor, labels: Tensor, epsilon: float, steps: int, generator: torch.Generator
) -> float:
    """Share of right answers to the inputs of :func:`attacked_logits`, 0 to 1; ``steps`` 0 is ordinary accuracy."""
    logits = attacked_logits(model, inputs, labels, epsilon, steps, generator)
    return float(metrics.correct(logits.numpy(force=True), labels.numpy(force=True)).mean())
