"""The editing state of the Sweep page: JSON there and back, values of a range, moves, and what is wrong, in place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import api, api_sweeps
from engine.errors import InputError
from engine.knobs import Knob
from engine.search import space
from pages.parts import sweep_draft as drafts
from pages.parts import sweep_edit as edit
from pages.parts import sweep_json
from pages.parts.sweep_draft import EACH, LIST, LOG, LOSSES, ONE, PHASE, RANGE, STAGES, Draft, Node, Setting

TASK = "fashion_mnist"
TEMPERATURE = Knob("temperature", "float", 4.0, "", 0.5, 20.0)
EPOCHS = Knob("epochs", "int", 1, "", 0, 200)


def usual() -> Draft:
    """The default run as a draft."""
    return sweep_json.read(api.default_recipe(TASK))


def keys(spec: Any) -> set[str]:
    """The trials that a sweep's JSON means."""
    return {point.recipe.key for point in space.read(spec).points()}


def stage(draft: Draft, name: str) -> Node:
    """The first stage of a name."""
    return next(n for n in drafts.walk(draft.root) if n.kind == STAGES and n.name == name)


def phases(draft: Draft) -> tuple[Node, ...]:
    return draft.root.nodes[0].nodes


READY = api_sweeps.ready(TASK)


@pytest.mark.parametrize("row", READY, ids=[r["name"] for r in READY])
def test_every_ready_made_sweep_is_shown_as_a_form_and_means_the_same_trials(row: dict[str, Any]) -> None:
    draft = sweep_json.read(row["spec"])
    written = sweep_json.write(draft)
    assert sweep_json.read(written) == draft
    assert keys(written) == keys(row["spec"])
    assert {a.label for a in space.read(written).axes} == {a.label for a in space.read(row["spec"]).axes}
    assert edit.faults(draft) == []
    assert edit.axes(draft) == len(space.read(row["spec"]).axes)


def test_the_usual_recipe_is_one_trial_with_the_same_key() -> None:
    recipe = api.default_recipe(TASK)
    assert keys(sweep_json.write(sweep_json.read(recipe))) == {api.check(recipe).key}


SETTINGS = st.one_of(
    st.floats(0.5, 20).map(lambda v: Setting(ONE, (v,))),
    st.lists(st.floats(0.5, 20), min_size=1, max_size=5, unique=True).map(lambda v: Setting(LIST, tuple(v))),
    st.tuples(st.floats(0.5, 9), st.floats(9.5, 20), st.integers(2, 9), st.sampled_from([RANGE, LOG])).map(
        lambda t: Setting(t[3], (), t[0], t[1], t[2])
    ),
)


@settings(deadline=None, max_examples=60)
@given(SETTINGS)
def test_what_the_form_counts_is_what_the_engine_runs(setting: Setting) -> None:
    draft = usual()
    loss = phases(draft)[0].only(LOSSES)[0]
    written = sweep_json.write(edit.put(draft, loss.uid, "temperature", setting))
    mine = [TEMPERATURE.check(v, "t") for v in drafts.expand(setting, TEMPERATURE)]
    found = {dict(p.recipe.phases[0].loss[0].values)["temperature"] for p in space.read(written).points()}
    assert found == set(mine)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 20), st.integers(21, 60), st.integers(2, 30), st.sampled_from([RANGE, LOG]))
def test_whole_numbers_stay_whole_and_come_once(low: int, high: int, count: int, mode: str) -> None:
    draft = usual()
    chosen = Setting(mode, (), float(low), float(high), count)
    written = sweep_json.write(edit.put(draft, phases(draft)[0].uid, "epochs", chosen))
    mine = drafts.expand(chosen, EPOCHS)
    assert [p.recipe.phases[0].epochs for p in space.read(written).points()] == list(mine)
    assert all(isinstance(v, int) for v in mine)
    assert mine[0] == low
    assert mine[-1] == high


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"low": 0.0, "high": 0.3, "step": 0.1}, (0.0, 0.1, 0.2, 0.3)),
        ({"low": 0.5, "high": 0.9, "count": 3}, (0.5, 0.7, 0.9)),
        ([0.5, 0.7], (0.5, 0.7)),
        ({"values": [0.5, 0.7], "labels": ["a", "b"]}, (0.5, 0.7)),
    ],
)
def test_each_way_of_writing_several_values_is_read(value: Any, said: tuple[float, ...]) -> None:
    spec = sweep_json.write(usual())
    spec["phases"][0]["stages"][0]["sparsity"] = value
    draft = sweep_json.read(spec)
    node = stage(draft, "prune_magnitude")
    assert drafts.expand(node.get("sparsity"), drafts.knobs_of(node, TASK)["sparsity"]) == pytest.approx(said)
    assert keys(sweep_json.write(draft)) == keys(spec)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"student": "plain_10"}, "student"),
        ({"seed": {"low": 1, "high": 2}}, "seed"),
        ({"seed": {"low": 1, "high": 9, "step": 0}}, "seed"),
        ({"seed": {"low": float("nan"), "high": 9, "count": 3}}, "seed"),
        ({"labels": [True]}, "labels"),
        ({"colour": "red"}, "field"),
        ({"phases": []}, "phases"),
        ({"sweep": {"speed": 3}}, "sweep"),
        ({"task": "nothing"}, "task"),
    ],
)
def test_what_is_no_sweep_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError) as problem:
        sweep_json.read({**sweep_json.write(usual()), **change})
    assert place in str(problem.value)


def test_what_the_form_cannot_show_is_told_from_what_is_wrong() -> None:
    spec = sweep_json.write(usual())
    spec["phases"][0]["stages"] = {"values": [[], [{"name": "recalibrate"}]]}
    with pytest.raises(InputError) as problem:
        sweep_json.read(spec)
    assert "JSON" in problem.value.allowed
    assert keys(spec), "the engine can run it all the same"


def test_a_recipe_as_teacher_survives() -> None:
    spec = sweep_json.write(usual())
    assistant = {**api.default_recipe(TASK), "student": "plain_29k"}
    spec["phases"][0]["teachers"] = ["teacher", assistant]
    assert keys(sweep_json.write(sweep_json.read(spec))) == keys(spec)
    draft = sweep_json.read(spec)
    setting = replace(phases(draft)[0].get("teachers"), mode=EACH)
    each = sweep_json.write(edit.put(draft, phases(draft)[0].uid, "teachers", setting))
    assert len(keys(each)) == 2


def test_losses_are_added_up_or_tried_one_after_the_other() -> None:
    draft = edit.add(usual(), phases(usual())[0].uid, LOSSES, "logit_mse")
    (point,) = space.read(sweep_json.write(draft)).points()
    assert [p.name for p in point.recipe.phases[0].loss] == ["kd", "logit_mse"]
    each = edit.put(draft, phases(draft)[0].uid, "losses", Setting(ONE, (EACH,)))
    points = space.read(sweep_json.write(each)).points()
    assert [[p.name for p in x.recipe.phases[0].loss] for x in points] == [["kd"], ["logit_mse"]]
    assert sweep_json.write(sweep_json.read(sweep_json.write(each))) == sweep_json.write(each)
    twice = edit.add(each, phases(each)[0].uid, LOSSES, "kd")
    changed = edit.put(twice, phases(twice)[0].only(LOSSES)[2].uid, "temperature", Setting(ONE, (8.0,)))
    assert len(keys(sweep_json.write(changed))) == 3, "equal titles get different labels"


def test_stages_move_and_keep_their_numbers_and_an_impossible_order_is_said_where_it_stands() -> None:
    draft = usual()
    quantizer, repair = stage(draft, "quantize_linear"), stage(draft, "recalibrate")
    assert edit.problems(draft) == {}
    moved = edit.move(draft, quantizer.uid, 1)
    assert [s.name for s in phases(moved)[1].only(STAGES)] == ["recalibrate", "quantize_linear"]
    assert list(edit.problems(moved)) == [quantizer.uid]
    assert "Recalibrate" in edit.problems(moved)[quantizer.uid]
    with pytest.raises(InputError):
        space.read(sweep_json.write(moved)).points()
    assert edit.move(moved, repair.uid, 1) == draft
    assert edit.move(draft, repair.uid, 1) == draft, "at the end already"


def test_phases_move_too_and_the_order_holds_over_all_of_them() -> None:
    draft = usual()
    moved = edit.move(draft, phases(draft)[1].uid, -1)
    assert [p.uid for p in phases(moved)] == [p.uid for p in reversed(phases(draft))]
    assert stage(moved, "prune_magnitude").uid in edit.problems(moved)


def test_what_cannot_train_is_said_where_it_stands() -> None:
    draft = usual()
    first = phases(draft)[0]
    still = edit.put(draft, first.uid, "epochs", Setting(ONE, (0,)))
    said = edit.problems(still)
    assert first.only(LOSSES)[0].uid in said
    assert stage(draft, "prune_magnitude").uid in said
    sometimes = edit.put(draft, first.uid, "epochs", Setting(LIST, (0, 2)))
    assert edit.problems(sometimes) == {}, "some of its combinations can be trained; the plan leaves out the others"
    alone = edit.put(draft, first.uid, "teachers", Setting("together", ()))
    assert "teacher" in edit.problems(alone)[first.only(LOSSES)[0].uid]
    empty = edit.remove(edit.remove(draft, stage(draft, "quantize_linear").uid), stage(draft, "recalibrate").uid)
    assert phases(draft)[1].uid in edit.problems(empty)
    assert edit.faults(empty)


def test_phases_are_added_and_removed_but_one_stays() -> None:
    draft = usual()
    order = draft.root.nodes[0]
    more = edit.add_phase(draft, order.uid, {"epochs": 2, "loss": {"name": "cross_entropy"}})
    assert len(phases(more)) == 3
    numbers = [n.uid for n in drafts.walk(more.root)]
    assert len(numbers) == len(set(numbers))
    for phase in phases(more):
        more = edit.remove(more, phase.uid)
    assert len(phases(more)) == 1
    assert len(edit.remove(more, order.uid).root.nodes) == 1


def test_another_order_is_a_copy_with_numbers_of_its_own() -> None:
    draft = usual()
    two = edit.add_order(draft, draft.root.nodes[0].uid)
    numbers = [n.uid for n in drafts.walk(two.root)]
    assert len(numbers) == len(set(numbers))
    spec = sweep_json.write(two)
    assert len(spec["phases"]["values"]) == len(set(spec["phases"]["labels"])) == 2
    assert len(keys(spec)) == 1, "two equal orders are one trial"
    second = two.root.nodes[1]
    named = edit.rename(two, second.uid, two.root.nodes[0].name)
    assert len(set(sweep_json.write(named)["phases"]["labels"])) == 2
    other = edit.put(named, second.nodes[0].uid, "epochs", Setting(ONE, (5,)))
    assert len(keys(sweep_json.write(other))) == 2
    assert edit.remove(other, second.uid).root.nodes[0].nodes == draft.root.nodes[0].nodes


def test_modes_keep_what_they_stood_for() -> None:
    one = Setting(ONE, (4.0,))
    several = edit.with_mode(one, LIST, TEMPERATURE)
    assert several == Setting(LIST, (4.0,))
    spread = edit.with_mode(Setting(LIST, (1.0, 2.0, 8.0)), LOG, TEMPERATURE)
    assert (spread.low, spread.high, spread.count) == (1.0, 8.0, 3)
    assert drafts.expand(edit.with_mode(spread, LIST, TEMPERATURE), TEMPERATURE) == drafts.expand(spread, TEMPERATURE)
    assert edit.with_mode(spread, ONE, TEMPERATURE) == Setting(ONE, (1.0,))
    ranged = edit.with_mode(one, RANGE, TEMPERATURE)
    assert drafts.wrong(ranged, TEMPERATURE) is None
    from_zero = edit.with_mode(Setting(ONE, (0,)), LOG, EPOCHS)
    assert drafts.wrong(from_zero, EPOCHS) is None


@pytest.mark.parametrize("name", ["labels", "seed"])
@pytest.mark.parametrize("mode", [ONE, LIST, RANGE, LOG])
def test_every_mode_of_every_shared_setting_gives_something_that_can_start(name: str, mode: str) -> None:
    draft = usual()
    knob = drafts.knobs_of(draft.root, TASK)[name]
    changed = edit.put(draft, draft.root.uid, name, edit.with_mode(draft.root.get(name), mode, knob))
    assert edit.faults(changed) == []
    assert keys(sweep_json.write(changed))


@pytest.mark.parametrize(
    "setting",
    [Setting(LIST, ()), Setting(RANGE, (), 3.0, 3.0, 3), Setting(RANGE, (), 1.0, 3.0, 1), Setting(LOG, (), 0.0, 3.0, 3),
     Setting(ONE, (99.0,)), Setting(RANGE, (), 1.0, 99.0, 3), Setting(RANGE, (), 1.0, 2.0, 10**9)],
)  # fmt: skip
def test_settings_that_hold_nothing_usable_are_said(setting: Setting) -> None:
    assert drafts.wrong(setting, TEMPERATURE)
    draft = usual()
    loss = phases(draft)[0].only(LOSSES)[0]
    assert any("temperature" in f for f in edit.faults(edit.put(draft, loss.uid, "temperature", setting)))


def test_what_is_gone_changes_nothing() -> None:
    draft = usual()
    for after in (edit.move(draft, 999, 1), edit.remove(draft, 999), edit.add(draft, 999, STAGES, "recalibrate"),
                  edit.add_order(draft, 999), edit.put(draft, 999, "seed", Setting(ONE, (1,)))):  # fmt: skip
        assert after == draft
    assert edit.find(draft, 999) is None


def test_a_new_phase_has_the_kind_that_was_asked_for() -> None:
    (phase,) = sweep_json.from_json(PHASE, [{"epochs": 0, "stages": [{"name": "recalibrate"}]}], TASK, 50)
    assert (phase.uid, phase.kind, phase.nodes[0].uid) == (50, PHASE, 51)


def test_a_tick_gives_every_setting_several_seeds_and_takes_them_back() -> None:
    draft = usual()
    five = edit.with_seeds(draft, 5)
    assert (edit.seeds_of(draft), edit.seeds_of(five)) == (1, 5)
    assert [p.recipe.seed for p in space.read(sweep_json.write(five)).points()] == [0, 1, 2, 3, 4]
    assert edit.with_seeds(five, 1) == draft
    last = edit.put(draft, draft.root.uid, "seed", Setting(ONE, (2**32 - 1,)))
    assert edit.with_seeds(last, 5).root.get("seed").values[-1] == 2**32 - 1
    broken = edit.put(draft, draft.root.uid, "seed", Setting(LOG, (), 0.0, 4.0, 3))
    assert edit.seeds_of(broken) == 0
