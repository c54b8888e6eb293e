"""PACT: the clip, its gradient and its penalty in closed form; a ceiling that is learned, kept and written."""

from __future__ import annotations

import numpy as np
import pytest
import small_nets
import torch
from small_nets import fresh, phase, stage
from torch import nn

from engine import artifact
from engine.artifact import decoder, predict, session
from engine.errors import InputError
from engine.recipe import Recipe
from engine.stages.quantize_pact import QuantizePact
from engine.weights import code, inputs
from engine.weights.clipping import LearnedClip


def clip(alpha: float, bits: int = 2) -> LearnedClip:
    made = LearnedClip(bits)
    with torch.no_grad():
        made.high.fill_(alpha)
    made.active.fill_(True)
    return made


def clips(model: nn.Module) -> dict[str, LearnedClip]:
    return {n: m for n, m in model.named_modules() if isinstance(m, LearnedClip)}


def test_it_is_the_papers_formula() -> None:
    x = torch.linspace(-1, 5, 601)
    alpha, bits = 3.0, 3
    y = 0.5 * (x.abs() - (x - alpha).abs() + alpha)
    expected = torch.round(y * (2**bits - 1) / alpha) * alpha / (2**bits - 1)
    torch.testing.assert_close(clip(alpha, bits)(x).detach(), expected)


def test_the_gradient_of_alpha_is_one_from_alpha_on_and_zero_below() -> None:
    made = clip(2.0)
    x = torch.tensor([-1.0, -0.1, 0.4, 1.99, 2.0, 2.5, 9.0], requires_grad=True)
    made(x).backward(torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]))
    assert made.high.grad == 16 + 32 + 64
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 0.0, 4.0, 8.0, 0.0, 0.0, 0.0]


def test_the_gradient_of_the_penalty_is_twice_lambda_times_alpha() -> None:
    model, one = fresh(), stage("quantize_pact", strength=0.03)
    one.attach(model, [])
    one.prepare(model, small_nets.context(10))
    found = one.penalty(model)
    levels = [c.high for c in clips(model).values()]
    assert len(levels) == 4
    assert found.item() == pytest.approx(0.03 * sum(a.item() ** 2 for a in levels), rel=1e-6)
    found.backward()
    for alpha in levels:
        assert alpha.grad is not None
        assert float(alpha.grad) == pytest.approx(2 * 0.03 * alpha.item(), rel=1e-6)


def test_ceilings_are_learned_and_a_stronger_pull_makes_them_lower() -> None:
    sums = []
    for strength in (0.0, 1.0):
        model, one = fresh(), stage("quantize_pact", strength=strength)
        one.attach(model, [])
        one.prepare(model, small_nets.context(36))
        before = {n: float(c.high) for n, c in clips(model).items()}
        phase(model, [one], epochs=3)
        after = {n: float(c.high) for n, c in clips(model).items()}
        assert all(after[n] != before[n] and after[n] > 0 for n in before)
        sums.append(sum(after.values()))
    assert sums[1] < 0.95 * sums[0]


def test_recalibration_keeps_what_was_learned() -> None:
    model = fresh()
    phase(model, [stage("quantize_pact", bits=4, activation_bits=3)], epochs=2)
    before = {n: float(c.high) for n, c in clips(model).items()}
    phase(model, [stage("recalibrate")], number=1)
    assert {n: float(c.high) for n, c in clips(model).items()} == before
    assert {c.bits for c in code.input_codes(model).values()} == {3}
    assert {c.bits for c in code.weight_codes(model).values()} == {4}


def test_the_lower_end_is_zero_behind_a_relu_and_what_was_seen_elsewhere() -> None:
    model = fresh()
    phase(model, [stage("quantize_pact")], epochs=1)
    low = {n: float(c.low) for n, c in clips(model).items()}
    assert low.pop("blocks.0.conv.input_quantizer") < 0, "pictures are normalised"
    assert low["head.input_quantizer"] == 0


@pytest.mark.parametrize("activation_bits", [2, 4, 8])
def test_the_file_answers_as_the_network(activation_bits: int) -> None:
    model = fresh()
    phase(model, [stage("prune_magnitude", sparsity=0.5),
                  stage("quantize_pact", activation_bits=activation_bits)], epochs=2)  # fmt: skip
    built = artifact.build(model, small_nets.data().inputs[:2])
    assert built.simulated
    assert decoder.decode(built.packed()) == built.onnx
    found = predict(session(built.onnx), small_nets.data().inputs.contiguous().numpy())
    expected = small_nets.outputs(model).numpy()
    close = np.abs(found - expected).max(1) < 1e-4
    # eight bits run in integers, as they do for quantize_linear; else few images lie on an edge between two levels
    assert close.mean() >= 0.95 or activation_bits == 8
    assert np.abs(found - expected).max() < 0.3 * np.abs(expected).max()
    assert all(not isinstance(m, LearnedClip) for m in code.bake(model).modules())


def test_training_under_a_learned_clip_repairs_what_rounding_broke() -> None:
    dense = fresh()
    phase(dense, [], epochs=6)
    state, losses = dense.state_dict(), {}
    for name, stages, epochs in (
        ("post", [stage("quantize_linear", bits=2, activation_bits=2)], 0),
        ("pact", [stage("quantize_pact", bits=2, activation_bits=2)], 3),
    ):
        model = fresh()
        model.load_state_dict(state)
        phase(model, stages, epochs, number=1)
        losses[name] = float(nn.functional.cross_entropy(small_nets.outputs(model), small_nets.data().labels))
    assert losses["pact"] < 0.7 * losses["post"]


def test_another_stage_takes_the_place_of_a_learned_clip_and_back() -> None:
    model = fresh()
    phase(model, [stage("quantize_pact", bits=8)], epochs=1)
    phase(model, [stage("quantize_linear", bits=8)], number=1)
    assert not clips(model)
    assert {c.bits for c in code.input_codes(model).values()} == {8}
    phase(model, [stage("quantize_pact")], epochs=1, number=2)
    head = model.get_submodule("head")
    assert len(clips(model)) == 4
    assert len(head._forward_pre_hooks) == 1
    inputs.detach(head)
    assert len(clips(model)) == 3


def test_it_needs_epochs() -> None:
    phases = [{"epochs": 1}, {"epochs": 0, "stages": ["quantize_pact"]}]
    with pytest.raises(InputError, match="at least 1 with quantize_pact"):
        Recipe.from_json({"task": "fashion_mnist", "student": "plain_1k5", "phases": phases})
    assert QuantizePact.name == "quantize_pact"
