"""Layers that share weights: one storage, gradients that add up, stored once, refused where nothing repeats."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import small_nets
import torch
from small_nets import fresh, outputs, phase, stage
from torch import nn

from engine.artifact import build, decoder, predict, session, unpack
from engine.artifact.reading import read
from engine.errors import InputError
from engine.home import Home
from engine.measure import cost
from engine.prefix import Trained, load_prefix, save_prefix
from engine.weights import code
from engine.weights.code import bake
from engine.weights.constraint import weight_of
from engine.weights.sharing import alike, tie

FIRST, SECOND = "blocks.2.block.conv", "blocks.3.block.conv"


def shared(epochs: int = 1) -> nn.Module:
    model = fresh(repeats=2)
    phase(model, [stage("share_layers")], epochs=epochs)
    return model.eval()


def test_two_places_hold_one_tensor_also_after_baking() -> None:
    model = shared()
    plain = bake(model)
    for one in (model, plain):
        assert weight_of(one.get_submodule(FIRST)) is weight_of(one.get_submodule(SECOND))
    separate = sum(p.numel() for p in fresh(repeats=2).parameters())
    assert sum(p.numel() for p in model.parameters()) == separate - 8 * 8 * 9
    assert model.blocks[2].block.norm is not model.blocks[3].block.norm


def test_the_gradient_is_the_sum_over_the_places() -> None:
    separate = fresh(repeats=2)
    with torch.no_grad():
        weight_of(separate.get_submodule(SECOND)).copy_(weight_of(separate.get_submodule(FIRST)))
    one = copy.deepcopy(separate)
    tie(one, [FIRST, SECOND])
    data = small_nets.data()
    for model in (separate, one):
        nn.functional.cross_entropy(model.eval()(data.inputs), data.labels).backward()
    both = [weight_of(separate.get_submodule(name)).grad for name in (FIRST, SECOND)]
    torch.testing.assert_close(weight_of(one.get_submodule(FIRST)).grad, both[0] + both[1])


def test_the_mean_of_the_layers_may_be_the_start() -> None:
    model = fresh(repeats=3)
    names = [f"blocks.{i}.block.conv" for i in (2, 3, 4)]
    expected = torch.stack([weight_of(model.get_submodule(n)).detach() for n in names]).mean(0)
    tie(model, names, mean=True)
    torch.testing.assert_close(weight_of(model.get_submodule(names[2])).detach(), expected)


def test_only_layers_that_can_stand_for_each_other_share_and_groups_have_a_size() -> None:
    layers = {
        "a": nn.Conv2d(4, 4, 3), "b": nn.Conv2d(4, 4, 3, stride=2), "c": nn.Conv2d(4, 4, 3), "d": nn.Linear(3, 3),
        "e": nn.Conv2d(4, 4, 3, bias=False), "f": nn.Linear(3, 3), "g": nn.Conv2d(4, 4, 3), "h": nn.Linear(3, 4),
    }  # fmt: skip
    assert alike(layers, 12) == [["a", "c", "g"], ["d", "f"]]
    assert alike(layers, 2) == [["a", "c"], ["d", "f"]]


def test_the_file_holds_the_tensor_once_and_gives_the_same_answers() -> None:
    model, data = shared(), small_nets.data()
    separate = fresh(repeats=2)
    phase(separate, [], epochs=1)
    made, other = build(model, data.inputs[:2]), build(separate.eval(), data.inputs[:2])
    assert unpack(made.packed()) == made.onnx
    np.testing.assert_allclose(predict(session(made.onnx), data.inputs.numpy()), outputs(model).numpy(), atol=1e-4)
    assert len(made.packed()) < len(other.packed()) - 0.7 * 4 * 8 * 8 * 9
    found = read(made.onnx, made.packed())
    assert [layer.name for layer in found.layers].count(FIRST) == 1
    assert SECOND not in [layer.name for layer in found.layers]
    total = sum(layer.packed_bytes for layer in found.layers) + found.other_bytes + found.graph_bytes
    assert total == len(made.packed())
    shapes = {layer.name: layer for layer in read(other.onnx, other.packed()).layers}
    assert next(layer for layer in found.layers if layer.name == FIRST).macs == 2 * shapes[FIRST].macs
    assert cost.macs(model, data.inputs[:1]) == cost.macs(separate, data.inputs[:1])


@pytest.mark.parametrize("later", ["quantize_linear", "quantize_lsq", "quantize_adaround", "share_codebook"])
def test_pruning_and_rounding_after_it_act_on_the_one_tensor(later: str) -> None:
    model = shared()
    settings = {"iterations": 20} if later == "quantize_adaround" else {}
    stages = [stage("prune_magnitude", sparsity=0.5), stage(later, bits=3, **settings)]
    phase(model, stages, epochs=int(later == "quantize_lsq"), number=1)
    model.eval()
    plain, codes = bake(model), code.weight_codes(model)
    assert FIRST in codes
    assert SECOND not in codes
    assert weight_of(plain.get_submodule(FIRST)) is weight_of(plain.get_submodule(SECOND))
    made, inputs = build(model, small_nets.data().inputs[:2]), small_nets.data().inputs
    assert unpack(made.packed()) == made.onnx
    np.testing.assert_allclose(predict(session(made.onnx), inputs.numpy()), outputs(model).numpy(), atol=1e-4)
    index, streams = decoder.contents(made.packed())
    shaped = [stream for stream in streams if stream.size == 8 * 8 * 9]
    assert len(shaped) == 1
    assert index["streams"]


def test_a_kept_prefix_brings_the_sharing_back(tmp_path: Path) -> None:
    model, one = fresh(repeats=2), stage("share_layers")
    plans = phase(model, [one], epochs=1)
    save_prefix(Home(tmp_path), "k" * 32, Trained(model, (tuple(plans[0]),)))
    kept = load_prefix(Home(tmp_path), "k" * 32, fresh(repeats=2), lambda m, p: one.attach(m, list(p[0])))
    assert kept is not None
    assert torch.equal(outputs(kept.model), outputs(model))
    assert weight_of(kept.model.get_submodule(FIRST)) is weight_of(kept.model.get_submodule(SECOND))


def test_it_is_refused_where_nothing_repeats_and_after_pruning() -> None:
    with pytest.raises(InputError, match="residual_23k"):
        phase(fresh(), [stage("share_layers")])
    model = fresh(repeats=2)
    phase(model, [stage("prune_magnitude", sparsity=0.5)])
    with pytest.raises(InputError, match="before what prunes"):
        phase(model, [stage("share_layers")])
