"""One setting of the page *Explore* and all of them: knobs with their places, valid values, what was refused.

No Streamlit here; :mod:`pages.parts.choices` makes them from the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.errors import InputError
from engine.knobs import Knob
from pages.parts.words import say


@dataclass(frozen=True)
class Field:
    """One setting: a knob with its place on the page; ``options`` lists the only values that are allowed."""

    knob: Knob
    group: str
    part: str = ""
    options: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """The widget's key and the name in the URL."""
        return self.knob.name

    def check(self, value: Any, parse: bool) -> Any:
        """The canonical value; raises InputError. ``parse``: the value is text from a URL."""
        where = say("url.where", name=self.name) if parse else self.name
        read = self.knob.parse(value, where) if parse else self.knob.check(value, where)
        if self.options and read not in self.options:
            allowed = ", ".join("none" if o is None else str(o) for o in self.options)
            raise InputError(where, value, allowed)
        return read


@dataclass
class Form:
    """Fields in the order of the page with a valid value for each, and one line for every value refused."""

    fields: list[Field] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def group(self, name: str) -> list[Field]:
        """The fields of one group of the page."""
        return [f for f in self.fields if f.group == name]

    def get(self, name: str) -> Any:
        """A value, None where the form has no such field."""
        return self.values.get(name)
