"""A lesson as a teacher would write it, for tests that change one place of it."""

from __future__ import annotations

from typing import Any

ANSWER = " ".join(["A student may learn from the answers of a teacher, and that is all that this sentence says."] * 5)
CHINESE = "学生模型可以向教师模型学习，教师给出的概率分布比单独一个标签含有更多的信息。" * 4
EXPERIMENT = {
    "task": "fashion_mnist",
    "usual": {"student": "plain_1k5", "epochs": 1, "labels": 200, "bits": 32, "pruning": "none"},
    "first": {"loss": "kd"},
    "second": {"loss": "cross_entropy"},
}


def words(answer: str = ANSWER, **more: Any) -> dict[str, Any]:
    """The words of one language."""
    names = ("title", "question", "look", "misconception", "truth", "first", "second", "predict", "undecided")
    choices = {o: {"says": f"It is {o}.", "why": f"Because it is {o}."} for o in ("more", "less", "same")}
    return {"answer": answer, **{n: f"The {n} of it." for n in names}, **choices, **more}


def row(**changes: Any) -> dict[str, Any]:
    """A whole lesson's file as plain data."""
    whole = {
        "order": 3,
        "questions": [17],
        "formula": r"p_i = e^{z_i / T}",
        "sources": [{"text": "Hinton et al. 2015, section 2", "link": "https://arxiv.org/abs/1503.02531"}],
        "figure": {"name": "softmax", "settings": {"temperature": 4.0}},
        "experiment": EXPERIMENT,
        "check": {"measure": "quality", "claim": "more", "margin": 0.01},
        "en": words(),
        "zh": words(CHINESE),
    }
    return {**whole, **changes}


def toml(value: Any) -> str:
    """Plain data as TOML; only what lessons need."""
    tables = {k: v for k, v in value.items() if isinstance(v, dict)}
    lines = [f"{k} = {inline(v)}" for k, v in value.items() if k not in tables]
    return "\n".join([*lines, *(f"{k} = {inline(v)}" for k, v in tables.items())])


def inline(value: Any) -> str:
    """One value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{text}"'
    return str(value)
