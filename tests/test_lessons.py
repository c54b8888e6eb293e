"""Lessons as files: what is read, what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lesson_tools import ANSWER, CHINESE, EXPERIMENT, row, toml, words

from engine import lessons
from engine.errors import InputError
from engine.lesson_words import LENGTHS, length


def read(**changes: Any) -> lessons.Lesson:
    return lessons.read("temperature", toml(row(**changes)))


def test_a_whole_lesson_is_read() -> None:
    lesson = read()
    assert (lesson.name, lesson.order, lesson.questions, lesson.figure) == ("temperature", 3, (17,), "softmax")
    assert lesson.sources[0].link.endswith("1503.02531")
    assert lesson.figure_settings == {"temperature": 4.0}
    assert lesson.say("en").answer == ANSWER
    assert lesson.say("zh").answer == CHINESE
    assert lesson.say("en").choices["less"].why == "Because it is less."


def test_the_two_runs_share_what_is_usual() -> None:
    first, second = (read().experiment.settings(which) for which in ("first", "second"))
    assert first == {"task": "fashion_mnist", "student": "plain_1k5", "epochs": "1", "labels": "200", "bits": "32",
                     "pruning": "none", "loss": "kd"}  # fmt: skip
    assert second == {**first, "loss": "cross_entropy"}


def test_a_language_that_a_lesson_does_not_speak_is_english() -> None:
    whole = row()
    del whole["zh"]
    assert lessons.read("temperature", toml(whole)).say("zh").answer == ANSWER


def test_lines_of_a_paragraph_are_one() -> None:
    broken = ANSWER.replace(" that ", "\n  that ") + "\n\nAnd more."
    assert read(en=words(broken)).say("en").answer == ANSWER + "\n\nAnd more."


@pytest.mark.parametrize(("value", "language", "count"), [("two words", "en", 2), ("两个 字。", "zh", 4)])
def test_lengths(value: str, language: str, count: int) -> None:
    assert length(value, language) == count
    assert LENGTHS[language][0] < LENGTHS[language][1]


WITHOUT_FIRST = {k: v for k, v in words().items() if k != "first"}
WITHOUT_LESS = {k: v for k, v in words().items() if k != "less"}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"order": "third"}, "order", "a whole number"),
    ({"questions": [31]}, "questions", "from 1 to 30"),
    ({"formula": " "}, "formula", "LaTeX"),
    ({"sources": []}, "sources", "at least one"),
    ({"sources": [{"text": "x", "link": "http://example.org"}]}, "sources: link", "https://"),
    ({"sources": [{"text": "x", "url": "y"}]}, "sources", "link"),
    ({"check": {"measure": "qualty", "claim": "more"}}, "check: measure", "did you mean 'quality'"),
    ({"check": {"measure": "quality", "claim": "most", "margin": 0.1}}, "check: claim", "more"),
    ({"check": {"measure": "quality", "claim": "more"}}, "check: margin", "above 0"),
    ({"check": {"measure": "quality", "claim": "more", "margin": -1}}, "check: margin", "at least 0"),
    ({"check": {"measure": "recall", "claim": "more", "margin": 0.1}}, "check: of", "name of a class"),
    ({"check": {"measure": "quality"}}, "check", "every field"),
    ({"experiment": {**EXPERIMENT, "second": EXPERIMENT["first"]}}, "experiment: second", "other settings"),
    ({"experiment": {**EXPERIMENT, "usual": {"seed": 1}}}, "experiment: usual", "seed"),
    ({"en": words("Too short.")}, "en: answer", "80 to 150 words"),
    ({"zh": words("太短。")}, "zh: answer", "130 to 320 characters"),
    ({"en": WITHOUT_FIRST}, "en: first", "leaves none"),
    ({"en": {**words(), "title": " "}}, "en: title", "text"),
    ({"en": {**words(), "titel": "x"}}, "en: words", "did you mean 'title'"),
    ({"zh": {**WITHOUT_LESS, "answer": CHINESE}}, "choices", "in every language"),
    ({"en": {**words(), "more": {"says": "x", "why": ""}}}, "en: why", "a sentence"),
    ({"colour": "red"}, "lessons/temperature.toml", "order"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "where", "told"), REFUSED, ids=[f"{n}-{w}" for n, (_, w, _) in enumerate(REFUSED)])
def test_what_is_wrong_is_named(changes: dict[str, Any], where: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        read(**changes)
    assert "lessons/temperature.toml" in str(caught.value)
    assert where in str(caught.value)
    assert told in str(caught.value)


def test_what_is_no_toml_is_refused() -> None:
    with pytest.raises(InputError, match="a file in TOML"):
        lessons.read("temperature", "order = = 3")


def test_a_bad_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "second.toml").write_text(toml(row(order=2)), encoding="utf-8")
    (tmp_path / "first.toml").write_text(toml(row(order=1)), encoding="utf-8")
    (tmp_path / "bad.toml").write_text(toml(row(order="x")), encoding="utf-8")
    (tmp_path / "Worse.toml").write_text(toml(row()), encoding="utf-8")
    (tmp_path / "latin.toml").write_bytes("# Übung".encode("latin-1"))
    assert list(lessons.known(tmp_path)) == ["first", "second"]
    assert len(lessons.problems(tmp_path)) == 3
    (tmp_path / "bad.toml").write_text(toml(row(order=0)), encoding="utf-8")
    assert list(lessons.known(tmp_path)) == ["bad", "first", "second"]
