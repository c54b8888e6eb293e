"""What happened, in words: every comparison that the sentence can make."""

from __future__ import annotations

from typing import Any

import pytest

from pages.parts import story

RECIPE = {"phases": [{"epochs": 3, "stages": []}, {"epochs": 0, "stages": [{"name": "quantize_linear", "bits": 8}]}]}


def _cost(size: int, **latency: Any) -> dict[str, Any]:
    return {"packed_bytes": size, "latency": {"median_ms": 0.05, "simulated": False, "slower_here": False, **latency}}


def _run(**latency: Any) -> dict[str, Any]:
    def other(value: float, size: int) -> dict[str, Any]:
        return {"quality": {"value": value}, "cost": _cost(size)}

    return {
        "recipe": RECIPE, "quality": {"metric": "accuracy", "value": 0.894, "direction": "maximize"},
        "cost": _cost(4000, **latency), "dense": other(0.9, 36_400), "teacher": other(0.9, 2_000_000), "baseline": None,
    }  # fmt: skip


def _paired(low: float, high: float) -> dict[str, dict[str, float]]:
    return {"dense": {"difference": (low + high) / 2, "low": low, "high": high}}


def test_the_sentence_of_the_specification() -> None:
    said = story.sentence(
        _run(slower_here=True, ratio=1.31, ratio_low=1.28, ratio_high=1.34, cause="too small"), "trial", {}
    )
    assert said.startswith("**89.4 %** right in **4 kB**: **9.1× smaller** than its dense student")
    assert "**500× smaller** than the teacher" in said
    assert "**0.6 points below** the teacher" in said
    assert "**1.3× slower here** because the network is so small" in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.004, 0.002, "no clear difference from its dense student (interval −0.4 to +0.2 points)"),
        (-0.012, -0.004, "**0.8 points below** its dense student"),
        (0.004, 0.012, "**0.8 points above** its dense student"),
    ],
)
def test_a_paired_interval_decides_whether_a_difference_is_one(low: float, high: float, said: str) -> None:
    assert said in story.sentence(_run(), "trial", _paired(low, high))


@pytest.mark.parametrize(
    ("latency", "said"),
    [
        ({"simulated": True}, "simulated"),
        ({"ratio": 0.5, "ratio_low": 0.49, "ratio_high": 0.51}, "**2.0× faster** here"),
        ({"ratio": 1.01, "ratio_low": 0.98, "ratio_high": 1.04}, "as fast as its dense student"),
        ({"ratio": 1.2, "ratio_low": 1.1, "ratio_high": 1.3}, "1.2× slower here"),
    ],
)
def test_speed_is_said_as_it_was_measured(latency: dict[str, Any], said: str) -> None:
    assert said in story.sentence(_run(**latency), "trial", {})


def test_a_time_that_was_not_measured_is_not_mentioned() -> None:
    run = _run()
    run["cost"]["latency"] = None
    assert "here" not in story.sentence(run, "trial", {})


def test_a_teacher_and_a_dense_student_are_compared_with_nobody_or_the_teacher() -> None:
    assert story.sentence(_run(), "teacher", {}) == "**89.4 %** right in **4 kB**."
    assert "dense student" not in story.sentence(_run(), "dense", {})


@pytest.mark.parametrize(
    "name", ["no kernel", "conversion nodes", "zeros in a dense kernel", "memory-bound", "too small"]
)
def test_every_cause_has_words_of_its_own(name: str) -> None:
    assert story.cause(name) != story.cause(None)


def test_causes_are_those_that_are_measured() -> None:
    from engine.measure.causes import CAUSES

    assert all(story.cause(name) != story.cause(None) for name in CAUSES)


def test_text_that_comes_from_elsewhere_is_escaped() -> None:
    assert story.html("a **b** <script>") == "a <b>b</b> &lt;script&gt;"


def test_recipes_in_half_a_line() -> None:
    row = {"student": "plain_10k", "loss": "kd", "temperature": 4.0, "pruning": "magnitude", "schedule": "gradual",
           "sparsity": 0.5, "bits": 8, "role": "trial"}  # fmt: skip
    assert story.recipe_words(row) == "plain 10k · soft targets, T = 4 · 50 % zeros gradually · 8 bits"
    dense = row | {"pruning": "none", "sparsity": 0.0, "bits": 32, "loss": "cross_entropy", "temperature": None}
    assert story.recipe_words(dense) == "plain 10k · labels alone · no pruning · 32 bits"
    assert story.recipe_words({"role": "teacher"}) == "the teacher itself"
