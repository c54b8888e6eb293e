"""Keys and values of attention rounded to few bits, as a cache would hold them."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.errors import InputError
from engine.knobs import knob
from engine.modalities import TOKENS
from engine.registry import register
from engine.stages._base import Stage, StageContext
from engine.stages._transformer import STUDENTS
from engine.weights import cache
from engine.weights.attention import attentions


@register
@dataclass(frozen=True)
class QuantizeKVCache(Stage):
    """A quantizer behind every layer that makes keys or values."""

    name = "quantize_kv_cache"
    title = "Few bits for keys and values (KV cache)"
    help = (
        "While a language model writes, it keeps keys and values of all tokens so far; for long texts this cache "
        "outgrows the weights. Here both are rounded to few bits. The file computes with the rounded numbers in float: "
        "it shows what this costs in quality; memory that a cache of integers saves is counted, not measured."
    )
    formula = (
        r"\hat x = s\,\mathrm{round}\!\left(\frac{x - \min}{s}\right) + \min,\quad s = \frac{\max - \min}{2^b - 1}\quad"
        r"\text{over a channel (keys) or a token's head (values)}"
    )
    source = (
        "Liu et al. 2024 (KIVI), arXiv:2402.02750, eq. 1 and section 3.2; ranges of channels from calibration: Hooper "
        "et al. 2024, arXiv:2401.18079"
    )
    expect = (
        "In gpt_2 8 bits cost nothing and 4 bits 0.001 bits a character. At 2 bits keys by channel, the source's way, "
        "cost 0.028 and by token 0.009 (three seeds): without outliers in its keys, small ranges beat steady ones, at "
        "the price of more scales to keep."
    )
    order = "quantizer"
    modalities = (TOKENS,)

    cache_bits: int = knob(4, 2, 8, help="Bits for each number of a key or a value.")
    key_ranges: str = knob(
        cache.CHANNEL,
        choices=cache.KINDS,
        help="What shares a range: a channel, on calibration texts, or a head's numbers at one token.",
    )
    value_ranges: str = knob(cache.TOKEN, choices=cache.KINDS, help="The same for values.")

    def attach(self, model: nn.Module, plan: list[Any]) -> None:
        """A quantizer on each layer for keys and values that ``layers`` names."""
        found = attentions(model)
        if not found:
            raise InputError(self.name, type(model).__name__, STUDENTS)
        for attention in found:
            for kind, path, layer in (
                (self.key_ranges, attention.layers[1], attention.key),
                (self.value_ranges, attention.layers[2], attention.value),
            ):
                if fnmatch.fnmatchcase(path, self.layers):
                    cache.attach(layer, layer.out_features, attention.size, self.cache_bits, kind)

    def finish(self, model: nn.Module, context: StageContext) -> None:
        """Measure the ranges of channels and round from now on, in later phases that train as well."""
        cache.calibrate(model, context.calibration)
