"""The evidence on lessons: when a claim holds, what is asked for, and what the page says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import evidence_lessons
from benchmarks.evidence_lessons import Run, held, report
from engine.errors import InputError
from engine.lesson_check import Finding
from engine.lessons import Lesson, known

LESSON = known()["distillation"]  # whose claim is "same"
RESULT = {"quality": {"value": 0.88}, "cost": {"packed_bytes": 17_900}}


def runs(**outcomes: int) -> list[Run]:
    names = list(Counter(outcomes).elements())
    return [
        Run(i, Finding(0.001 * i, -0.01, 0.01, n, 5000, 0.88, 0.87), RESULT, RESULT, 20.0, 1.5)
        for i, n in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({"same": 10}, True), ({"same": 9, "undecided": 1}, True), ({"same": 9, "more": 1}, True),
        ({"same": 8, "undecided": 2}, False), ({"more": 10}, False), ({"same": 9}, False),
    ],
)  # fmt: skip
def test_a_claim_holds_where_it_comes_nine_times_in_ten(outcomes: dict[str, int], expected: bool) -> None:
    assert held(LESSON, runs(**outcomes), asked=10) is expected


def test_the_page_counts_what_came() -> None:
    text = report([(LESSON, runs(same=9, undecided=1)), (known()["temperature"], [])], 10)
    row = next(line for line in text.splitlines() if line.startswith("| [`distillation`]"))
    assert "| same | 0 | 9 | 0 | 1 | **yes** | 0.0045 (0 to 0.009) | 20 | 1.5 |" in row
    assert next(line for line in text.splitlines() if "`temperature`" in line).count("| no |") == 1
    assert text.count("17,900") == 22  # two a seed, and their means
    assert "| mean | 0.88 | 0.87 | 88.0 % | 88.0 % | 17,900 | 17,900 | 0.0045 |" in text


def test_what_was_measured_with_other_settings_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "distillation-0"
    folder.mkdir()
    assert evidence_lessons.run_of(LESSON, 0, tmp_path) is None
    (folder / "distillation.json").write_text(json.dumps({"keys": ["a", "b"], "seconds": 1.0, "load": 1.0}))
    assert evidence_lessons.run_of(LESSON, 0, tmp_path) is None


def test_a_lesson_that_explore_would_refuse_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bad: Lesson = LESSON
    monkeypatch.setattr(type(bad.experiment), "settings", lambda self, which: {"task": "fashion_mnist", "epochs": "0"})
    with pytest.raises(InputError, match="distillation"):
        evidence_lessons.recipes(bad, 0)
