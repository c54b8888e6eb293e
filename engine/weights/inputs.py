"""Quantizing a layer's input to uint8, with ranges observed on calibration batches.

Source: Jacob et al. 2018 (arXiv:1712.05877), sections 2.1 and 3.1: an affine code in which zero is exact, ranges by
moving average while training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LEVELS = 255
NAME = "input_quantizer"
MOMENTUM = 0.05


class InputQuantizer(nn.Module):
    """Fake-quantizes a tensor to uint8 once ``active``; ``low`` <= 0 <= ``high`` is the range seen so far.

    While the model trains (training mode, gradients on) the range follows a moving average; :func:`calibrate`
    sets it for good.
    """

    low: Tensor
    high: Tensor
    active: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("active", torch.zeros((), dtype=torch.bool))
        self.observing = False

    def forward(self, x: Tensor) -> Tensor:
        """``x`` on the lattice; the gradient passes inside the range and stops outside (saturated)."""
        if self.observing:
            self._widen(x)
            return x
        if not self.active:
            return x
        if self.training and torch.is_grad_enabled():
            self._follow(x)
        scale, zero_point = self.code()
        inside = x.clamp(float(-zero_point * scale), float((LEVELS - zero_point) * scale))
        rounded = torch.round(x.detach() / scale).add_(zero_point).clamp_(0, LEVELS)
        return rounded.sub_(zero_point).mul_(scale) + (inside - inside.detach())

    def code(self) -> tuple[Tensor, Tensor]:
        """Scale (float32) and zero point (whole number as float32) of the range; zero is exactly on the lattice."""
        width = self.high - self.low
        scale = torch.where(width > 0, width / LEVELS, torch.ones_like(width))
        return scale, torch.round(-self.low / scale).clamp(0, LEVELS)

    @torch.no_grad()
    def _widen(self, x: Tensor) -> None:
        low, high = torch.aminmax(x)
        self.low.copy_(torch.minimum(self.low, low))
        self.high.copy_(torch.maximum(self.high, high))

    @torch.no_grad()
    def _follow(self, x: Tensor) -> None:
        low, high = torch.aminmax(x.detach())
        self.low.lerp_(low.clamp(max=0.0), MOMENTUM)
        self.high.lerp_(high.clamp(min=0.0), MOMENTUM)


def attach(layer: nn.Module) -> None:
    """Give ``layer`` a quantizer for its input (once)."""
    if find(layer) is None:
        layer.add_module(NAME, InputQuantizer())
        layer.register_forward_pre_hook(_quantize_input)


def find(layer: nn.Module) -> InputQuantizer | None:
    """``layer``'s quantizer, if it has one."""
    return cast("InputQuantizer | None", layer._modules.get(NAME))


def detach(layer: nn.Module) -> None:
    """Take ``layer``'s quantizer away."""
    layer._modules.pop(NAME, None)
    for key, hook in list(layer._forward_pre_hooks.items()):
        if hook is _quantize_input:
            del layer._forward_pre_hooks[key]


@torch.no_grad()
def calibrate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Observe every quantizer's range on ``batches`` (inputs, labels), activations in float, and switch it on.

    The model runs in eval mode and is left in the mode that it had. Without quantizers nothing runs.
    """
    quantizers = [m for m in model.modules() if isinstance(m, InputQuantizer)]
    if not quantizers:
        return
    training = model.training
    model.eval()
    for quantizer in quantizers:
        quantizer.low.zero_()
        quantizer.high.zero_()
        quantizer.observing = True
    with parametrize.cached():
        for inputs, _ in batches:
            model(inputs)
    for quantizer in quantizers:
        quantizer.observing = False
        quantizer.active.fill_(True)
    model.train(training)


@contextmanager
def paused(model: nn.Module) -> Iterator[None]:
    """No quantizer of ``model`` rounds inside."""
    running = [m for m in model.modules() if isinstance(m, InputQuantizer) and bool(m.active)]
    for quantizer in running:
        quantizer.active.fill_(False)
    try:
        yield
    finally:
        for quantizer in running:
            quantizer.active.fill_(True)


# a function of the module, not a closure: deepcopy then binds it to the copy's own quantizer
def _quantize_input(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    quantizer = find(layer)
    return (quantizer(args[0]), *args[1:]) if quantizer is not None else args
