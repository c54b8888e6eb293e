"""The lessons that come with the project: what they ask for can run, and is said in both languages."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from loss_tools import gradient, logits

from benchmarks import evidence_lessons
from engine import catalogue, live, registry
from engine.lesson_words import LANGUAGES
from engine.lessons import Lesson, known, problems
from engine.recipe import Recipe

LESSONS = known()
each = pytest.mark.parametrize("lesson", LESSONS.values(), ids=list(LESSONS))


def pair(lesson: Lesson, seed: int = 3) -> list[Recipe]:
    return [Recipe.from_json(recipe) for recipe in evidence_lessons.recipes(lesson, seed)]


def test_every_file_is_a_lesson_of_its_own_place() -> None:
    assert problems() == []
    assert len(LESSONS) >= 10
    assert sorted(lesson.order for lesson in LESSONS.values()) == list(range(1, len(LESSONS) + 1))
    asked = {number for lesson in LESSONS.values() for number in lesson.questions}
    assert asked >= {1, 2, 3, 4, 6, 7, 10, 11, 13, 15, 16, 17, 18, 19, 27}


@each
def test_both_runs_are_recipes_of_the_learners_seed(lesson: Lesson) -> None:
    first, second = pair(lesson)
    assert first.key != second.key
    assert (first.seed, second.seed) == (3, 3)
    assert first.task == second.task == lesson.experiment.task
    assert sum(p.epochs for p in first.phases) <= 3  # a class waits for it
    if lesson.check.of:
        assert lesson.check.of in catalogue.current().row("tasks", first.task)["class_names"]


@each
def test_words_are_there_in_every_language(lesson: Lesson) -> None:
    for language in LANGUAGES:
        words = lesson.say(language)
        assert set(words.choices) == set(lesson.check.answers)
        said = [words.answer, words.look, words.truth, words.undecided, *(c.why for c in words.choices.values())]
        assert not any(re.search(r"[@{}$]", text) for text in said)
        chinese = [bool(re.search(r"[\u4e00-\u9fff]", text)) for text in (words.title, words.question, *said)]
        assert all(chinese) if language == "zh" else not any(chinese)


@each
def test_no_space_is_left_where_a_line_of_chinese_ends(lesson: Lesson) -> None:
    words = lesson.say("zh")
    said = [words.answer, words.look, words.truth, words.undecided, *(c.why for c in words.choices.values())]
    assert not any(re.search(r"[，。：；、？！）”] |[\u4e00-\u9fff] [\u4e00-\u9fff]", text) for text in said)


@each
def test_the_live_figure_stands_where_the_lesson_says(lesson: Lesson) -> None:
    assert lesson.figure
    if lesson.figure in live.FIGURES:
        live.find(lesson.figure).check(lesson.figure_settings)


def without_square(weight: float, temperature: float, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """The gradient by the student's logits of the loss that lacks T squared."""
    scores = student.clone().requires_grad_()
    soft = F.kl_div((scores / temperature).log_softmax(1), (teacher / temperature).softmax(1), reduction="batchmean")
    loss = (1 - weight) * F.cross_entropy(scores, torch.arange(len(scores))) + weight * soft
    return torch.autograd.grad(loss, scores)[0]


def test_the_second_run_about_soft_targets_is_the_first_without_t_squared() -> None:
    """By the loss that the engine trains with: a common factor is all that differs, and Adam divides by it."""
    parts = [recipe.phases[0].loss[0] for recipe in pair(LESSONS["soft_targets"])]
    assert [part.name for part in parts] == ["kd", "kd"]
    losses = [registry.get("losses", "kd")(**dict(part.values)) for part in parts]
    weight, temperature = parts[0].get("weight"), parts[0].get("temperature")
    student, teacher = logits(1), logits(2)
    lacking = without_square(weight, temperature, student, teacher)
    kept, left_out = (gradient(loss, student, teacher) for loss in losses)
    ratio = float(left_out.norm() / lacking.norm())
    torch.testing.assert_close(left_out, ratio * lacking, rtol=5e-3, atol=1e-5)
    assert torch.cosine_similarity(kept.flatten(), lacking.flatten(), 0) < 0.9


def test_softer_answers_say_more_of_a_class_that_was_left_out() -> None:
    """What the lesson says of sneakers: the teacher's mean probability that one is a boot, at both temperatures."""
    task = registry.get("tasks", "fashion_mnist")
    scores = torch.as_tensor(task.shipped_outputs("teacher", "sample", "validation")).float()
    labels = task.split("sample", "validation").labels
    sneakers = scores[labels == task.class_names.index("Sneaker")]
    boot = task.class_names.index("Ankle boot")
    said = [round(100 * float((sneakers / t).softmax(1)[:, boot].mean())) for t in (4.0, 0.5)]
    assert said == [13, 2]
    assert all(f"{share} %" in LESSONS["temperature"].say(language).choices["more"].why
               for share in said for language in LANGUAGES)  # fmt: skip
