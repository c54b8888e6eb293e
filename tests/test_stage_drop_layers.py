"""Dropped blocks: which ones, that they are skipped, what is saved, the file, names that losses look at, resuming."""

from __future__ import annotations

from pathlib import Path

import pytest
import text_nets
import torch
from attention_tools import LAYER, answers, assert_resumes, packed, size
from small_nets import context, fresh, phase, stage
from torch import nn

from engine.errors import InputError
from engine.taps import TapReader
from engine.weights.attention import Skipped, attentions, blocks, put
from sample_models import bert


def numbers(paths: list[str]) -> list[int]:
    return [int(path.removeprefix(LAYER)) for path in paths]


def deep(layers: int) -> nn.Module:
    return text_nets.fresh(layers=layers)


@pytest.mark.parametrize(
    ("layers", "rule", "fraction", "expected"),
    [
        (4, "alternate", 0.5, [1, 3]),
        (6, "alternate", 0.5, [1, 3, 5]),
        (6, "alternate", 0.35, [2, 5]),
        (4, "alternate", 0.25, [3]),
        (4, "last", 0.5, [2, 3]),
        (5, "last", 0.95, [1, 2, 3, 4]),
        (2, "alternate", 0.95, [1]),
        (3, "alternate", 0.0, []),
    ],
)
def test_which_blocks_go(layers: int, rule: str, fraction: float, expected: list[int]) -> None:
    model = deep(layers)
    rows = [model.get_submodule(f"{LAYER}{i}") for i in range(layers)]
    (plan,) = phase(model, [stage("drop_layers", rule=rule, fraction=fraction)])
    assert numbers(plan) == expected
    left = [model.get_submodule(b) for b in blocks(model)]
    assert left == [block for i, block in enumerate(rows) if i not in expected], "in their order"
    assert numbers(blocks(model))[-1] == layers - 1
    assert len(left) == 1 or numbers(blocks(model))[0] == 0


def test_by_importance_the_one_goes_that_the_loss_misses_least_then_the_next() -> None:
    model = deep(4)
    phase(model, [], epochs=1)
    found = context(text=True)

    def without(gone: list[int]) -> float:
        twin = deep(4)
        twin.load_state_dict(model.state_dict())
        for number in gone:
            put(twin, f"{LAYER}{number}", Skipped())
        with torch.no_grad():
            return sum(float(found.loss(twin.eval(), x, y)) for x, y in found.calibration)

    first = min(range(4), key=lambda i: without([i]))
    second = min((i for i in range(4) if i != first), key=lambda i: without([first, i]))
    before = answers(model)
    plan = stage("drop_layers", rule="importance").plan(model, found)
    assert numbers(plan) == sorted([first, second])
    assert torch.equal(answers(model), before), "looking must not change the model"


def test_what_is_left_is_a_student_of_fewer_layers() -> None:
    model, small = deep(3), deep(2)
    phase(model, [stage("drop_layers", rule="last", fraction=0.34)])
    small.load_state_dict({name.replace("layer.2", "layer.1"): t for name, t in model.state_dict().items()})
    assert torch.equal(answers(small), answers(model))
    assert size(model) == size(small)
    assert packed(model) == pytest.approx(packed(small), abs=600)


def test_dropped_from_the_middle_it_is_skipped_in_the_file_too() -> None:
    model = deep(3)
    phase(model, [], epochs=1)
    before, bytes_before = size(model), packed(model)
    (block, other, _) = (sum(p.numel() for p in model.get_submodule(b).parameters()) for b in blocks(model))
    phase(model, [stage("drop_layers", layers=f"{LAYER}1.*", fraction=0.5), stage("drop_layers", fraction=0.34)])
    assert numbers(blocks(model)) == [0, 2]  # of the one that is named nothing goes: it would be the last of its kind
    assert before[0] - size(model)[0] == block == other
    assert bytes_before - packed(model) > 0.8 * 4 * block


def test_losses_find_the_layers_that_they_look_at() -> None:
    model = deep(4)
    phase(model, [stage("drop_layers", fraction=0.5)])
    roles = {role: path for role, path in bert.taps(4).items() if not role.startswith("middle")}
    with TapReader(model.eval(), roles) as reader, torch.no_grad():
        seen = reader(text_nets.data().inputs[:3]).taps
    assert seen["last_states"].shape == (3, text_nets.TOKENS, text_nets.WIDTH)
    torch.testing.assert_close(seen["last_feature"], model.pool(seen["last_states"], text_nets.data().inputs[:3]))


def test_it_trains_on_and_resumes(tmp_path: Path) -> None:
    model, one = deep(4), stage("drop_layers", rule="alternate")
    (plan,) = phase(model, [one], epochs=1, number=1)
    assert_resumes(model, lambda: deep(4), one, plan, tmp_path)


def test_other_stages_act_on_the_blocks_that_are_left() -> None:
    model = deep(4)
    stages = [stage("drop_layers"), stage("prune_heads"), stage("group_key_values"), stage("drop_layers")]
    phase(model, [*stages, stage("quantize_linear", bits=4)])
    assert numbers(blocks(model)) == [3]
    assert [(a.heads, a.groups) for a in attentions(model)] == [(2, 1)]
    packed(model)


def test_it_is_refused_without_blocks() -> None:
    for model in (fresh(), deep(1)):
        with pytest.raises(InputError, match="bert_2 or gpt_2"):
            phase(model, [stage("drop_layers")])
