"""Multiply-accumulates of a forward: in convolutions, linear layers, recurrent ones, and between two activations.

Attention multiplies queries by keys and weights by values, which no layer's weights tell: such products are seen where
torch is asked for them. Looking up a row of a table is no product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.RNNBase)


@torch.no_grad()
def macs(model: nn.Module, example: Tensor) -> int:
    """Multiply-accumulates of one example, shapes as they are after narrowing.

    Zeros in a dense kernel count: ONNX Runtime multiplies by them all the same. So does padding, and what a mask hides
    from attention.
    """
    counted = _Counter()
    handles = [m.register_forward_hook(counted.layer) for m in model.modules() if isinstance(m, LAYERS)]
    training = model.training
    try:
        with counted:
            model.eval()(example[:1])
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    return counted.total


class _Counter(TorchFunctionMode):
    """Counts what hooks on layers and calls of torch's functions say."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def layer(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        """A forward hook for convolutions and recurrent layers."""
        if isinstance(module, nn.RNNBase):
            weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight_"))
            self.total += weights * output[0].shape[int(module.batch_first)]  # every weight is used once a step
        else:
            weight = module.weight
            self.total += output[0].numel() * (weight[0].numel() if isinstance(weight, Tensor) else 0)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """A call of one of torch's functions inside the forward."""
        found = func(*args, **(kwargs or {}))
        count = PRODUCTS.get(func)
        if count is not None:
            self.total += count(found, *args[:3])
        return found


def _linear(found: Tensor, _inputs: Tensor, weight: Tensor, *_: Any) -> int:
    return found.numel() * weight.shape[-1]


def _product(found: Tensor, left: Tensor, *_: Any) -> int:
    return found.numel() * left.shape[-1]


def _attention(found: Tensor, query: Tensor, key: Tensor, value: Tensor) -> int:
    """Queries [..., T, d] by keys [..., S, d], and the [..., T, S] by values [..., S, e]."""
    pairs = math.prod(found.shape[:-1]) * key.shape[-2]
    return int(pairs * (query.shape[-1] + value.shape[-1]))


def _einsum(_found: Tensor, equation: str, *operands: Any) -> int:
    """As many as there are combinations of all indices (of two operands, without an ellipsis)."""
    terms = equation.split("->")[0].replace(" ", "").split(",")
    sizes = {index: size for term, x in zip(terms, operands, strict=True)
             for index, size in zip(term, x.shape, strict=True)}  # fmt: skip
    return math.prod(sizes.values())


PRODUCTS: dict[Any, Callable[..., int]] = {
    nn.functional.linear: _linear,
    nn.functional.scaled_dot_product_attention: _attention,
    torch.einsum: _einsum,
    **dict.fromkeys((torch.matmul, torch.bmm, torch.mm), _product),
    **dict.fromkeys((torch.Tensor.matmul, torch.Tensor.bmm, torch.Tensor.mm, torch.Tensor.__matmul__), _product),
}
