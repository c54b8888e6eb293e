"""A claim is a value: what is compared, by what, over which seeds, and how large an effect counts.

The least effect is written down, and committed, before anything is run: a difference that is real but smaller does not
show the claim. A claim has up to three settings. The next one is run only where those before did not show it, and the
table tells how many were tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.recipe import Recipe
from engine.statistics import Difference

TASK = "fashion_mnist"
SHOWN, NOT_SHOWN, OPPOSITE = "shown", "not shown", "opposite"
FIVE = (0, 1, 2, 3, 4)
THREE = FIVE[:3]
LABELS: dict[str, Any] = {"name": "cross_entropy"}
SOFT: dict[str, Any] = {"name": "kd", "temperature": 2.0, "weight": 0.9}
RECALIBRATE: dict[str, Any] = {"name": "recalibrate"}
Json = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """Two recipes, as JSON without seeds, that differ in what the claim is about; ``words`` name the setting."""

    words: str
    method: Mapping[str, Any]
    control: Mapping[str, Any]

    def pair(self, seed: int) -> tuple[Recipe, Recipe]:
        """Method and control with one seed."""
        return of_seed(self.method, seed), of_seed(self.control, seed)


@dataclass(frozen=True)
class Claim:
    """``least`` above 0: the method is better by that much; 0 or below: it is worse by no more than that.

    ``measure`` is one of :data:`benchmarks.claims.measures.MEASURES`, a share of validation images; ``least`` is a
    fraction of one.
    """

    name: str
    question: str
    source: str
    least: float
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...] = FIVE
    measure: str = "accuracy"

    def verdict(self, found: Difference) -> str:
        """What a paired difference (method minus control) says about this claim."""
        return verdict(found, self.least)


def verdict(found: Difference, least: float) -> str:
    """Better by ``least`` with an interval above zero, or (``least`` <= 0) an interval that lies above ``least``.

    The opposite is shown by an interval below zero, or below ``least`` where a loss of that size was allowed.
    """
    floor = min(least, 0.0)
    if found.high < floor:
        return OPPOSITE
    return SHOWN if found.low > floor and found.difference >= least else NOT_SHOWN


def of_seed(body: Mapping[str, Any], seed: int) -> Recipe:
    """The recipe of a body with one seed; teachers that are recipes keep their own."""
    return Recipe.from_json({**body, "seed": seed})


def body(student: str, *phases: Json, **more: Any) -> Json:
    """A recipe of the task without a seed."""
    return {"task": TASK, "student": student, "phases": list(phases), **more}


def train(
    epochs: int, *stages: Json, loss: Json | Sequence[Json] = LABELS, teachers: Sequence[Any] | None = None
) -> Json:
    """A phase that trains under ``stages``; losses other than the labels' have the shipped teacher if none is named."""
    losses = [loss] if isinstance(loss, Mapping) else list(loss)
    taught = any(part["name"] != LABELS["name"] for part in losses)
    named = (["teacher"] if taught else []) if teachers is None else list(teachers)
    return {"epochs": epochs, "loss": losses, "teachers": named, "stages": list(stages)}


def apply(*stages: Json) -> Json:
    """A phase that only applies its stages."""
    return {"epochs": 0, "stages": list(stages)}
