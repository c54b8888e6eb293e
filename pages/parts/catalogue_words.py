"""What the catalogue says, in the session's language: titles, help, what to expect, settings, classes.

English stands with each plug-in and is the fallback, so that a method from a folder of plug-ins speaks English
everywhere. Another language stands in ``pages/words/<language>/catalogue/*.json`` by kind, name and field; help that
several methods share word for word stands once, under ``knobs``. No Streamlit here.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine import catalogue
from engine.knobs import Knob
from pages.parts import words

FIELDS = ("title", "help", "expect", "caveat", "licence", "source")  # citations may stay as they are
NUMBERED = re.compile(r"(.+?)( \(\d+\))")  # several alike are told apart by a number
GROUP = "teaching_"  # before a loss's setting that a stage has, too (pages.parts.choices)
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


def field_of(kind: str, name: str, field: str, english: str | None = None) -> str:
    """One field of one row; ``english`` for kinds that the catalogue does not hold (ready-made ``sweeps``)."""
    said = _own(kind, name).get(field)
    if said is None:
        said = catalogue.current().row(kind, name).get(field, "") if english is None else english
    return str(said)


def title_of(kind: str, name: str) -> str:
    """What a task, model, loss or stage is called."""
    return field_of(kind, name, "title")


def help_of(kind: str, name: str) -> str:
    """What it does, in two or three sentences."""
    return field_of(kind, name, "help")


def called(kind: str, name: str) -> str:
    """A short name where the messages have none: English says the plug-in's own name, another language its title."""
    return str(_own(kind, name).get("title") or name.replace("_", " "))


def row(kind: str, name: str) -> dict[str, Any]:
    """The catalogue's row as a page shows it: its words, classes and settings in the session's language."""
    found, own = catalogue.current().row(kind, name), _own(kind, name)
    said = {field: own[field] for field in FIELDS if field in own}
    said["knobs"] = [{**knob, "help": _help(own, knob["name"], knob["help"])} for knob in found["knobs"]]
    if "class_names" in own:
        said["class_names"] = list(class_names(name, found["class_names"]))
    return {**found, **said}


def knobs(kind: str, name: str) -> tuple[Knob, ...]:
    """The knobs of a loss or stage, with their help in the session's language."""
    own = _own(kind, name)
    return tuple(dataclasses.replace(k, help=_help(own, k.name, k.help)) for k in catalogue.current().knobs(kind, name))


def setting(name: str) -> str:
    """A setting in the middle of a sentence: English says its own name, another language what it calls it."""
    own = _spoken("labels")
    said = own.get(name) or (own and (words.find(f"label.{name}") or words.find(f"sweep_label.{name}")))
    return str(said or name.replace("_", " "))


def label(name: str) -> str:
    """A setting's name as a label, where the messages have none; a group in front of it says nothing more."""
    said = setting(name.removeprefix(GROUP))
    return said[:1].upper() + said[1:]


def option(name: str, value: Any) -> str:
    """A choice of a setting in words: of the messages, of a language's own, or the name itself."""
    said = words.find(f"option.{name}.{'none' if value is None else value}")
    return said or str(_spoken("options").get(name, {}).get(str(value)) or value).replace("_", " ")


def axis(name: str) -> str:
    """What a sweep calls a setting that varies: English keeps the name of the sweep's file."""
    return setting(name) if _spoken("labels") else name


def axis_value(name: str, value: str) -> str:
    """A word among the values of an axis: a choice, or a loss by the English title that the sweep's file has."""
    if not _spoken("labels"):
        return value
    found = NUMBERED.fullmatch(value)
    plain, number = found.groups() if found else (value, "")
    for loss, row in catalogue.current().rows["losses"].items():
        if row["title"] == plain:
            return title_of("losses", loss) + number
    return option(name, value) if name in _spoken("options") or words.find(f"option.{name}.{value}") else value


def class_name(task: str, name: str) -> str:
    """A class of a task, as people call it."""
    return str(_own("tasks", task).get("class_names", {}).get(name, name))


def class_names(task: str, names: Iterable[str]) -> tuple[str, ...]:
    """Classes of a task in their order."""
    return tuple(class_name(task, name) for name in names)


def _help(own: Row, name: str, english: str) -> str:
    """Help of one setting of the row ``own``; a plug-in without words of its own may mean something else by a name."""
    return str(own.get("knobs", {}).get(name) or _spoken("knobs").get(name) or english) if own else english


def _own(kind: str, name: str) -> Row:
    found: Row = _spoken(kind).get(name, {})
    return found


def _spoken(part: str) -> Row:
    found: Row = load(words.language()).get(part, {})
    return found
