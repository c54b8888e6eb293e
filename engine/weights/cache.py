"""Rounding keys and values of attention, as a cache of them that holds few bits would.

Asymmetric, as in KIVI: ``q = round((x - low) / s)``, ``s = (high - low) / (2^bits - 1)``, and ``q s + low`` is what
attention reads. *Per token*: low and high of each head's numbers at one place. *Per channel*: of each channel over
calibration texts, known before any text is read; so a place is rounded alike whatever comes after it, in a pass over
a whole text as in one that goes token by token. Source: Liu et al. 2024, KIVI, arXiv:2402.02750, equation 1 and section
3.2 (there low and high of a channel are those of the last few tokens, kept in float until then); ranges of channels
from calibration: Hooper et al. 2024, KVQuant, arXiv:2401.18079, section 3.5.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from engine.weights.attention import attentions

NAME = "cache_quantizer"
TOKEN, CHANNEL = "token", "channel"
KINDS = (TOKEN, CHANNEL)
FLOAT, RANGE = 4, 2 * 2  # bytes of a number in float32, and of low and scale in half precision


class CacheQuantizer(nn.Module):
    """Rounds what a layer gives, [..., D], heads of ``size`` numbers one after the other, once ``active``.

    ``bits``, ``kind`` and ``size`` are structure; ``low`` and ``high`` [D] are state, used per channel only.
    """

    low: Tensor
    high: Tensor
    active: Tensor

    def __init__(self, width: int, size: int, bits: int, kind: str) -> None:
        super().__init__()
        self.bits, self.kind, self.size, self.observing = bits, kind, size, False
        for name in ("low", "high"):
            self.register_buffer(name, torch.zeros(width))
        self.register_buffer("active", torch.zeros((), dtype=torch.bool))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` as it comes back from the cache; the gradient passes straight through."""
        if self.observing:
            self.observe(x.detach())
            return x
        if not self.active:
            return x
        value = self.rounded(x.detach())
        # a graph that is exported has no use for the zero that carries the gradient
        return value if torch.onnx.is_in_onnx_export() else value + (x - x.detach())

    def rounded(self, x: Tensor) -> Tensor:
        """``x`` on its levels."""
        if self.kind == CHANNEL:
            return self._levels(x, self.low, self.high)
        heads = x.reshape(*x.shape[:-1], -1, self.size)  # not unflatten: an exported graph would fix the batch
        return self._levels(heads, heads.amin(-1, keepdim=True), heads.amax(-1, keepdim=True)).reshape(*x.shape)

    def _levels(self, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        top = (1 << self.bits) - 1
        scale = ((high - low) / top).clamp(min=1e-12)
        return torch.round((x - low) / scale).clamp(0, top) * scale + low

    def observe(self, x: Tensor) -> None:
        """Widen every channel's range to what ``x`` holds."""
        rows = x.flatten(0, -2)
        self.low.copy_(torch.minimum(self.low, rows.amin(0)))
        self.high.copy_(torch.maximum(self.high, rows.amax(0)))


def attach(layer: nn.Module, width: int, size: int, bits: int, kind: str) -> None:
    """Round what ``layer`` gives; one that rounds already keeps the fewer bits."""
    before = find(layer)
    if before is None:
        layer.register_forward_hook(_round_output)
    made = CacheQuantizer(width, size, bits if before is None else min(bits, before.bits), kind)
    layer.add_module(NAME, made.to(next(layer.parameters()).device))


def find(layer: nn.Module) -> CacheQuantizer | None:
    """``layer``'s quantizer, if it has one."""
    return cast("CacheQuantizer | None", layer._modules.get(NAME))


@torch.no_grad()
def calibrate(model: nn.Module, batches: Any) -> None:
    """Take the ranges of channels from ``batches`` (inputs, labels), keys and values in float, and switch all on."""
    found = [m for m in model.modules() if isinstance(m, CacheQuantizer)]
    training = model.training
    model.eval()
    for quantizer in found:
        quantizer.low.fill_(torch.inf)
        quantizer.high.fill_(-torch.inf)
        quantizer.observing = True
    for inputs, _ in batches:
        model(inputs)
    for quantizer in found:
        quantizer.observing = False
        quantizer.active.fill_(True)
    model.train(training)


def bytes_per_token(model: nn.Module) -> float:
    """Bytes that keys and values of one token take in the cache, of all layers together.

    Integers of ``bits``, and per token a low and a scale of half precision for each head; float32 where nothing is
    rounded. What channels share is not counted: it does not grow with the text.
    """
    total = 0.0
    for attention in attentions(model):
        for layer in (attention.key, attention.value):
            quantizer = find(layer)
            if quantizer is None or not bool(quantizer.active):
                total += FLOAT * layer.out_features
                continue
            total += layer.out_features * quantizer.bits / 8
            total += RANGE * (layer.out_features // quantizer.size) * (quantizer.kind == TOKEN)
    return total


# a function of the module, not a closure: deepcopy then binds it to the copy's own quantizer
def _round_output(layer: nn.Module, _: Any, output: Tensor) -> Tensor:
    quantizer = find(layer)
    return output if quantizer is None else quantizer(output)
