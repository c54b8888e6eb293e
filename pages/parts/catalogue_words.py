"""What the catalogue says, in the session's language: titles, help, what to expect, settings, classes.

English stands with each plug-in and is the fallback, so that a method from a folder of plug-ins speaks English
everywhere. Another language stands in ``pages/words/<language>/catalogue/*.json`` by kind, name and field; help that
several methods share word for word stands once, under ``knobs``. No Streamlit here.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from engine import catalogue
from engine.knobs import Knob
from pages.parts import words

FIELDS = ("title", "help", "expect", "caveat")
Row = Mapping[str, Any]


@functools.lru_cache(maxsize=8)
def load(language: str) -> Row:
    """Everything of one language: rows by kind and name, then ``knobs``, ``labels`` and ``options``; empty of English.

    Two files that claim the same place are a mistake in the program.
    """
    found: dict[str, Any] = {}
    for path in sorted((words.FOLDER / language / "catalogue").glob("*.json")):
        read = json.loads(path.read_text(encoding="utf-8"))
        if twice := read.keys() & found.keys():
            raise ValueError(f"{path.name} repeats {sorted(twice)}")
        found |= read
    return found


def text(kind: str, name: str, field: str, english: str | None = None) -> str:
    """One field of one row; ``english`` for kinds that the catalogue does not hold (ready-made ``sweeps``)."""
    said = _own(kind, name).get(field)
    if said is None:
        said = catalogue.current().row(kind, name).get(field, "") if english is None else english
    return str(said)


def title(kind: str, name: str) -> str:
    """What a task, model, loss or stage is called."""
    return text(kind, name, "title")


def help_of(kind: str, name: str) -> str:
    """What it does, in two or three sentences."""
    return text(kind, name, "help")


def row(kind: str, name: str) -> dict[str, Any]:
    """The catalogue's row with its words in the session's language."""
    found, own = catalogue.current().row(kind, name), _own(kind, name)
    return {**found, **{field: own[field] for field in FIELDS if field in own}}


def knobs(kind: str, name: str) -> tuple[Knob, ...]:
    """The knobs of a loss or stage, with their help in the session's language."""
    found = catalogue.current().knobs(kind, name)
    return tuple(dataclasses.replace(k, help=knob_help(kind, name, k)) for k in found)


def knob_help(kind: str, name: str, knob: Knob) -> str:
    """What one setting of a loss or stage does."""
    own = _own(kind, name)
    if not own:  # of a folder of plug-ins: its setting may mean something else than ours of the same name
        return knob.help
    return str(own.get("knobs", {}).get(knob.name) or _spoken("knobs").get(knob.name) or knob.help)


def label(name: str) -> str:
    """A setting's name in words, where the messages have none."""
    return str(_spoken("labels").get(name) or name.replace("_", " ").capitalize())


def option(name: str, value: Any) -> str:
    """A choice of a setting in words, where the messages have none."""
    return str(_spoken("options").get(name, {}).get(str(value)) or str(value).replace("_", " "))


def class_name(task: str, name: str) -> str:
    """A class of a task, as people call it."""
    return str(_own("tasks", task).get("class_names", {}).get(name, name))


def class_names(task: str, names: Iterable[str]) -> tuple[str, ...]:
    """Classes of a task in their order."""
    return tuple(class_name(task, name) for name in names)


def _own(kind: str, name: str) -> Row:
    found: Row = _spoken(kind).get(name, {})
    return found


def _spoken(part: str) -> Row:
    found: Row = load(words.language()).get(part, {})
    return found
