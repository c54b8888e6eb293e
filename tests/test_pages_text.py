"""Pages about texts and running text: their words, settings, limits and charts, from made-up tasks."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import text_catalogue
from figure_rows import row
from hypothesis import given, settings
from hypothesis import strategies as st
from text_catalogue import MAILS, PLAYS

from engine import catalogue, figures
from engine.figures.compare import alt_gaps, gaps_figure, gaps_info
from engine.figures.sides import sides_figure, sides_info
from engine.recipe import Recipe
from pages.parts import choices, front_state, runbar, story, subject, sweep_draft, sweep_sides, words

SPECIAL = ("text", "tokens")


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[catalogue.Catalogue]:
    yield text_catalogue.install(tmp_path, monkeypatch)
    runbar.preset.cache_clear()


@pytest.fixture
def of_plays(tasks: catalogue.Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "task", lambda: PLAYS)


def _messages(entry: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in entry.items():
        if isinstance(value, str):
            yield f"{prefix}{name}", value
        else:
            yield from _messages(value, f"{prefix}{name}.")


def _placeholders(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}


@pytest.mark.parametrize("of", SPECIAL)
def test_what_is_said_otherwise_has_the_same_place_and_values(of: str) -> None:
    usual, special = dict(_messages(words.load())), dict(_messages(words.load(of=of)))
    assert len(special) > 50
    assert special.keys() <= usual.keys()
    for key, message in special.items():
        assert _placeholders(message) <= _placeholders(usual[key]), key
        assert message != usual[key], key
        assert "image" not in message.replace("{images}", "").lower(), key


def test_words_follow_the_task_of_the_page(tasks: catalogue.Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {}
    for task in ("fashion_mnist", MAILS, PLAYS):
        monkeypatch.setattr(subject, "task", lambda task=task: task)
        said[task] = (words.say("fact.quality"), words.say("label.labels"), words.say("run.button"))
    assert said["fashion_mnist"] == ("Accuracy, validation", "Labelled images", "Run")
    assert said[MAILS] == ("Accuracy, validation", "Labelled texts", "Run")
    assert said[PLAYS][0] == "Bits per character, validation"


def test_a_task_offers_what_suits_it(tasks: catalogue.Catalogue) -> None:
    form = choices.read({"task": PLAYS})
    losses = next(f.knob.choices for f in form.fields if f.name == "loss")
    assert losses is not None
    assert "kd" in losses
    assert "adversarial" not in losses
    assert form.get("student") == f"{PLAYS}_large"
    assert form.get("teacher") == f"{PLAYS}_teacher"
    pruning = next(f.knob.choices for f in form.fields if f.name == "pruning")
    assert pruning is not None
    assert "channels" not in pruning
    assert not {"labels", "without"} & {f.name for f in form.fields}
    assert {"labels", "without"} <= {f.name for f in choices.read({"task": MAILS}).fields}
    assert set(sweep_draft.shared(PLAYS)) == set(sweep_draft.shared(MAILS)) - {"labels", "without"}
    assert "prune_channels" not in tasks.suited("stages", MAILS)
    assert "prune_channels" in tasks.suited("stages", "fashion_mnist")


@pytest.mark.parametrize("task", [MAILS, PLAYS])
def test_a_task_in_the_address_begins_with_its_default_run(tasks: catalogue.Catalogue, task: str) -> None:
    form = choices.read({"task": task}, parse=True)
    assert not form.problems
    assert choices.to_url(form) == {"task": task}
    assert Recipe.from_json(choices.to_recipe(form)).key == Recipe.from_json(tasks.row("tasks", task)["default"]).key
    assert choices.usual(task)["temperature"] == 2.0


def test_presets_take_students_of_the_task(tasks: catalogue.Catalogue) -> None:
    small, fast = (runbar.preset(name, MAILS) for name in ("small", "fast"))
    assert (small["student"], small["bits"], small["sparsity"]) == (f"{MAILS}_large", 4, 0.7)
    assert (fast["student"], fast["bits"]) == (f"{MAILS}_small", 32)
    assert runbar.preset("fast", "fashion_mnist")["student"] == "plain_5k"


def test_a_task_without_a_teacher_offers_labels_alone(tasks: catalogue.Catalogue) -> None:
    tasks.rows["models"][f"{MAILS}_teacher"]["tasks"].clear()  # type: ignore[attr-defined]
    form = choices.read({"task": MAILS, "loss": "cross_entropy"})
    assert form.get("teacher") is None
    offered = next(f.knob.choices for f in form.fields if f.name == "loss") or ()
    assert all(not tasks.row("losses", name).get("needs_teacher") for name in offered)
    assert choices.to_recipe(form)["phases"][0]["teachers"] == []


def test_a_limit_on_the_quality_is_written_as_its_measure(tasks: catalogue.Catalogue) -> None:
    values, problems = front_state.read({"min_quality": "2.5", "task": PLAYS})
    assert not problems
    assert values["min_quality"] == 2.5
    assert front_state.LIMITS["min_quality"].written(2.5, "bits_per_character") == "2.5"
    assert front_state.read({"min_quality": "88 %", "task": MAILS})[0]["min_quality"] == 0.88
    _, problems = front_state.read({"min_quality": "88 %", "task": PLAYS})
    assert len(problems) == 1
    assert "such as 2.5" in problems[0]


def test_better_is_up_where_fewer_is_better() -> None:
    rows = [row(i, metric="bits_per_character", quality=q, quality_low=q - 0.1, quality_high=q + 0.1, packed_bytes=b)
            for i, (q, b) in enumerate([(2.0, 9000), (2.1, 5000), (2.2, 3000), (2.3, 6000), (9.0, 1000)])]  # fmt: skip
    info = figures.pareto_info(rows, metric="bits_per_character", direction="minimize")
    drawn = figures.pareto_figure(info)["layout"]["yaxis"]
    assert drawn["range"][0] > drawn["range"][1]
    assert "lower is better" in str(drawn["title"])
    assert [info.points[i].y for i in info.front] == [9.0, 2.2, 2.1, 2.0]
    assert info.below == 1  # the ruined one starts out of sight
    assert info.y_range[1] < 9.0


def test_differences_that_are_no_shares_are_not_percentage_points(of_plays: None) -> None:
    gaps = gaps_info([{"difference": -0.02, "low": -0.03, "high": -0.01}])
    drawn = gaps_figure(gaps, metric="bits_per_character")
    assert drawn["data"][0]["x"] == [-0.02]
    assert "bits per character" in str(drawn["layout"]["xaxis"]["title"])
    assert "-0.020" in alt_gaps(gaps, metric="bits_per_character")
    assert subject.gap(-0.02, "bits_per_character") == "−0.020"
    assert subject.gap(-0.02, "accuracy") == "−2.00"
    cell = {"quality": 2.31, "low": 2.3, "high": 2.32, "keys": ["k"], "difference": -0.02, "difference_low": -0.03,
            "difference_high": -0.01}  # fmt: skip
    assert "better" in sweep_sides.difference(cell)
    info = sides_info([{"cells": [cell]}], "bits", ["4"], metric="bits_per_character")
    assert "2.31" in sides_figure(info)["data"][0]["hovertext"][0]


def test_the_sentence_speaks_of_bits(of_plays: None) -> None:
    quality = {"metric": "bits_per_character", "value": 2.31, "low": 2.3, "high": 2.32, "direction": "minimize"}
    other = {"quality": {**quality, "value": 2.2}, "cost": {"packed_bytes": 40_000}}
    recipe = {"phases": []}
    run = {"quality": quality, "cost": {"packed_bytes": 9000}, "dense": other, "teacher": None, "recipe": recipe}
    paired = {"dense": {"difference": 0.11, "low": 0.1, "high": 0.12}}
    said = story.sentence(run, "trial", paired)
    assert said.startswith("**2.31 bits per character** in **9 kB**")
    assert "**0.11 bits per character worse** than its dense student" in said


def test_what_else_the_default_run_applies_stays() -> None:
    """Tables of words are rounded with the weights, norms are measured again where there are some."""
    ends = {}
    for task, bits in (("language_model", 4), ("language_model", 32), ("fashion_mnist", 32)):
        recipe = choices.to_recipe(choices.read({"task": task, "pruning": "magnitude", "bits": bits}))
        ends[task, bits] = [s["name"] for s in recipe["phases"][-1]["stages"]]
    assert ends["language_model", 4][-2:] == ["quantize_linear", "quantize_embeddings"]
    assert "quantize_embeddings" not in ends["language_model", 32]
    assert ends["fashion_mnist", 32][-1] == "recalibrate"


@pytest.mark.parametrize("task", ["text_spam", "language_model"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_the_controls_say_is_a_recipe_of_the_task(task: str, data: st.DataObject) -> None:
    rows = catalogue.current()
    loss = data.draw(st.sampled_from(rows.suited("losses", task)))
    pruning = data.draw(st.sampled_from(["none", "magnitude", "heads"]))
    bits = data.draw(st.sampled_from([1, 4, 8, 32]))
    form = choices.read({"task": task, "loss": loss, "pruning": pruning, "bits": bits})
    assert not form.problems
    again = choices.read(choices.to_url(form), parse=True)
    assert not again.problems
    recipe = Recipe.from_json(choices.to_recipe(again))
    assert Recipe.from_json(choices.to_recipe(choices.read(choices.values_of(recipe.to_json())))).key == recipe.key


@pytest.mark.parametrize("task", ["text_spam", "language_model"])
def test_the_first_preset_is_the_default_run(task: str) -> None:
    recipe = Recipe.from_json(choices.to_recipe(choices.read({"task": task})))
    assert recipe.key == Recipe.from_json(catalogue.current().row("tasks", task)["default"]).key
