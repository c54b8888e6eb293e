"""A first convolution in groups of pixels: the same answers to the bit, the same file of weights, longer runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from test_runtimes import quantized
from torch import nn

from engine import artifact
from engine.artifact import decoder, predict, session, stem
from engine.artifact.reading import read


def pixels(channels: int, size: int, count: int = 16) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def net(channels: int, kernel: int, padding: int, stride: int = 2, groups: int = 1, biased: bool = False) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(channels, 8, kernel, stride, padding, bias=biased, groups=groups), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def both(model: nn.Module, inputs: torch.Tensor, bits: int = 8) -> tuple[artifact.Built, artifact.Built]:
    """The artifact, and the one that is written without the rewriting."""
    with torch.no_grad():
        model.train()(inputs)
    made = quantized(model.eval(), bits, inputs)
    grouped = artifact.build(made, inputs[:2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stem, "group_pixels", lambda *_: None)
        return grouped, artifact.build(made, inputs[:2])


def answers(built: artifact.Built, inputs: torch.Tensor) -> np.ndarray:
    return predict(session(built.onnx), inputs.numpy())


GROUPED = [(3, 7, 3, 32), (3, 7, 2, 33 - 1), (3, 5, 2, 16), (3, 6, 2, 16), (1, 5, 2, 20), (4, 7, 3, 12), (2, 5, 1, 16)]


@pytest.mark.parametrize(("channels", "kernel", "padding", "size"), GROUPED)
def test_the_answers_are_the_same_to_the_bit(channels: int, kernel: int, padding: int, size: int) -> None:
    inputs = pixels(channels, size)
    grouped, ordinary = both(net(channels, kernel, padding, biased=channels == 2), inputs)
    outputs = (size + 2 * padding - kernel) // 2 + 1
    assert (grouped.onnx != ordinary.onnx) is (outputs == size // 2)
    assert np.array_equal(answers(grouped, inputs), answers(ordinary, inputs))
    assert np.ptp(answers(grouped, inputs)) > 0


@pytest.mark.parametrize("model", [
    net(3, 3, 1), net(3, 7, 3, stride=1), net(8, 7, 3), net(4, 7, 3, groups=2),
    nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), *net(3, 7, 3)),
], ids=["small kernel", "stride 1", "many channels", "in groups", "not on pixels"])  # fmt: skip
def test_others_stay_as_they_are(model: nn.Module) -> None:
    grouped, ordinary = both(model, pixels(next(model.parameters()).shape[1] * model[0].groups, 16))
    assert grouped.onnx == ordinary.onnx


def test_columns_that_do_not_divide_stay_as_they_are() -> None:
    grouped, ordinary = both(net(3, 7, 3), pixels(3, 18))
    assert grouped.onnx == ordinary.onnx


def test_floats_stay_as_they_are() -> None:
    grouped, ordinary = both(net(3, 7, 3), pixels(3, 16), bits=4)
    assert grouped.onnx == ordinary.onnx


def test_integers_are_stored_as_they_were_and_read_as_before() -> None:
    inputs = pixels(3, 32)
    grouped, ordinary = both(net(3, 7, 3), inputs)
    held = [{t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(b.onnx).graph.initializer}
            for b in (grouped, ordinary)]  # fmt: skip
    assert held[0].keys() == held[1].keys()
    assert all(np.array_equal(held[0][n], held[1][n]) for n in held[0])
    assert decoder.decode(grouped.packed()) == grouped.onnx
    assert len(grouped.packed()) < len(ordinary.packed()) + 1000
    told = [read(b.onnx, b.packed(), {"0": 8, "3": 8, "8": 8}).layers for b in (grouped, ordinary)]
    for mine, other in zip(*told, strict=True):
        names = ("name", "kind", "shape", "parameters", "nonzero", "bits", "macs")
        assert [getattr(mine, n) for n in names] == [getattr(other, n) for n in names]
    assert (grouped.conversions, grouped.simulated) == (ordinary.conversions, ordinary.simulated)


def test_the_runtime_rearranges_at_loading_and_not_at_each_call(tmp_path: Path) -> None:
    grouped, _ = both(net(3, 7, 3), pixels(3, 32))
    path = tmp_path / "optimized.onnx"
    session(grouped.onnx, optimized_model_filepath=str(path))
    found = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert found["QLinearConv"] == 2
    assert not {"Pad", "Concat", "Conv"} & set(found)
    assert found["Transpose"] <= 2, "one to channels last, one back"
