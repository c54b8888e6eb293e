"""Multiply-accumulates of models that are more than layers: attention, recurrence, tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from text_tools import texts
from torch import Tensor, nn
from torch.nn import functional as F

from engine.measure.products import macs
from sample_models import bag, bert, lstm

TOKENS, WIDTH, WORDS = 16, 12, 64


def test_a_transformer_by_hand() -> None:
    layers, width = 3, 16
    each = 4 * TOKENS * width**2 + 2 * TOKENS * 4 * width**2 + 2 * TOKENS**2 * width
    expected = layers * each + width * 2
    assert macs(bert.make(WORDS, 2, layers, width), texts(5, tokens=TOKENS).inputs) == expected


@pytest.mark.parametrize(
    ("made", "gates"),
    [
        (lambda: nn.LSTM(WIDTH, 10, batch_first=True), 4),
        (lambda: nn.LSTM(WIDTH, 10), 4),
        (lambda: nn.GRU(WIDTH, 10, batch_first=True, num_layers=1), 3),
    ],
)
def test_a_recurrent_layer_uses_its_weights_once_a_step(made: Callable[[], nn.Module], gates: int) -> None:
    layer = made()
    example = torch.rand(1, TOKENS, WIDTH)
    if not getattr(layer, "batch_first", True):

        class Turned(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = layer

            def forward(self, x: Tensor) -> Tensor:
                found: Tensor = self.inner(x.transpose(0, 1))[0]
                return found

        assert macs(Turned(), example) == TOKENS * gates * 10 * (WIDTH + 10)
    else:
        assert macs(layer, example) == TOKENS * gates * 10 * (WIDTH + 10)


def test_looking_up_is_no_product() -> None:
    assert macs(bag.BagClassifier(WORDS, 3, 8), texts(2).inputs) == 3 * 8
    assert macs(lstm.LstmClassifier(WORDS, 3, 8), texts(2, tokens=TOKENS).inputs) == TOKENS * 4 * 8 * 16 + 3 * 8


class Asked(nn.Module):
    """One product in different words."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        left, right = x, x.transpose(-1, -2)
        ways: dict[str, Callable[[], Tensor]] = {
            "operator": lambda: left @ right,
            "matmul": lambda: torch.matmul(left, right),
            "method": lambda: left.matmul(right),
            "bmm": lambda: torch.bmm(left, right),
            "einsum": lambda: torch.einsum("btd,bsd->bts", left, left),
            "attention": lambda: F.scaled_dot_product_attention(left, left, left),
            "scores": lambda: torch.softmax(left @ right, -1) @ left,
        }
        return ways[self.how]()


@pytest.mark.parametrize("how", ["operator", "matmul", "method", "bmm", "einsum", "attention", "scores"])
def test_products_of_activations_however_they_are_asked_for(how: str) -> None:
    twice = how in ("attention", "scores")
    assert macs(Asked(how), torch.rand(3, TOKENS, WIDTH)) == TOKENS**2 * WIDTH * (1 + twice)


def test_it_leaves_the_model_as_it_was() -> None:
    model = bert.make(WORDS, 2, 1, 16).train()
    macs(model, texts(2).inputs)
    assert model.training
    assert not any(m._forward_hooks for m in model.modules())
