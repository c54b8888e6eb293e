"""What a lesson says, in one language: checked for length and for having an explanation for every answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from engine.errors import InputError, unknown_name

LANGUAGES = ("en", "zh")
OUTCOMES = ("more", "less", "same")
UNDECIDED = "undecided"
# of the answer: words in English, characters in Chinese, which needs about two for a word
LENGTHS = {"en": (80, 150), "zh": (130, 320)}
# where a line of Chinese ends no space is due: after its punctuation, and between two of its characters
NO_SPACE = re.compile(r"(?<=[，。：；、？！）”]) | (?=[，。：；、？！（“])|(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")


@dataclass(frozen=True)
class Choice:
    """One answer that a learner may predict: what it ``says``, and ``why`` it does or does not come out."""

    says: str
    why: str

    def __post_init__(self) -> None:
        for name in ("says", "why"):
            if not getattr(self, name).strip():
                raise InputError(name, getattr(self, name), "a sentence")


@dataclass(frozen=True)
class Words:
    """The words of a lesson in one language; ``choices`` by outcome, ``first`` and ``second`` name the two runs."""

    title: str
    question: str
    answer: str
    look: str
    misconception: str
    truth: str
    first: str
    second: str
    predict: str
    undecided: str
    choices: Mapping[str, Choice]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name != "choices" and not (isinstance(value, str) and value.strip()):
                raise InputError(field.name, value, "text")

    @classmethod
    def of(cls, row: Mapping[str, Any], language: str) -> Words:
        """From the table of a lesson's file; raises :class:`InputError`."""
        fields = [f.name for f in dataclasses.fields(cls) if f.name != "choices"]
        for name in row:
            if name not in (*fields, *OUTCOMES):
                raise unknown_name("words", name, (*fields, *OUTCOMES))
        for name in fields:
            if name not in row:
                raise InputError(name, None, "text; a lesson leaves none of its words out")
        _check_length(str(row["answer"]), language)
        choices = {o: Choice(**_choice(row[o], o)) for o in OUTCOMES if o in row}
        return cls(**{name: _joined(row[name]) for name in fields}, choices=MappingProxyType(choices))


def length(text: str, language: str) -> int:
    """How long a text is: in words, or in characters without spaces where a language puts none between words."""
    return len("".join(text.split())) if language == "zh" else len(text.split())


def _check_length(text: str, language: str) -> None:
    low, high = LENGTHS[language]
    found = length(text, language)
    if not low <= found <= high:
        raise InputError("answer", f"{found} long", f"{low} to {high} {'characters' if language == 'zh' else 'words'}")


def _choice(row: Any, outcome: str) -> dict[str, str]:
    if not isinstance(row, Mapping) or set(row) != {"says", "why"}:
        raise InputError(outcome, row, "a table with says and why")
    return {name: _joined(text) for name, text in row.items()}


def _joined(text: Any) -> Any:
    """Lines of one paragraph as one line; an empty line stays between paragraphs."""
    if not isinstance(text, str):
        return text
    return "\n\n".join(NO_SPACE.sub("", " ".join(part.split())) for part in text.split("\n\n") if part.strip())
