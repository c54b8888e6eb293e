"""Teachers that are recipes: what they are, where they are chosen, how they show, what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_training as tiny

from engine import api, api_estimate, api_rows, catalogue, progress, student, teacher_recipes
from engine.cli_parser import parse
from engine.cli_recipe import read_recipe, recipe_of
from engine.cli_run import progress_text
from engine.errors import InputError
from engine.home import Home
from engine.recipe import Recipe
from engine.search import space
from engine.training import StepReport
from engine.workbench import Bench
from pages.parts import choices, sweep_draft, sweep_edit, sweep_json
from pages.parts import progress as panel

TASK = "fashion_mnist"
BASE = {"task": TASK, "data": "sample", "labels": 500, "student": "plain_1k5", "seed": 3}
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def recipe(teachers: list[Any], **more: Any) -> Recipe:
    phase = {"epochs": 3, "loss": {"name": "kd"}, "teachers": teachers}
    return Recipe.from_json({**BASE, "phases": [phase], **more})


def test_an_assistant_learns_from_the_teacher_what_the_student_may_know() -> None:
    found = Recipe.from_json(teacher_recipes.assistant(BASE, "plain_29k", 2, "teacher"))
    assert (found.student, found.labels, found.seed) == ("plain_29k", 500, 3)
    assert [(p.epochs, p.loss[0].name, p.teachers) for p in found.phases] == [(2, "kd", ("teacher",))]


def test_an_earlier_generation_is_the_same_network_from_other_weights_on_labels_alone() -> None:
    found = Recipe.from_json(teacher_recipes.itself({**BASE, "without": "Bag"}, 2))
    assert (found.student, found.labels, found.seed, found.without) == ("plain_1k5", 500, 4, "Bag")
    assert found.key == found.baseline().key
    assert teacher_recipes.itself({**BASE, "seed": 2**32 - 1}, 1)["seed"] == 0


def test_the_usual_assistant_is_the_next_larger_of_the_family() -> None:
    assert teacher_recipes.usual_assistant(TASK) == "plain_29k"


@pytest.mark.parametrize("way", teacher_recipes.WAYS)
@pytest.mark.parametrize("loss", ["kd", "ensemble", "attention"])
def test_a_choice_on_the_page_survives_address_and_recipe(way: str, loss: str) -> None:
    values = {"task": TASK, "loss": loss, "taught": way, "assistant": "plain_150k", "teacher_epochs": 5, "seed": 7}
    form = choices.read(values)
    if loss == "ensemble" and way != "several":
        assert "taught" in form.problems[0]
        return
    assert not form.problems
    assert choices.read(choices.to_url(form), parse=True).values == form.values
    made = Recipe.from_json(choices.to_recipe(form))
    again = choices.read({k: v for k, v in choices.values_of(made.to_json()).items() if v is not None})
    assert Recipe.from_json(choices.to_recipe(again)).key == made.key
    names = [t if isinstance(t, str) else t.student for t in made.phases[0].teachers]
    expected = {"teacher": ["teacher"], "assistant": ["plain_150k"], "itself": ["plain_10k"]}
    assert names == expected.get(way, ["teacher", "plain_150k"])


def test_without_a_teacher_there_is_nothing_to_choose() -> None:
    form = choices.read({"task": TASK, "loss": "cross_entropy"})
    assert "taught" not in form.values
    assert choices.to_recipe(form)["phases"][0]["teachers"] == []


def test_the_command_line_takes_several_and_trains_some_first() -> None:
    words = ["run", "--task", TASK, "--loss", "ensemble", "--teacher", "teacher"]
    made = Recipe.from_json(recipe_of(parse([*words, "--teacher", "assistant:student=plain_5k,epochs=2"])))
    assert made.phases[0].teachers[0] == "teacher"
    between = made.phases[0].teachers[1]
    assert isinstance(between, Recipe)
    assert (between.student, between.phases[0].epochs) == ("plain_5k", 2)
    again = Recipe.from_json(recipe_of(parse(["run", "--task", TASK, "--teacher", "itself:", "--seed", "4"])))
    born = again.phases[0].teachers[0]
    assert isinstance(born, Recipe)
    assert (born.student, born.seed, born.phases[0].epochs) == ("plain_10k", 5, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("assistant:student=plain_2k", "did you mean 'plain_29k'|did you mean 'plain_"),
        ("assistant:epochs=0", "from 1 to 200"),
        ("itself:student=plain_5k", "epochs"),
        ("assistant:epoch=3", "did you mean 'epochs'"),
        ("techer", "did you mean 'teacher'"),
        ("nowhere.json", "cannot be read"),
    ],
)
def test_a_teacher_that_cannot_be_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Recipe.from_json(recipe_of(parse(["run", "--task", TASK, "--teacher", text])))


def test_a_file_can_be_a_teacher() -> None:
    words = ["run", "--task", TASK, "--teacher", str(EXAMPLES / "baseline.json")]
    taught = Recipe.from_json(recipe_of(parse(words))).phases[0].teachers[0]
    assert isinstance(taught, Recipe)


@pytest.mark.parametrize("name", ["assistant", "born_again", "ensemble", "left_out", "baseline"])
def test_the_examples_are_recipes(name: str) -> None:
    made = Recipe.from_json(read_recipe(EXAMPLES / f"{name}.json"))
    recipes = [t for p in made.phases for t in p.teachers if isinstance(t, Recipe)]
    assert bool(recipes) is (name in ("assistant", "born_again", "ensemble"))


def test_the_expected_time_holds_the_teachers_that_are_not_trained_yet(home: Home) -> None:
    alone, taught = recipe(["teacher"]), recipe([teacher_recipes.assistant(BASE, "plain_150k", 4, "teacher")])
    first, second = (api.estimate(home, r.to_json())["seconds"] for r in (alone, taught))
    pace = catalogue.current().row("models", "plain_150k")["seconds_per_epoch"]
    assert second == pytest.approx(first + 4 * pace)
    assert api_estimate.pace(home, taught) == api_estimate.pace(home, alone)
    assistant = taught.phases[0].teachers[0]
    assert isinstance(assistant, Recipe)
    (home.cache("prefix") / f"{assistant.key}.prefix").write_bytes(b"kept")
    assert api.estimate(home, taught.to_json())["seconds"] == pytest.approx(first)


def test_the_charts_get_the_teacher_too(home: Home) -> None:
    taught = recipe([teacher_recipes.assistant(BASE, "plain_29k", 1, "teacher")])
    api.submit(home, taught.to_json())
    assistant = taught.phases[0].teachers[0]
    assert isinstance(assistant, Recipe)
    assert api.status(home, assistant.key)["state"] == "queued"
    assert api_rows.settings(recipe(["teacher", assistant.to_json()]).to_json())["teacher"] == "teacher+plain_29k"


def test_a_teachers_training_is_told_as_such_and_counts() -> None:
    """A teacher worth 2 epochs before 3 of the student: half of it is 1/5 of all, the student begins at 2/5."""
    told: list[dict[str, Any]] = []
    lead = progress.Lead()
    lesson = progress.Lesson("plain_29k", 2.0, 3, lead, told.append)
    step = StepReport(50, 100, 1, 2, 0.5)
    lesson(progress.of_step([2], 0, step))
    lesson({"quality": 0.8, "curve": {"epoch": 1}})
    assert len(told) == 1, "its curve is not the student's"
    assert (told[0]["teacher"], told[0]["fraction"]) == ("plain_29k", pytest.approx(0.2))
    lesson.end()
    assert lead.epochs == 2.0
    own = progress.of_step([3], 0, StepReport(0, 100, 1, 3, 0.5), lead.epochs)
    assert (own["fraction"], own["teacher"]) == (pytest.approx(0.4), "")
    quiet = progress.Lead()
    progress.Lesson("plain_29k", 2.0, 3, quiet, told.append).end()
    assert quiet.epochs == 0.0, "what was at hand took no time"


def test_words_say_that_the_teacher_learns_first() -> None:
    doing = {"doing": "training", "teacher": "plain_29k", "epoch": 1, "epochs": 2}
    status = {
        "key": "k" * 32,
        "role": "trial",
        "state": "running",
        "progress": doing,
        "recipe": {"student": "plain_1k5"},
    }
    assert "plain 29k learns first" in panel.describe(status)
    assert "training, plain_29k first" in progress_text(status, "trial")
    later = {**status, "progress": {**doing, "teacher": ""}}
    assert "learns first" not in panel.describe(later)


def test_a_teacher_is_trained_first_and_the_student_from_its_answers(home: Home) -> None:
    """The chain really runs: reports name the teacher, then the student; the kept teacher is not trained again."""
    told: list[dict[str, Any]] = []
    own = teacher_recipes.itself(BASE, 1)
    made = recipe([own], phases=[{"epochs": 1, "loss": {"name": "kd"}, "teachers": [own]}])
    trained = student.train(Bench(made, home, told.append))
    named = [e["teacher"] for e in told if "teacher" in e and e.get("doing") == "training"]
    assert named[0] == "plain_1k5"
    assert named[-1] == ""
    fractions = [e["fraction"] for e in told if "fraction" in e]
    assert fractions == sorted(fractions)
    assert [p.epoch for p in trained.curve] == [1]
    assert sum("curve" in e for e in told) == 1
    told.clear()
    again = student.train(Bench(Recipe.from_json({**made.to_json(), "seed": 4}), home, told.append))
    assert not tiny.same(again.model, trained.model)


def test_a_sweep_offers_an_assistant_as_a_teacher() -> None:
    (text,) = sweep_draft.assistants(TASK)
    made = Recipe.from_json(json.loads(text))
    assert (made.student, made.phases[0].teachers) == ("plain_29k", ("teacher",))
    draft = sweep_json.read({"task": TASK})
    phase = draft.root.nodes[0].nodes[0]
    both = sweep_draft.Setting(sweep_draft.EACH, ("teacher", text))
    spec = sweep_json.write(sweep_edit.put(draft, phase.uid, "teachers", both))
    points = space.read(spec).points()
    names = [[t if isinstance(t, str) else t.student for t in p.recipe.phases[0].teachers] for p in points]
    assert names == [["teacher"], ["plain_29k"]]
