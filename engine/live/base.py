"""What a live figure is: knobs, what they show (pure numpy), the picture, its words, and a few numbers beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.figures.theme import Theme
from engine.knobs import Knob, check_values

UNITS = ("", "bits", "bytes", "count", "db", "ms", "nats", "points", "share", "times")
Values = Mapping[str, Any]
Words = Mapping[str, str]  # of one figure, by name; templates are filled by str.format


def class_of(words: Words, name: str) -> str:
    """A class of the images in the language of ``words``, whose entry is ``class_`` and its English name."""
    return words.get(f"class_{name}", name)


@dataclass(frozen=True)
class Fact:
    """A number beside the picture: its name in the figure's words, its value, its unit (one of ``UNITS``)."""

    name: str
    value: float
    unit: str = ""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"{self.unit!r} is no unit of a fact")


@dataclass(frozen=True)
class Live:
    """One live figure. No training, no torch: all of it takes a few milliseconds.

    ``knobs`` are its controls, its parameters in an address and its settings in a lesson's file. ``info`` computes what
    is shown from checked values; ``draw`` makes an SVG of that, ``alt`` a text for those who cannot see it, ``facts``
    the numbers beside it.
    """

    name: str
    knobs: tuple[Knob, ...]
    info: Callable[[Values], Any]
    draw: Callable[[Any, Theme, Words], str]
    alt: Callable[[Any, Words], str]
    facts: Callable[[Any], tuple[Fact, ...]]

    def check(self, values: Values) -> dict[str, Any]:
        """Every knob's value, missing ones at their default; raises :class:`InputError` with what is allowed."""
        return check_values(self.knobs, values, self.name)

    def knob(self, name: str) -> Knob:
        """One knob by its name."""
        return next(k for k in self.knobs if k.name == name)
