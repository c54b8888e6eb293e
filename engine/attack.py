"""Worst-case inputs within bounds, and forwards that leave no trace in the model.

Inputs are as a model takes them (normalised, say). How far a change may go is given as a fraction of the range of
values that the data have, so that 0.1 means the same for every normalisation: a tenth of the way from the darkest
pixel to the brightest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call


@dataclass(frozen=True)
class Ball:
    """What an attacker may do: move each number by at most ``radius`` and stay within ``low`` to ``high``.

    The three are tensors in the model's input units that broadcast over a batch: [] or, for pictures, [C, 1, 1].
    """

    radius: Tensor
    low: Tensor
    high: Tensor

    def inside(self, moved: Tensor, clean: Tensor) -> Tensor:
        """``moved`` [B, ...] brought back to the allowed values nearest to it; ``clean`` [B, ...] is always allowed."""
        lowest = torch.minimum(torch.maximum(clean - self.radius, self.low), clean)
        highest = torch.maximum(torch.minimum(clean + self.radius, self.high), clean)
        return moved.clamp(lowest, highest)

    def to(self, device: torch.device) -> Ball:
        """The same on ``device``."""
        return Ball(self.radius.to(device), self.low.to(device), self.high.to(device))


def value_range(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest value of ``inputs`` [N, ...]: of each channel [C, 1, 1] for pictures, otherwise of all []."""
    if inputs.ndim != 4:
        low, high = torch.aminmax(inputs)
        return low, high
    dims = (0, 2, 3)
    return inputs.amin(dims)[:, None, None], inputs.amax(dims)[:, None, None]


def ball_around(inputs: Tensor, epsilon: float) -> Ball:
    """The ball whose radius is ``epsilon`` (0 to 1) of the range of ``inputs`` [N, ...]."""
    low, high = value_range(inputs)
    return Ball(epsilon * (high - low), low, high)


@torch.enable_grad()
def ascend(
    loss: Callable[[Tensor], Tensor], clean: Tensor, ball: Ball, steps: int, rate: Tensor, start: Tensor | None = None
) -> Tensor:
    """``clean`` [B, ...] changed within ``ball`` so that ``loss`` rises; no weight gets a gradient.

    Each of ``steps`` adds ``rate`` times the gradient's sign and goes back into the ball. ``loss`` gives a scalar in
    which every example has a term of its own. One step of the radius from ``clean`` itself is FGSM (Goodfellow et al.
    2015, arXiv:1412.6572, section 4), several from a random ``start`` are PGD (Madry et al. 2018, arXiv:1706.06083,
    section 2.1).
    """
    moved = clean if start is None else ball.inside(start, clean)
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(moved), moved)
        moved = ball.inside(moved.detach() + rate * gradient.sign(), clean)
    return moved.detach()


def aside(model: nn.Module, inputs: Tensor, parameters: Mapping[str, Tensor] | None = None) -> Tensor:
    """Logits in the mode that ``model`` has, with gradients, while its buffers stay as they are.

    BatchNorm's statistics are those of ``inputs`` in training mode, and its running ones do not move. ``parameters``
    by name take the place of the model's own.
    """
    state = {name: buffer.clone() for name, buffer in model.named_buffers()} | dict(parameters or {})
    logits: Tensor = functional_call(model, state, (inputs,))
    return logits


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """``model`` in eval mode, and back in the mode that it had; its constrained weights are computed once."""
    was_training = model.training
    model.eval()
    try:
        with nn.utils.parametrize.cached():
            yield model
    finally:
        model.train(was_training)
