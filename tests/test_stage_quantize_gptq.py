"""GPTQ: against least squares solved anew at every step, all roundings of a small layer, and nearest rounding."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from small_nets import context, data, fresh, outputs, phase, stage
from torch import Tensor, nn

from engine.artifact import runtime, writing
from engine.weights import affine, code
from engine.weights.compensated import Lattice, compensate, inverse_factor
from engine.weights.constraint import shared, trained
from engine.weights.layer_inputs import by_input, second_moments


def problem(seed: int, outputs_: int = 5, inputs: int = 12, rows: int = 200) -> tuple[Tensor, Tensor]:
    """A weight and the second moments [1, K, K] of inputs that go together."""
    torch.manual_seed(seed)
    x = torch.randn(rows, inputs) @ torch.randn(inputs, inputs)
    return torch.randn(outputs_, inputs), (x.T @ x / rows)[None]


def error(weight: Tensor, moments: Tensor, other: Tensor) -> Tensor:
    change = (other - weight).flatten(1).double()
    grouped = change.view(len(moments), -1, change.shape[1])
    return (torch.bmm(grouped, moments.double()) * grouped).sum(2).flatten()


def solved_anew(weight: Tensor, moments: Tensor, scale: Tensor, bits: int, order: list[int]) -> Tensor:
    """The same by definition: after each rounding the best rest is a least-squares problem of its own."""
    h, w = moments[0].double(), weight.double()
    fixed = torch.zeros_like(w)
    for step, column in enumerate(order):
        done, rest = order[:step], order[step:]
        best = w[:, rest]
        if done:
            pull = (fixed - w)[:, done] @ h[done][:, rest]
            best = best - torch.linalg.solve(h[rest][:, rest], pull.T).T
        fixed[:, column] = (best[:, 0] / scale).round().clamp(-affine.limit(bits), affine.limit(bits)) * scale
    return fixed.float()


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_it_is_least_squares_solved_anew_at_every_step(bits: int, act_order: bool) -> None:
    weight, moments = problem(bits)
    lattice = Lattice(bits)
    moved, scale, zero = compensate(weight, moments, lattice, 0.0, act_order)
    size = moments[0].diagonal().argsort(descending=True).tolist()
    expected = solved_anew(weight, moments, scale, bits, size if act_order else list(range(12)))
    found = lattice.rounded(moved, scale, zero)
    nearest = lattice.rounded(weight, scale, None)
    better = error(weight, moments, expected) < error(weight, moments, nearest)
    torch.testing.assert_close(found[better], expected[better])
    assert torch.equal(found[~better], nearest[~better])
    assert int(better.sum()) >= 3


def test_the_factor_is_that_of_the_inverse() -> None:
    _, moments = problem(0)
    upper = inverse_factor(moments, 0.1)[0]
    damped = moments[0].double() + 0.1 * moments[0].double().diagonal().mean() * torch.eye(12)
    torch.testing.assert_close(upper.T @ upper, torch.linalg.inv(damped))
    assert torch.equal(upper, upper.triu())


def test_between_the_best_of_all_roundings_and_the_nearest() -> None:
    for seed in range(5):
        weight, moments = problem(seed, outputs_=3, inputs=5)
        lattice = Lattice(2)
        moved, scale, zero = compensate(weight, moments, lattice, 0.0)
        levels = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=5)))
        least = torch.stack([error(weight, moments, scale[:, None] * row[None]) for row in levels]).amin(0)
        own = error(weight, moments, lattice.rounded(moved, scale, zero))
        assert bool((own >= least - 1e-9).all())
        assert bool((own <= error(weight, moments, lattice.rounded(weight, *lattice.fit(weight)))).all())


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize(
    "lattice",
    [Lattice(3, "tensor"), Lattice(3, "channel", "maximum"), Lattice(3, "group", group=5), Lattice(2, scheme="affine"),
     Lattice(4, "group", scheme="affine", group=8)],
)  # fmt: skip
def test_never_worse_than_nearest_on_every_kind_of_lattice(lattice: Lattice, act_order: bool) -> None:
    gain = 0.0
    for seed in range(4):
        weight, moments = problem(seed, outputs_=6, inputs=23)
        moved, scale, zero = compensate(weight, moments, lattice, 0.01, act_order)
        own = error(weight, moments, lattice.rounded(moved, scale, zero))
        nearest = error(weight, moments, lattice.rounded(weight, *lattice.fit(weight)))
        assert bool((own <= nearest * (1 + 1e-5)).all())
        gain += float(own.sum() / nearest.sum()) / 4
    assert gain < 0.7


def test_inputs_that_have_nothing_to_do_with_each_other_leave_nearest_rounding() -> None:
    weight, _ = problem(0)
    lattice = Lattice(3)
    moved, scale, _ = compensate(weight, torch.diag(torch.rand(12) + 0.1)[None], lattice, 0.01)
    assert torch.equal(moved, weight)
    assert torch.equal(scale, lattice.fit(weight)[0])


def test_inputs_that_never_occur_and_too_few_rows_do_no_harm() -> None:
    weight, moments = problem(0, rows=3)
    moments[:, 4], moments[:, :, 4] = 0.0, 0.0
    for damping in (0.0, 0.01):
        moved, scale, zero = compensate(weight, moments, Lattice(3), damping)
        assert torch.isfinite(moved).all()
        assert bool((error(weight, moments, Lattice(3).rounded(moved, scale, zero)) < 1e3).all())


def test_zeros_stay_zero_and_the_others_make_up_for_them() -> None:
    weight, moments = problem(1)
    weight[:, ::3] = 0.0
    moved, scale, zero = compensate(weight, moments, Lattice(4), 0.0)
    assert bool((moved[:, ::3] == 0).all())
    assert float(error(weight, moments, Lattice(4).rounded(moved, scale, zero)).sum()) > 0


def test_a_grouped_convolution_is_so_many_layers() -> None:
    torch.manual_seed(0)
    layer, batches = nn.Conv2d(4, 6, 3, groups=2), [(torch.randn(8, 4, 9, 9), torch.zeros(8))]
    (moments,) = second_moments(nn.Sequential(layer), [layer], batches)
    weight = layer.weight.detach()
    moved, scale, _ = compensate(weight, moments, Lattice(3), 0.01)
    for part in range(2):
        rows = slice(3 * part, 3 * part + 3)
        own = compensate(weight[rows], moments[part : part + 1], Lattice(3), 0.01)
        assert torch.equal(moved[rows], own[0])
        assert torch.equal(scale[rows], own[1])


def test_layers_change_what_a_network_answers_less_than_nearest_rounding() -> None:
    changes = {"quantize_gptq": 0.0, "quantize_linear": 0.0}
    for seed in range(3):
        model = fresh(seed)
        phase(model, [], epochs=4)
        for name in changes:
            other = copy.deepcopy(model)
            phase(other, [stage(name, bits=3), stage("recalibrate")])
            changes[name] += float((outputs(other) - outputs(model)).square().mean())
    assert changes["quantize_gptq"] < 0.9 * changes["quantize_linear"]


class Tied(nn.Module):
    """A table of words that is the head too, with one layer between."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.middle, self.head = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.middle(self.table(ids))))
        return logits


def test_a_table_shared_with_an_embedding_is_rounded_and_nothing_else() -> None:
    torch.manual_seed(0)
    model = Tied()
    before = model.table.weight.detach().clone()
    one, given = stage("quantize_gptq", bits=3), context()
    given.calibration = [(torch.randint(11, (6, 7)), torch.zeros(6))]
    given.example = given.calibration[0][0]
    one.attach(model, [])
    assert shared(model) == {model.table, model.head}
    one.finish(model, given)
    assert torch.equal(trained(model.table), before)
    assert np.array_equal(code.weight_codes(model)["head"].integers, affine.quantize(before, 3).integers)


def test_layers_that_read_one_tensor_are_measured_together() -> None:
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c, self.a, self.b = (nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.c(self.a(x) + self.b(x))
            return y

    model = Three()
    assert by_input(model, [model.c, model.a, model.b], torch.randn(2, 4)) == [[model.a, model.b], [model.c]]


@pytest.mark.parametrize("knobs", [{}, {"granularity": "group", "group": 16}, {"bits": 3, "scheme": "affine"}])
def test_the_file_computes_what_the_network_computes(knobs: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 4))
    one = stage("quantize_gptq", **knobs)
    one.attach(model, [])
    one.finish(model, context())
    built = writing.build(model, data().inputs[:2])
    found = runtime.predict(runtime.session(built.onnx), data().inputs.numpy())
    np.testing.assert_allclose(found, outputs(model).numpy(), atol=2e-5)
    assert len(built.packed()) < 0.5 * sum(p.numel() * 4 for p in code.bake(model).parameters())
