"""Factored layers are ordinary layers to everything that comes after: stages, files, kept prefixes, taps."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from factor_tools import applied, images, model_of, small_context
from small_nets import fresh, phase, stage
from torch import Tensor, nn

from engine import artifact, registry
from engine.artifact.decoder import decode
from engine.artifact.reading import read
from engine.home import Home
from engine.measure.cost import macs
from engine.prefix import Trained, load_prefix, save_prefix
from engine.stages._base import Stage
from engine.taps import TapReader
from engine.weights import code

FACTORS = ("factor_low_rank", "factor_depthwise")


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_it_goes_with_channels_masks_integers_and_recalibration(factor: str, first: bool) -> None:
    torch.manual_seed(0)
    model = registry.get("models", "plain_5k").make()
    x = images(64, 1, 28, 28)
    given = small_context(x)
    given.calibration = [(x, torch.zeros(64, dtype=torch.long))]
    shapes = [stage(factor), stage("prune_channels", sparsity=0.25)]
    rest = [stage("prune_magnitude", sparsity=0.5), stage("quantize_linear", bits=4), stage("recalibrate")]
    for one in (*(shapes if first else shapes[::-1]), *rest):
        one.attach(model, one.plan(model, given))
        one.prepare(model, given)
        one.finish(model, given)
    codes = code.weight_codes(model)
    assert {"blocks.2.conv.0", "blocks.2.conv.1"} <= codes.keys()
    assert all(c.bits == 4 for c in codes.values())
    assert model.eval()(x).shape == (64, 10)
    check_files(model, x)


def check_files(model: nn.Module, x: Tensor, tolerance: float = 1e-4) -> artifact.Built:
    """The artifact answers what the model does, holds no norm, and its packed file is that very file."""
    built = artifact.build(model, x[:2])
    found = artifact.predict(artifact.session(built.onnx), x.numpy(), 32)
    with torch.no_grad():
        expected = model.eval()(x).numpy()
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()
    assert decode(built.packed()) == built.onnx
    assert b"BatchNormalization" not in built.onnx
    return built


@pytest.mark.parametrize("bits", [None, 8, 3])
@pytest.mark.parametrize(
    "one", [stage("factor_low_rank", form="spatial"), stage("factor_low_rank"), stage("factor_depthwise", multiplier=2)]
)
def test_the_files_hold_both_layers_with_the_norm_in_the_second(one: Stage, bits: int | None) -> None:
    model, x = model_of("plain_5k"), images(64, 1, 28, 28)
    with torch.no_grad():
        model.train()(x)
    applied(one, model)
    if bits:
        given = small_context(x)
        given.calibration = [(x, torch.zeros(64, dtype=torch.long))]
        quantize = stage("quantize_linear", bits=bits)
        quantize.attach(model, [])
        quantize.finish(model, given)
    built = check_files(model.eval(), x, 0.1 if bits == 8 else 1e-4)
    layers = {row.name: row for row in read(built.onnx, built.packed()).layers}
    assert {"blocks.1.conv.0", "blocks.1.conv.1"} <= layers.keys()
    assert "blocks.1.conv" not in layers
    if one.name == "factor_depthwise":
        assert (layers["blocks.1.conv.0"].kind, layers["blocks.1.conv.1"].kind) == ("depthwise", "pointwise")
    assert sum(row.macs for row in layers.values()) == macs(code.bake(model), x)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_kept_prefix_is_read_back(factor: str, home: Home) -> None:
    model, one = model_of("plain_5k").train(), stage(factor)
    plan = applied(one, model)
    model(images(8, 1, 28, 28))
    save_prefix(home, "k", Trained(model, (tuple(plan),)))
    kept = load_prefix(home, "k", model_of("plain_5k"), lambda m, plans: one.attach(m, list(plans[0])))
    assert kept is not None
    assert list(kept.plans[0]) == plan
    x = images(8, 1, 28, 28)
    assert torch.equal(kept.model.eval()(x), model.eval()(x))


def test_inner_tensors_keep_their_places_and_shapes() -> None:
    """Losses on inner layers read by the names of the model; a factored layer answers to its own name too."""
    model, x = model_of("plain_5k"), images(2, 1, 28, 28)
    paths = {**registry.get("models", "plain_5k").taps, "itself": "blocks.1.conv"}
    with TapReader(model, paths) as reader:
        before = {name: t.shape for name, t in reader(x).taps.items()}
    applied(stage("factor_depthwise"), model)
    with TapReader(model, paths) as reader:
        assert {name: t.shape for name, t in reader(x).taps.items()} == before


def test_a_factored_layer_can_be_factored_again() -> None:
    model = model_of("plain_29k")
    dense = copy.deepcopy(model)
    applied(stage("factor_low_rank", keep=0.5, layers="blocks.*"), model)
    rows = applied(stage("factor_depthwise"), model)
    assert [r["layer"] for r in rows] == ["blocks.1.conv.0", "blocks.2.conv.0"]
    assert model(images(2, 1, 28, 28)).shape == dense(images(2, 1, 28, 28)).shape


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_larger_networks_are_factored_too(name: str) -> None:
    model = model_of(name)
    count = sum(p.numel() for p in model.parameters())
    plan = applied(stage("factor_low_rank", keep=0.1, layers="*.1.*"), model)
    assert plan
    saved = sum(r["before"] - r["after"] for r in plan)
    assert sum(p.numel() for p in model.parameters()) == count - saved
    assert model(images(2, 1, 28, 28)).shape == (2, 10)


def test_a_twin_trained_by_hand_gives_the_same_as_the_stage() -> None:
    """The stage's pair equals numpy's SVD, up to the split of the scale."""
    model, dense = fresh(), fresh()
    phase(model, [stage("factor_low_rank", keep=0.5, layers="head")])
    u, s, v = np.linalg.svd(dense.head.weight.detach().numpy(), full_matrices=False)
    product = model.head[1].weight @ model.head[0].weight
    np.testing.assert_allclose(product.detach().numpy(), (u[:, :2] * s[:2]) @ v[:2], atol=1e-5)
    assert torch.equal(model.head[1].bias, dense.head.bias)
    assert model.head[0].bias is None
