"""Factored layers: nearest to what was there, no larger, and ordinary layers to everything that comes after."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from factor_tools import applied, images, model_of, small_context
from small_nets import fresh, outputs, phase, stage
from torch import Tensor, nn

from engine.errors import InputError
from engine.measure.cost import macs
from engine.recipe import Recipe
from engine.stages._base import Stage
from engine.weights.factor import full_rank, matrix_of


class Odd(nn.Module):
    """Strides, borders, dilation, biases, a layer used twice, groups: [B, 1, 16, 12] -> logits [B, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, padding=1)
        self.wide = nn.Conv2d(6, 8, (3, 5), stride=(2, 1), padding=(1, 2))
        self.spread = nn.Conv2d(8, 8, 3, padding=2, dilation=2, bias=False)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.twice = nn.Linear(8, 8)
        self.again = self.twice
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = self.spread(torch.relu(self.wide(torch.relu(self.stem(x)))))
        x = torch.relu(self.grouped(x)).mean((2, 3))
        logits: Tensor = self.head(torch.relu(self.again(torch.relu(self.twice(x)))))
        return logits


def odd(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return Odd().eval()


def whole_rank(one: Stage, model: nn.Module) -> list[dict[str, Any]]:
    """A plan that loses nothing, which no stage would make: it saves nothing either."""
    found = [(n, m) for n, m in model.named_modules() if n in dict(one.candidates(model))]  # type: ignore[attr-defined]
    rank = {n: full_rank(m.weight, getattr(one, "form", "channel")) for n, m in found}  # type: ignore[arg-type]
    return [{"layer": n, "rank": r, "filters": min(m.weight.shape[0], m.weight[0, 0].numel())}
            if m.weight.ndim == 4 else {"layer": n, "rank": r} for (n, m), r in zip(found, rank.values(), strict=True)]  # type: ignore[union-attr,index] # fmt: skip


@pytest.mark.parametrize(
    "one",
    [
        stage("factor_low_rank", form="channel", keep_first=False),
        stage("factor_low_rank", form="spatial", keep_first=False),
        stage("factor_depthwise", keep_first=False),
    ],
    ids=["channel", "spatial", "depthwise"],
)
def test_at_full_rank_the_outputs_stay_and_so_do_strides_borders_and_biases(one: Stage) -> None:
    model, x = odd(), images(3, 1, 16, 12)
    before = model(x)
    plan = whole_rank(one, model)
    assert [r["layer"] for r in plan][:3] == ["stem", "wide", "spread"]
    one.attach(model, plan)
    assert model.twice is model.again
    assert isinstance(model.grouped, nn.Conv2d)
    torch.testing.assert_close(model(x), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["channel", "spatial"])
def test_the_error_of_a_layer_is_that_of_the_singular_values_left_out(form: str) -> None:
    model, dense = model_of("plain_10k"), model_of("plain_10k")
    one = stage("factor_low_rank", form=form, keep=0.2, layers="blocks.2.conv")
    (row,) = plan = one.plan(model, small_context(images(2, 1, 28, 28)))
    one.attach(model, plan)
    weight = dense.get_submodule("blocks.2.conv").weight
    assert row["rank"] == round(0.2 * full_rank(weight, form))
    left_out = torch.linalg.svdvals(matrix_of(weight, form))[row["rank"] :].square().sum()
    # with the identity as image the responses are the weights themselves
    taps = torch.eye(24 * 9).view(24 * 9, 24, 3, 3)
    difference = model.get_submodule("blocks.2.conv")(taps) - dense.get_submodule("blocks.2.conv")(taps)
    assert float(difference[:, :, 1, 1].detach().square().sum()) == pytest.approx(float(left_out), rel=1e-4)


@pytest.mark.parametrize("keep", [0.1, 0.5])
def test_weights_and_multiply_adds_fall_by_the_papers_formula(keep: float) -> None:
    """O I k^2 becomes r (I k^2 + O), weights and multiply-adds alike."""
    model, dense, x = model_of("plain_29k"), model_of("plain_29k"), images(1, 1, 28, 28)
    plan = applied(stage("factor_low_rank", keep=keep, layers="blocks.*"), model)
    widths = {"blocks.1.conv": (16, 32, 14), "blocks.2.conv": (32, 64, 7)}
    assert [r["layer"] for r in plan] == list(widths)
    saved = 0
    for row in plan:
        inputs, outs, side = widths[row["layer"]]
        assert row["rank"] == round(keep * outs)
        assert row["before"] == 9 * inputs * outs
        assert row["after"] == row["rank"] * (9 * inputs + outs)
        saved += side * side * (row["before"] - row["after"])
    assert macs(model, x) == macs(dense, x) - saved
    gone = sum(r["before"] - r["after"] for r in plan)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in dense.parameters()) - gone


@pytest.mark.parametrize("multiplier", [1, 3])
def test_depthwise_needs_a_fraction_one_over_outputs_and_one_over_taps(multiplier: int) -> None:
    model, dense, x = model_of("plain_29k"), model_of("plain_29k"), images(1, 1, 28, 28)
    rows = {r["layer"]: r for r in applied(stage("factor_depthwise", multiplier=multiplier), model)}
    rest = macs(dense, x) - 14 * 14 * 9 * 16 * 32 - 7 * 7 * 9 * 32 * 64
    expected = [14 * 14 * 9 * 16 * 32 * (1 / 32 + 1 / 9), 7 * 7 * 9 * 32 * 64 * (1 / 64 + 1 / 9)]
    assert macs(model, x) == pytest.approx(rest + multiplier * sum(expected))
    assert rows["blocks.2.conv"]["after"] / rows["blocks.2.conv"]["before"] == pytest.approx(
        multiplier * (1 / 64 + 1 / 9)
    )


def test_what_would_not_become_smaller_stays_whole() -> None:
    dense = outputs(fresh())
    for one in (stage("factor_low_rank", keep=1.0), stage("factor_low_rank", keep=0.9, layers="head")):
        model = fresh()
        assert phase(model, [one]) == [[]]
        assert torch.equal(outputs(model), dense)
    model = model_of("depthwise_5k")
    assert applied(stage("factor_depthwise"), model) == [], "it is depthwise already"
    low = applied(stage("factor_low_rank", keep=0.3), model)
    assert all("depthwise" not in row["layer"] for row in low)


def test_the_first_convolution_is_factored_only_on_demand() -> None:
    assert "blocks.0.conv" not in [r["layer"] for r in applied(stage("factor_low_rank"), model_of("plain_5k"))]
    named = applied(stage("factor_low_rank", keep_first=False), model_of("plain_5k"))
    assert named[0]["layer"] == "blocks.0.conv"


def test_by_energy_each_layer_gets_the_rank_that_it_needs() -> None:
    model = model_of("plain_10k")
    with torch.no_grad():  # one layer of rank 2, the next as drawn
        weight = model.get_submodule("blocks.1.conv").weight
        left, right = images(24, 2), images(2, 12 * 9)
        weight.copy_((left @ right).view_as(weight))
    rows = applied(stage("factor_low_rank", measure="energy", keep=0.95, layers="blocks.*"), model)
    assert {r["layer"]: r["rank"] for r in rows}["blocks.1.conv"] == 2
    assert all(r["rank"] > 10 for r in rows if r["layer"] != "blocks.1.conv")


def test_fresh_weights_depend_on_the_seed_and_come_back_from_the_plan() -> None:
    one = stage("factor_depthwise", start="fresh")
    models = [model_of("plain_5k") for _ in range(3)]
    plans = [applied(one, m, seed) for m, seed in zip(models, (1, 1, 2), strict=True)]
    made = [m.get_submodule("blocks.1.conv.0").weight for m in models]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert float(made[0].abs().max()) <= 1 / 3  # nine inputs of an output
    again = model_of("plain_5k")
    one.attach(again, plans[2])
    assert torch.equal(again.get_submodule("blocks.1.conv.0").weight, made[2])


def test_fresh_weights_without_training_are_refused() -> None:
    body = {"task": "fashion_mnist", "student": "plain_5k",
            "phases": [{"epochs": 0, "stages": [{"name": "factor_depthwise", "start": "fresh"}]}]}  # fmt: skip
    with pytest.raises(InputError, match="start=fresh"):
        Recipe.from_json(body)
