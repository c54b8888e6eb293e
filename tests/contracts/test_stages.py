"""What every stage must keep, run over all that are registered: a new one is tested by being there."""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
import small_nets
import torch
from torch import Tensor, nn

from engine import registry
from engine.knobs import Knob, check_values, knobs_of
from engine.recipe import ORDERS
from engine.stages._base import Stage
from engine.weights import code

STAGES = registry.registered("stages")
EARLIER = {"shape": [], "mask": ["prune_channels"], "quantizer": ["prune_channels", "prune_magnitude"]}
EARLIER["recalibration"] = [*EARLIER["quantizer"], "quantize_linear"]


@dataclass(frozen=True)
class Case:
    """A stage with the settings to try: the defaults, and every word of every choice."""

    name: str
    values: tuple[tuple[str, Any], ...]

    def make(self) -> Stage:
        return small_nets.stage(self.name, **dict(self.values))

    @property
    def repeats(self) -> int:
        """How many equal blocks the network to try it on needs."""
        return 2 if self.name in ("share_layers", "drop_layers") else 0

    @property
    def text(self) -> bool:
        """Whether it needs a network that reads texts: one that acts on images is tried on those."""
        return "image" not in STAGES[self.name].modalities

    @property
    def classes(self) -> int:
        """As many as words for what is for language models: its weights for answers have the shape of its table."""
        return small_nets.WORDS if STAGES[self.name].modalities == ("tokens",) else small_nets.CLASSES

    def fresh(self) -> nn.Module:
        return small_nets.fresh(repeats=self.repeats, text=self.text, classes=self.classes)

    @property
    def epochs(self) -> int:
        """1 where a setting acts only while training."""
        made = self.make()
        return int(any(getattr(made, knob) in words for knob, words in made.needs_epochs.items()))


def settings(knob: Knob) -> list[Any]:
    if knob.choices:
        return list(knob.choices)
    if knob.type == "bool":
        return [True, False]
    return [knob.low, knob.high] if knob.low is not None and knob.high is not None else [knob.default]


CASES = [Case(name, ()) for name in STAGES] + [
    Case(name, ((k.name, value),))
    for name, cls in STAGES.items()
    for k in knobs_of(cls)
    for value in settings(k)
    if value != k.default
]


def ids(case: Case) -> str:
    return "-".join([case.name, *(f"{k}={v}" for k, v in case.values)])


@pytest.fixture(params=CASES, ids=ids)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@functools.cache
def learned(repeats: int, text: bool, classes: int) -> nn.Module:
    model = small_nets.fresh(repeats=repeats, text=text, classes=classes)
    small_nets.phase(model, [], epochs=2)
    return model


def trained(case: Case) -> nn.Module:
    """A network that has learned a little, so that statistics and weights mean something."""
    return copy.deepcopy(learned(case.repeats, case.text, case.classes))


@pytest.fixture
def dense(case: Case) -> nn.Module:
    return trained(case)


@pytest.mark.parametrize("name", STAGES)
def test_it_explains_itself(name: str) -> None:
    row = registry.describe("stages", STAGES[name])
    for word in ("title", "help", "source", "formula", "expect"):
        assert row[word].strip(), f"{name} declares no {word}"
    assert row["order"] in ORDERS
    assert 60 < len(row["help"]) < 450
    assert "arXiv" in row["source"] or "doi" in row["source"]
    assert all(k["help"].strip().endswith((".", "?", ")")) for k in row["knobs"])
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_its_knobs_survive_json(case: Case) -> None:
    made = case.make()
    knobs = knobs_of(type(made))
    values = {k.name: getattr(made, k.name) for k in knobs}
    again = check_values(knobs, json.loads(json.dumps(values)), case.name)
    assert type(made)(**again) == made
    assert [Knob.from_json(k.to_json()) for k in knobs] == list(knobs)
    with pytest.raises(AttributeError):
        made.layers = "x"  # type: ignore[misc]


def test_it_runs_and_gives_finite_outputs(case: Case, dense: nn.Module) -> None:
    model = copy.deepcopy(dense)
    small_nets.phase(model, [case.make()], case.epochs, number=1)
    assert torch.isfinite(small_nets.outputs(model)).all()
    assert small_nets.outputs(model).shape == (96, case.classes)


def test_same_seed_same_result(case: Case, dense: nn.Module) -> None:
    a, b = copy.deepcopy(dense), copy.deepcopy(dense)
    plans = [small_nets.phase(m, [case.make()], case.epochs, number=1) for m in (a, b)]
    assert plans[0] == plans[1]
    assert_same_state(a, b)


def test_a_kept_prefix_is_restored_bit_for_bit(case: Case) -> None:
    model = trained(case)
    stages = [*(small_nets.stage(n) for n in earlier_of(case)), case.make()]
    plans = small_nets.phase(model, stages, epochs=1, number=1)
    again = case.fresh()
    for one, plan in zip(stages, json.loads(json.dumps(plans)), strict=True):
        one.attach(again, plan)
    again.load_state_dict({k: v.clone() for k, v in model.state_dict().items()}, strict=True)
    assert torch.equal(small_nets.outputs(again), small_nets.outputs(model))
    # and it goes on alike: another phase under the constraints that stay
    small_nets.phase(model, [], epochs=1, number=2)
    small_nets.phase(again, [], epochs=1, number=2)
    assert_same_state(again, model)


def test_it_keeps_what_earlier_stages_made(case: Case) -> None:
    model = trained(case)
    earlier = earlier_of(case)
    small_nets.phase(model, [small_nets.stage(n) for n in earlier])
    masks, shapes = code.masks(model), shapes_of(code.bake(model))
    levels = {n: c.bits for n, c in code.weight_codes(model).items()}
    small_nets.phase(model, [case.make()], epochs=1, number=1)  # Adam's momentum moves what is masked
    plain = code.bake(model)
    if case.make().order != "shape":
        assert shapes_of(plain) == shapes
    for name, mask in masks.items():
        assert bool((weight(plain, name)[~mask] == 0).all())
    assert {n: c.bits for n, c in code.weight_codes(model).items() if n in levels} == levels


def test_its_effect_stays_through_a_later_phase_that_trains(case: Case, dense: nn.Module) -> None:
    model = copy.deepcopy(dense)
    small_nets.phase(model, [case.make()], case.epochs, number=1)
    before = code.bake(model)
    small_nets.phase(model, [], epochs=1, number=2)
    after = code.bake(model)
    assert [p.shape for p in before.parameters()] == [p.shape for p in after.parameters()]
    for name in code.masks(model):
        assert torch.equal(weight(before, name) == 0, weight(after, name) == 0) or name in code.weight_codes(model)
    for name, found in code.weight_codes(model).items():
        axes = found.scale.ndim if isinstance(found, code.WeightCode) else 0  # a table serves a whole layer
        assert levels_of(weight(after, name), axes) <= 2**found.bits + (found.bits == 1)
    changed = [not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)]
    assert any(changed), "training must go on under the constraint"


def test_layers_that_it_does_not_name_stay_as_they_are(case: Case, dense: nn.Module) -> None:
    model = copy.deepcopy(dense)
    small_nets.phase(model, [replace(case.make(), layers="no such layer")])
    assert torch.equal(small_nets.outputs(model), small_nets.outputs(dense))


def earlier_of(case: Case) -> list[str]:
    """The stages that may come before it on a network of its kind."""
    kind = "text" if case.text else "image"
    return [name for name in EARLIER[case.make().order] if kind in STAGES[name].modalities]


def assert_same_state(a: nn.Module, b: nn.Module) -> None:
    left, right = a.state_dict(), b.state_dict()
    assert list(left) == list(right)
    different = [n for n in left if not torch.equal(left[n], right[n])]
    assert not different


def weight(model: nn.Module, name: str) -> Tensor:
    return model.get_parameter(f"{name}.weight").detach()


def shapes_of(model: nn.Module) -> dict[str, torch.Size]:
    """By every name: a shared parameter has several."""
    return {name: p.shape for name, p in model.named_parameters(remove_duplicate=False)}


def levels_of(w: Tensor, axes: int) -> int:
    """The largest number of different values: of a channel where each has a scale, else of the tensor."""
    rows = w.flatten(1) if axes else w.reshape(1, -1)
    return max(len(row.unique()) for row in rows)
