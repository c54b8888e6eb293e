"""Sparse training: the number of weights stays while places move, by RigL's algorithm worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import small_nets
import torch
from small_nets import context, fresh, phase, stage
from torch import Tensor, nn

from engine.step import Batch, Step
from engine.weights import code
from engine.weights.constraint import original
from engine.weights.regrowth import cosine_share, erdos_renyi, exchange

METHODS = ("rigl", "set", "static", "l1")


def started(method: str, **knobs: object) -> tuple[nn.Module, object, dict[str, Tensor]]:
    """A model under the stage before training, and its masks."""
    model, one = fresh(), stage("train_sparse", method=method, **knobs)
    one.attach(model, [])
    one.prepare(model, context(40))
    return model, one, code.masks(model)


def train(model: nn.Module, one: object, steps: int = 40) -> list[dict[str, Tensor]]:
    """Ordinary steps; the masks after each."""
    optimizer, seen = torch.optim.Adam(model.parameters(), 0.01), []
    (inputs, labels), _ = context().calibration
    rows = Batch(inputs, labels, labels >= 0, labels)
    for number in range(steps):
        step = Step(model, rows, [], optimizer, number, steps)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model.train()(inputs), labels).backward()
        optimizer.step()
        one.after_step(step)  # type: ignore[attr-defined]
        seen.append(code.masks(model))
    return seen


def test_the_exchange_in_a_worked_example() -> None:
    weight = torch.tensor([[0.5, -0.1, 0.0, 0.3, 0.0, 0.0, 9.0, 0.2]])
    mask = torch.tensor([[True, True, False, True, False, False, False, True]])
    allowed = torch.tensor([[True, True, True, True, True, True, False, True]])
    wish = torch.tensor([[7.0, 8.0, 1.0, 9.0, 3.0, 2.0, 10.0, 6.0]])
    made, grown = exchange(mask, allowed, weight, wish, 0.5)
    # the two smallest kept are -0.1 and 0.2; of the free places 2, 4 and 5 the wishes 3 and 2 are the largest
    assert made.tolist() == [[True, False, False, True, True, True, False, False]]
    assert grown.nonzero()[:, 1].tolist() == [4, 5]


def test_densities_by_erdos_and_renyi() -> None:
    shapes = {"a": (100, 100), "b": (10, 100), "c": (2, 2)}
    kept = erdos_renyi(shapes, 0.8)
    assert kept["c"] == 4, "a layer cannot keep more than it has"
    assert sum(kept.values()) == pytest.approx(0.2 * 11_004, abs=2)
    # density of the others in proportion to (n + m) / (n m), that is numbers kept in proportion to n + m
    assert kept["a"] / kept["b"] == pytest.approx(200 / 110, rel=1e-2)
    assert erdos_renyi(shapes, 0.0) == {"a": 10_000, "b": 1000, "c": 4}


def test_the_share_falls_along_half_a_cosine() -> None:
    assert [cosine_share(p, 0.3, 0.75) for p in (0.0, 0.375, 0.75, 1.0)] == pytest.approx([0.3, 0.15, 0, 0], abs=1e-12)


@pytest.mark.parametrize("method", ["rigl", "set", "static"])
def test_places_move_and_their_number_stays(method: str) -> None:
    model, one, first = started(method, sparsity=0.7)
    seen = train(model, one)
    for name, mask in first.items():
        assert {int(m[name].sum()) for m in seen} == {int(mask.sum())}
    total = sum(m.numel() for m in first.values())
    assert sum(int(m.sum()) for m in first.values()) == pytest.approx(0.3 * total, abs=3)
    moved = any(not torch.equal(seen[-1][n], m) for n, m in first.items())
    assert moved == (method != "static")
    assert all(torch.equal(seen[30][n], seen[-1][n]) for n in first), "none moves in the last quarter"


def test_rigl_takes_the_places_of_largest_gradient_as_an_independent_way_finds_them() -> None:
    model, one, first = started("rigl", sparsity=0.6, exchanges=40)
    optimizer = torch.optim.SGD(model.parameters(), 0.0, momentum=0.9)
    (inputs, labels), _ = context().calibration
    plain = code.bake(model).train()  # without masks every weight has its gradient
    nn.functional.cross_entropy(plain(inputs), labels).backward()
    nn.functional.cross_entropy(model.train()(inputs), labels).backward()
    optimizer.step()
    one.after_step(Step(model, Batch(inputs, labels, labels, labels), [], optimizer, 1, 40))  # type: ignore[attr-defined]
    for name, before in first.items():
        layer = plain.get_submodule(name)
        weight, gradient = layer.weight.detach().numpy().ravel(), layer.weight.grad.numpy().ravel()
        kept = before.numpy().ravel()
        count = min(round(0.15 * (1 + math.cos(math.pi / 40 / 0.75)) * kept.sum()), int((~kept).sum()))
        order = np.argsort(np.where(kept, np.abs(weight), np.inf), kind="stable")[:count]
        grow = np.argsort(np.where(kept, np.inf, -np.abs(gradient)), kind="stable")[:count]
        expected = kept.copy()
        expected[order], expected[grow] = False, True
        assert np.array_equal(code.masks(model)[name].numpy().ravel(), expected), name
        now = original(model.get_submodule(name))
        assert (now.detach().numpy().ravel()[grow] == 0).all()
        assert (optimizer.state[now]["momentum_buffer"].numpy().ravel()[grow] == 0).all()


def test_what_an_earlier_stage_has_masked_does_not_come_back() -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.5)])
    before = code.masks(model)
    for method in METHODS:
        phase(model, [stage("train_sparse", method=method, sparsity=0.7)], epochs=2, number=1)
        assert all(bool((before[n] | ~m).all()) for n, m in code.masks(model).items())
    assert not any(m._forward_hooks for m in model.modules())


def test_l1_pulls_towards_zero_and_cuts_exactly() -> None:
    sums = {}
    for strength in (0.0, 0.1):
        model = fresh()
        phase(model, [stage("train_sparse", method="l1", sparsity=0.5, strength=strength)], epochs=3)
        masks = code.masks(model)
        assert sum(int((~m).sum()) for m in masks.values()) == round(0.5 * sum(m.numel() for m in masks.values()))
        sums[strength] = sum(float(original(model.get_submodule(n)).detach().abs().sum()) for n in masks)
    assert sums[0.1] < 0.75 * sums[0.0]
    model, one, _ = started("l1", strength=0.1)
    expected = 0.1 * sum(float(model.get_submodule(n).weight.detach().abs().sum()) for n in code.masks(model))
    assert float(one.penalty(model).detach()) == pytest.approx(expected, rel=1e-5)  # type: ignore[attr-defined]
    assert small_nets.stage("train_sparse").penalty(model) == 0.0
