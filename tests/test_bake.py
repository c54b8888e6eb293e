"""Baking a copy must leave the constrained model as it was: they share a class that torch made for both."""

import pytest
import torch
from torch import nn

from engine.errors import InputError
from engine.weights.code import bake
from engine.weights.constraint import Lattice, Mask, Quantizer, add, weight_of


def test_the_original_still_computes_after_a_copy_of_it_was_baked() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).eval()
    for layer in (model[0], model[3]):
        add(layer, Mask(weight_of(layer)))
        quantizer = add(layer, Quantizer(weight_of(layer), 4, "channel", "maximum"))
        quantizer.fit(layer.parametrizations.weight.original)
    x = torch.randn(2, 1, 8, 8)
    before = model(x)
    plain = bake(model)
    assert type(plain[0]) is nn.Conv2d
    assert "weight" in dict(plain[0].named_parameters())
    assert torch.equal(plain(x), before)
    assert torch.equal(model(x), before)


def test_a_layer_has_one_way_of_rounding() -> None:
    class Other(Lattice):
        made_by = "another stage"

    layer = nn.Linear(3, 2)
    add(layer, Quantizer(weight_of(layer), 4, "channel", "maximum"))
    with pytest.raises(InputError, match="another stage after quantize_linear"):
        add(layer, Other())
    add(layer, Mask(weight_of(layer)))
