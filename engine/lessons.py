"""Lessons as data: one TOML file each in ``lessons/``, read and checked. No torch.

A lesson asks one question, answers it in words, and lets two recipes run whose measured difference says whether the
learner's prediction held (:mod:`engine.lesson_check`). ``docs/lessons.md`` tells how to write one; no code is needed.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine.errors import InputError, StillhouseError, unknown_name
from engine.lesson_check import Check
from engine.lesson_words import LANGUAGES, Words

FOLDER = Path(__file__).resolve().parents[1] / "lessons"
NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
FIELDS = ("order", "questions", "formula", "sources", "figure", "experiment", "check", *LANGUAGES)
QUESTIONS = 30  # that people bring along; docs/lessons.md lists them
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """Where the answer can be read: a citation with its section, and a link (empty: none)."""

    text: str
    link: str = ""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InputError("text", self.text, "a citation such as 'Hinton et al. 2015, section 2'")
        if self.link and not self.link.startswith("https://"):
            raise InputError("link", self.link, "an address that begins with https://")


@dataclass(frozen=True)
class Experiment:
    """Two runs of one task: settings that both share, then what each has of its own, in the words of Explore's address.

    The seed is the learner's; a lesson does not name one.
    """

    task: str
    usual: Settings
    first: Settings
    second: Settings

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise InputError("second", dict(self.second), "other settings than those of first")
        for part, settings in (("usual", self.usual), ("first", self.first), ("second", self.second)):
            for name in ("seed", "task"):
                if name in settings:
                    raise InputError(part, name, "settings without seed (the learner's) and task (named once)")

    def settings(self, which: str) -> dict[str, str]:
        """The settings of ``first`` or ``second`` as an address writes them."""
        chosen = {"first": self.first, "second": self.second}[which]
        return {"task": self.task} | {name: written(value) for name, value in {**self.usual, **chosen}.items()}


@dataclass(frozen=True)
class Lesson:
    """One lesson. ``figure`` names a live figure, ``figure_settings`` where its controls stand at the beginning."""

    name: str
    order: int
    questions: tuple[int, ...]
    formula: str
    sources: tuple[Source, ...]
    figure: str
    figure_settings: Settings
    experiment: Experiment
    check: Check
    words: Mapping[str, Words]

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InputError("file name", self.name, "small letters, digits and _, such as temperature.toml")
        if bad := [q for q in self.questions if not 1 <= q <= QUESTIONS]:
            raise InputError("questions", bad[0], f"whole numbers from 1 to {QUESTIONS}")
        if not self.formula.strip():
            raise InputError("formula", self.formula, "one formula in LaTeX")
        if not self.sources:
            raise InputError("sources", [], "at least one source")
        if "en" not in self.words:
            raise InputError("en", None, "the lesson's words in English; other languages are optional")

    def say(self, language: str) -> Words:
        """The words in a language, in English where the lesson does not speak it."""
        return self.words.get(language, self.words["en"])


def written(value: Any) -> str:
    """A setting as an address writes it."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def read(name: str, text: str) -> Lesson:
    """The lesson that a file's text means; raises :class:`InputError` that names the place in it."""
    where = f"lessons/{name}.toml"
    try:
        row = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise InputError(where, str(problem), "a file in TOML") from None
    for field in row:
        if field not in FIELDS:
            raise unknown_name(where, field, FIELDS)
    with _inside(where):
        return _lesson(name, row)


def _lesson(name: str, row: Mapping[str, Any]) -> Lesson:
    figure, spoken = _table(row, "figure"), {}
    for language in LANGUAGES:
        if language in row:
            with _inside(language):
                spoken[language] = Words.of(_table(row, language), language)
    with _inside("sources"):
        sources = tuple(Source(**_only(s, ("text", "link"), "sources")) for s in row.get("sources", ()))
    with _inside("experiment"):
        experiment = _experiment(_table(row, "experiment"))
    with _inside("check"):
        check = Check(**_only(_table(row, "check"), Check.__dataclass_fields__, "check"))
    missing = [o for w in spoken.values() for o in check.answers if o not in w.choices]
    if missing:
        raise InputError("choices", missing[0], f"a choice for each of {', '.join(check.answers)} in every language")
    return Lesson(
        name, _int(row, "order"), tuple(row.get("questions", ())), str(row.get("formula", "")), sources,
        str(figure.get("name", "")), MappingProxyType(dict(figure.get("settings", {}))), experiment, check,
        MappingProxyType(spoken),
    )  # fmt: skip


def _experiment(row: Mapping[str, Any]) -> Experiment:
    _only(row, ("task", "usual", "first", "second"), "experiment")
    parts = {part: MappingProxyType(dict(row.get(part, {}))) for part in ("usual", "first", "second")}
    return Experiment(task=str(row.get("task", "")), **parts)


def known(folder: Path | None = None) -> dict[str, Lesson]:
    """Every lesson that can be read, by name, in their order."""
    return _load(folder or FOLDER)[0]


def problems(folder: Path | None = None) -> list[str]:
    """One line for each file that is no lesson; nothing vanishes without a word."""
    return _load(folder or FOLDER)[1]


def _load(folder: Path) -> tuple[dict[str, Lesson], list[str]]:
    paths = sorted(folder.glob("*.toml"))
    return _read_all(tuple((path, path.stat().st_mtime_ns) for path in paths))


@functools.lru_cache(maxsize=4)
def _read_all(files: tuple[tuple[Path, int], ...]) -> tuple[dict[str, Lesson], list[str]]:
    found, bad = [], []
    for path, _ in files:
        try:
            found.append(read(path.stem, path.read_text(encoding="utf-8")))
        except (StillhouseError, UnicodeDecodeError) as problem:
            bad.append(str(problem))
    return {lesson.name: lesson for lesson in sorted(found, key=lambda one: (one.order, one.name))}, bad


class _inside:  # noqa: N801  a context manager that reads as a word
    """Put the place before what an error says of a part of it."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: object) -> None:
        if isinstance(problem, InputError):
            place = f"{self.where}: {problem.where}"
            raise InputError(place, problem.value, problem.allowed, problem.suggestion) from None
        if isinstance(problem, TypeError):  # a value left out, or one of another kind
            raise InputError(
                self.where, str(problem), "every field, each of its own kind; see docs/lessons.md"
            ) from None


def _table(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = row.get(name)
    if not isinstance(table, Mapping):
        raise InputError(name, table, f"a table [{name}]")
    return table


def _only(row: Any, fields: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise InputError(where, row, "a table")
    for name in row:
        if name not in fields:
            raise unknown_name(where, name, fields)
    return dict(row)


def _int(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(name, value, "a whole number")
    return value
