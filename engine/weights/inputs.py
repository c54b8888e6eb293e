"""Quantizing a layer's input to uint8 or fewer bits, with ranges observed on calibration batches.

Source: Jacob et al. 2018 (arXiv:1712.05877), sections 2.1 and 3.1: an affine code in which zero is exact, ranges by
moving average while training; how a range is chosen: :mod:`engine.weights.calibration`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.weights.calibration import Counter, choose

BITS = 8
PERCENTILE = 99.9
NAME = "input_quantizer"
MOMENTUM = 0.05


class InputQuantizer(nn.Module):
    """Fake-quantizes a tensor to 2^bits levels once ``active``; ``low`` <= 0 <= ``high`` is the range in force.

    ``bits``, ``method`` and ``share`` (percent that percentile keeps) are structure, given at attachment. While the
    model trains (training mode, gradients on) the range follows a moving average of what is seen, times the part
    ``kept`` [2] of it that was chosen at the last calibration; :func:`calibrate` sets it for good.
    """

    learned: ClassVar[bool] = False  # whether training chooses the range, once a calibration has begun it
    low: Tensor
    high: Tensor
    active: Tensor
    kept: Tensor | None

    def __init__(self, bits: int = BITS, method: str = "min_max", share: float = PERCENTILE) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.open_top()
        self.register_buffer("active", torch.zeros((), dtype=torch.bool))
        self.configure(bits, method, share)
        self.observing, self.counter = False, cast("Counter | None", None)

    def open_top(self) -> None:
        """Register ``high``, here a buffer."""
        self.register_buffer("high", torch.zeros(()))

    def configure(self, bits: int, method: str, share: float) -> None:
        """Set the structure; the range stays until the next calibration."""
        self.bits, self.method, self.share = bits, method, share
        kept = None if method == "min_max" else torch.ones(2, device=self.low.device)
        self.register_buffer("kept", kept)

    @property
    def levels(self) -> int:
        """The largest integer."""
        return (1 << self.bits) - 1

    def forward(self, x: Tensor) -> Tensor:
        """``x`` on the lattice; the gradient passes inside the range and stops outside (saturated)."""
        if self.observing:
            self.observe(x)
            return x
        if not self.active:
            return x
        if self.training and torch.is_grad_enabled():
            self.follow(x)
        scale, zero_point = self.code()
        inside = self.inside(x, -zero_point * scale, (self.levels - zero_point) * scale)
        return self.rounded(x, scale, zero_point) + (inside - inside.detach())

    def inside(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """``x`` within the range, with the gradient that training shall see."""
        return x.clamp(float(low), float(high))

    def rounded(self, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        """``x`` on the lattice, without a gradient."""
        rounded = torch.round(x.detach() / scale).add_(zero_point).clamp_(0, self.levels)
        return rounded.sub_(zero_point).mul_(scale)

    def code(self) -> tuple[Tensor, Tensor]:
        """Scale (float32) and zero point (whole number as float32) of the range; zero is exactly on the lattice."""
        width = (self.high - self.low).detach()
        scale = torch.where(width > 0, width / self.levels, torch.ones_like(width))
        return scale, torch.round(-self.low / scale).clamp(0, self.levels)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Widen the range to what ``x`` holds, or count its values."""
        if self.counter is not None:
            self.counter.add(x)
            return
        low, high = torch.aminmax(x)
        self.low.copy_(torch.minimum(self.low, low))
        self.high.copy_(torch.maximum(self.high, high))

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Move the range a little towards this batch's."""
        low, high = torch.aminmax(x.detach())
        ends = (low.clamp(max=0.0), high.clamp(min=0.0))
        low, high = ends if self.kept is None else (ends[0] * self.kept[0], ends[1] * self.kept[1])
        self.low.lerp_(low, MOMENTUM)
        self.high.lerp_(high, MOMENTUM)

    @torch.no_grad()
    def begin(self) -> None:
        """Before a calibration: nothing seen."""
        self.low.zero_()
        self.high.zero_()

    @torch.no_grad()
    def settle(self) -> None:
        """The range that ``method`` chooses among what was counted."""
        if self.counter is None or self.kept is None:
            return
        seen = torch.stack([self.low, self.high])
        chosen = torch.tensor(choose(self.counter.histogram(), self.method, self.bits, self.share)).to(seen)
        chosen = torch.stack([torch.maximum(chosen[0], seen[0]), torch.minimum(chosen[1], seen[1])])
        self.kept.copy_(torch.where(seen != 0, chosen / torch.where(seen != 0, seen, 1.0), 1.0))
        self.low.copy_(chosen[0])
        self.high.copy_(chosen[1])
        self.counter = None


def attach(layer: nn.Module, bits: int = BITS, method: str = "min_max", share: float = PERCENTILE) -> None:
    """Give ``layer`` a quantizer for its input, or set the structure of the one that it has."""
    put(layer, InputQuantizer, bits, method, share)


def put(layer: nn.Module, kind: type[InputQuantizer], bits: int, method: str, share: float = PERCENTILE) -> None:
    """:func:`attach` with a quantizer of a given class; one of another class makes way."""
    found = find(layer)
    if found is not None and type(found) is kind:
        found.configure(bits, method, share)
        return
    detach(layer)
    made = kind(bits, method, share)
    layer.add_module(NAME, made.to(next(layer.parameters()).device))
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
    """Choose every quantizer's range on ``batches`` (inputs, labels), activations in float, and switch it on.

    Ranges that training has begun to learn stay, and are rounded over meanwhile.

    The model runs in eval mode and is left in the mode that it had: once for the ends of the ranges, and once more
    where a histogram is asked for. Without quantizers nothing runs.
    """
    found = (m for m in model.modules() if isinstance(m, InputQuantizer))
    quantizers = [m for m in found if not (m.learned and bool(m.active))]
    if not quantizers:
        return
    training, shown = model.training, list(batches)
    model.eval()
    for quantizer in quantizers:
        quantizer.begin()
    _run(model, quantizers, shown)
    counting = [quantizer for quantizer in quantizers if quantizer.kept is not None]
    for quantizer in counting:
        quantizer.counter = Counter(quantizer.low, quantizer.high)
    if counting:
        _run(model, quantizers, shown)
    for quantizer in quantizers:
        quantizer.settle()
        quantizer.active.fill_(True)
    model.train(training)


def _run(model: nn.Module, quantizers: Sequence[InputQuantizer], batches: Sequence[tuple[Tensor, Tensor]]) -> None:
    for quantizer in quantizers:
        quantizer.observing = True
    with parametrize.cached():
        for inputs, _ in batches:
            model(inputs)
    for quantizer in quantizers:
        quantizer.observing = False


@contextmanager
def paused(model: nn.Module) -> Iterator[None]:
    """No quantizer of 8 bits rounds inside, but those whose range is learned.

    With fewer bits what follows has to reckon with the rounding: it moves the mean of a picture's background.
    """
    found = (m for m in model.modules() if isinstance(m, InputQuantizer) and not m.learned and m.bits == BITS)
    running = [m for m in found if bool(m.active)]
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
