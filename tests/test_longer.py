"""Recipes for longer, pairs of short and long runs, agreement by knob, the shipped atlas."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from engine.errors import FileError, InputError
from engine.recipe import Recipe
from engine.search import atlas
from engine.search import longer as lib
from engine.search.longer import Pair, Run, identity, longer, pairs

TASK = "fashion_mnist"
SOFT = {"name": "kd", "temperature": 4.0, "weight": 0.9}


def recipe(epochs: tuple[int, ...] = (2,), loss: dict[str, Any] = SOFT, student: str = "plain_1k5",
           stages: list[Any] | None = None, after: list[Any] | None = None, **more: Any) -> Recipe:  # fmt: skip
    teachers = ["teacher"] if loss["name"] != "cross_entropy" else []
    phases: list[Any] = [{"epochs": e, "loss": loss, "teachers": teachers, "stages": stages or []} for e in epochs]
    phases += [{"epochs": 0, "stages": after}] if after else []
    return Recipe.from_json({"task": TASK, "student": student, "phases": phases, **more})


def run(made: Recipe, quality: float = 0.5, origin: str = "trial") -> Run:
    return Run(made.key, made.to_json(), quality, origin)


def pair(made: Recipe, short: float, late: float, times: int = 8) -> list[Run]:
    return [run(made, short), run(longer(made, times), late)]


class TestLonger:
    def test_every_phase_that_trains_gets_the_same_multiple_and_nothing_else_changes(self) -> None:
        made = recipe((3, 1), after=[{"name": "quantize_linear", "bits": 8}])
        long = longer(made, 4)
        assert [p.epochs for p in long.phases] == [12, 4, 0]
        assert Recipe.from_json(long.to_json()) == long
        assert [(p.loss, p.stages, p.teachers) for p in long.phases] == [
            (p.loss, p.stages, p.teachers) for p in made.phases
        ]
        assert (long.seed, long.student, long.labels) == (made.seed, made.student, made.labels)

    def test_a_teacher_that_is_a_recipe_stays_as_it_is(self) -> None:
        taught = recipe().to_json()
        taught["phases"][0]["teachers"] = [recipe((3,), student="plain_5k").to_json()]
        long = longer(Recipe.from_json(taught), 8)
        assert long.phases[0].teachers == Recipe.from_json(taught).phases[0].teachers

    @pytest.mark.parametrize("times", [0, 1, -3, True, 2.0, "8", 65])
    def test_refuses_other_multiples(self, times: Any) -> None:
        with pytest.raises(InputError, match="times"):
            longer(recipe(), times)

    def test_refuses_what_does_not_train_and_what_would_train_too_long(self) -> None:
        nothing = Recipe.from_json({"task": TASK, "student": "plain_1k5", "phases": [{"epochs": 0}]})
        with pytest.raises(InputError, match="nothing in this one does"):
            longer(nothing, 2)
        with pytest.raises(InputError, match="at most 2 here"):
            longer(recipe((70,)), 3)


class TestPairs:
    def test_a_pair_is_equal_but_for_its_length(self) -> None:
        made = recipe((3, 1))
        (found,) = pairs(pair(made, 0.7, 0.8))
        assert (found.short.quality, found.long.quality, found.step) == (0.7, 0.8, (4, 32))
        other = [run(made), run(longer(recipe((3, 1), seed=1), 8)), run(recipe((24, 1))), run(recipe((32,)))]
        assert not pairs(other)

    def test_identity_keeps_shares_of_phases(self) -> None:
        assert identity(recipe((4, 2)).to_json()) == (identity(recipe((2, 1)).to_json())[0], 2)
        assert identity(recipe((4, 2)).to_json())[0] != identity(recipe((2, 4)).to_json())[0]

    def test_a_run_only_half_as_long_again_is_no_pair_and_three_lengths_are_three_pairs(self) -> None:
        assert not pairs([run(recipe((2,))), run(recipe((3,)))])
        found = pairs([run(recipe((n,))) for n in (2, 4, 16)])
        assert sorted(p.step for p in found) == [(2, 4), (2, 16), (4, 16)]

    def test_long_grid_points_are_left_out_and_short_ones_are_not(self) -> None:
        made = recipe().with_one_shot(0.5, 8)
        assert not pairs([run(made), run(longer(made, 8), origin="grid")])
        assert len(pairs([run(made, origin="grid"), run(longer(made, 8))])) == 1

    def test_a_run_of_this_home_counts_before_a_shipped_one(self) -> None:
        made = recipe()
        both = [run(made, 0.1, "shipped"), run(made, 0.2), *pair(made, 0.2, 0.9)[1:]]
        for order in (both, both[::-1]):
            assert [p.short.quality for p in pairs(order)] == [0.2]

    def test_steps_put_the_most_pairs_first(self) -> None:
        runs = [r for seed in range(3) for r in pair(recipe(seed=seed), 0.5, 0.6)]
        runs += pair(recipe((3,), student="plain_5k"), 0.5, 0.6)
        assert {step: len(some) for step, some in lib.steps(pairs(runs)).items()} == {(2, 16): 3, (3, 24): 1}
        assert list(lib.steps(pairs(runs))) == [(2, 16), (3, 24)]

    def test_one_shot_variants_share_their_training_and_others_do_not(self) -> None:
        dense = recipe()
        runs = [r for made in (dense, dense.with_one_shot(0, 8), dense.with_one_shot(0.5, 4), recipe(seed=1))
                for r in pair(made, 0.5, 0.6)]  # fmt: skip
        assert len({p.training for p in pairs(runs)}) == 2


def atlas_pairs(gap: float) -> list[Pair]:
    """Five students at three temperatures: the temperature's effect turns over in long runs, the student's does not."""
    runs = []
    students = ("plain_1k5", "plain_5k", "plain_10k", "depthwise_1k4", "depthwise_5k")
    for i, student in enumerate(students):
        for j, temperature in enumerate((1.0, 4.0, 10.0)):
            made = recipe(student=student, loss={**SOFT, "temperature": temperature})
            runs += pair(made, 0.5 + 0.1 * i + gap * j, 0.6 + 0.1 * i - gap * j)
    return pairs(runs)


class TestKnobs:
    def test_a_knob_is_judged_where_all_else_is_equal(self) -> None:
        found = {k.knob: k for k in lib.knobs(atlas_pairs(0.01), "maximize")}
        assert set(found) == {"student", "temperature"}
        turned = found["temperature"]
        assert turned.values == ("1", "4", "10")
        assert (turned.agreement.pairs, turned.agreement.groups, turned.agreement.units) == (15, 5, 5)
        assert turned.agreement.spearman == pytest.approx(-1)
        assert turned.agreement.verdict == "weak"
        assert turned.agreement.regret == pytest.approx(0.02)
        kept = found["student"]
        assert kept.values[:2] == ("depthwise_1k4", "plain_1k5")  # by size
        assert kept.agreement.units == 3
        assert kept.agreement.verdict == "few"

    def test_the_whole_hides_what_the_knob_shows(self) -> None:
        some = atlas_pairs(0.01)
        assert (lib.whole(some, "maximize").spearman or 0) > 0.9
        assert lib.whole(some, "maximize", "student").spearman == pytest.approx(-1)

    def test_of_several_variants_of_a_loss_the_usual_one_stands_for_it(self) -> None:
        runs = []
        for seed in range(5):
            for n, loss in enumerate((SOFT, {**SOFT, "temperature": 1.0}, {"name": "cross_entropy"})):
                runs += pair(recipe(loss=loss, seed=seed), 0.5 + 0.1 * n, 0.5 + 0.1 * n)
        found = {k.knob: k for k in lib.knobs(pairs(runs), "maximize")}["loss"]
        assert found.values == ("cross_entropy", "kd")
        assert found.agreement.pairs == 10
        assert found.agreement.regret == 0

    def test_groups_that_share_a_training_are_one_unit(self) -> None:
        runs = []
        for seed in range(5):
            for bits in (8, 4):
                for sparsity in (0.3, 0.6):
                    runs += pair(recipe(seed=seed).with_one_shot(sparsity, bits), 0.1 * bits, 0.1 * bits)
        found = {k.knob: k.agreement for k in lib.knobs(pairs(runs), "maximize")}
        assert (found["bits"].pairs, found["bits"].groups, found["bits"].units) == (20, 10, 5)
        assert found["bits"].spearman == pytest.approx(1)

    def test_stages_at_other_places_are_not_compared(self) -> None:
        pruned = {"name": "prune_magnitude", "sparsity": 0.5}
        runs = [*pair(recipe(stages=[pruned]), 0.5, 0.6), *pair(recipe(after=[{**pruned, "sparsity": 0.7}]), 0.5, 0.6)]
        assert not lib.knobs(pairs(runs), "maximize")


class TestAtlas:
    def rows(self) -> list[dict[str, Any]]:
        chance = random.Random(0)
        return [{"recipe": recipe(seed=s).to_json(), "times": 8, "short": {"quality": chance.random()},
                 "long": {"quality": chance.random()}} for s in range(4)]  # fmt: skip

    ABOUT = {"task": TASK, "machine": "a machine", "date": "2026-01-01"}

    def test_round_trip(self, tmp_path: Path) -> None:
        path, rows = tmp_path / "atlas.json", self.rows()
        atlas.write(path, rows, self.ABOUT)
        found = atlas.read(path)
        assert [p.long.quality for p in pairs(found.of(TASK))] == [r["long"]["quality"] for r in rows]
        assert {r.origin for r in found.runs} == {"shipped"}
        assert found.of("another") == []
        assert (found.about or {})[TASK] == {"machine": "a machine", "date": "2026-01-01"}
        assert atlas.read(path) is found
        assert len(path.read_text().splitlines()) > len(rows)

    def test_a_row_whose_plug_ins_have_changed_is_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "atlas.json"
        rows = [*self.rows(), {**self.rows()[0], "recipe": recipe(loss={"name": "cross_entropy"}).to_json()}]
        atlas.write(path, rows, self.ABOUT)
        body = json.loads(path.read_text())
        body["versions"]["losses"]["kd"][0] += 1
        path.write_text(json.dumps(body))
        (left,) = pairs(atlas.read(path).of(TASK))
        assert left.short.recipe["phases"][0]["loss"]["name"] == "cross_entropy"

    def test_a_row_of_a_plug_in_that_is_gone_is_left_out(self, tmp_path: Path) -> None:
        path, rows = tmp_path / "atlas.json", self.rows()
        rows[0]["recipe"]["phases"][0]["loss"] = {"name": "forgotten"}
        atlas.write(path, rows, self.ABOUT)
        assert len(pairs(atlas.read(path).runs)) == 3

    def test_none_there_and_a_damaged_one(self, tmp_path: Path) -> None:
        assert atlas.read(tmp_path / "none.json").runs == ()
        for text in ("", "{}", "[1]", '{"format": 99}', '{"format": 1, "task": "x", "rows": [{}], "versions": {}}'):
            path = tmp_path / "bad.json"
            path.write_text(text)
            with pytest.raises(FileError, match=r"bad\.json cannot be read"):
                atlas.read(path)
