"""Every word that a person reads comes from a message file; numbers are written by engine.units, as in the charts.

``pages/words/<language>/`` holds one file a page and ``common.json`` for what several pages say; together they are one
tree, nested by place, and ``say("run.button")`` walks it. Help of knobs, tasks, models, losses and stages is not
repeated there: the catalogue is its English source. What is said otherwise of texts than of images stands at the same
place in ``<language>/text/``, of running text in ``<language>/tokens/``; all else is said of any task.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError
from pages.parts import subject
from pages.parts.language import ENGLISH
from pages.parts.language import current as language

# what a setting takes, in the engine's words
NUMBERS = re.compile(
    r"a (?P<noun>whole number|number|size|time|proportion)"
    r"(?: from (?P<low>\S+) to (?P<high>\S+)| of at least (?P<least>\S+)|(?P<above> above 0))?"
    r"(?: such as (?P<examples>.+?))?(?P<none> or none)?"
)
FOLDER = Path(__file__).resolve().parents[1] / "words"


@functools.lru_cache(maxsize=16)
def load(language: str = ENGLISH, of: str = "") -> Mapping[str, Any]:
    """The messages of one language, or those that are special to the examples ``of`` one kind of task.

    Two files that claim the same place are a mistake in the program.
    """
    messages: dict[str, Any] = {}
    for path in sorted((FOLDER / language / of).glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if twice := found.keys() & messages.keys():
            raise ValueError(f"{path.name} repeats {sorted(twice)}")
        messages |= found
    return messages


def find(key: str, spoken: str = "") -> str | None:
    """The message at a dotted key in a language (else the session's), or None.

    What is special to the page's task comes before what is said of any; what a language lacks is said in English.
    """
    spoken, modality = spoken or language(), subject.modality()
    for of in (modality, ""):
        for tongue in (spoken, ENGLISH):
            if (said := _at(load(tongue, of), key)) is not None:
                return said
    return None


def _at(entry: Any, key: str) -> str | None:
    for name in key.split("."):
        if not isinstance(entry, Mapping) or name not in entry:
            return None
        entry = entry[name]
    return entry if isinstance(entry, str) else None


def say(key: str, **values: Any) -> str:
    """The message at ``key`` with its {placeholders} filled in; an unknown key is a mistake in the program."""
    return say_in("", key, **values)


def say_in(spoken: str, key: str, **values: Any) -> str:
    """:func:`say` in a language of the caller's choice, for what is drawn outside a session."""
    message = find(key, spoken)
    if message is None:
        raise KeyError(f"no message {key!r} in pages/words")
    return message.format(**values) if values else message


def line(problem: Exception) -> str:
    """An error's line; what was typed wrongly is said in the session's language, other reasons as the engine does."""
    if not isinstance(problem, InputError):
        return str(problem)
    hint = say("error.suggestion", suggestion=repr(problem.suggestion)) if problem.suggestion else ""
    return say("error.input", where=problem.where, value=problem.shown, allowed=_allowed(problem.allowed)) + hint


def _allowed(text: str) -> str:
    """What may be entered, as engine.knobs and engine.units say it, in the session's words; else as it is."""
    found = NUMBERS.fullmatch(text)
    if found is None:
        return text
    noun = say(f"allowed.{found['noun'].replace(' ', '_')}")
    rule = "between" if found["low"] else "least" if found["least"] else "above" if found["above"] else "any"
    said = say(f"allowed.{rule}", noun=noun, **{k: found[k] or "" for k in ("low", "high", "least")})
    if found["examples"]:
        said = say("allowed.such_as", allowed=said, examples=say("allowed.or").join(found["examples"].split(" or ")))
    return say("allowed.or_none", allowed=said) if found["none"] else said


def labels(**more: str) -> Mapping[str, str] | None:
    """The words inside figures in the session's language (None: engine.figures' own English), with some of the page's.

    A figure with words is remembered by :func:`pages.parts.remembered.by_language`, which keeps languages apart.
    """
    found = load(language()).get("figures")
    return {**(found or {}), **more} if found or more else None


def sentences(*said: str) -> str:
    """Sentences one after the other, as the session's language puts them; empty ones are left out."""
    return say("story.next").join(part for part in said if part)


def listed(names: Iterable[Any]) -> str:
    """Names in a row: ``a, b, c``."""
    return say("story.comma").join(map(str, names))


def inside(title: str) -> str:
    """A title as it stands inside a sentence: ``Size of the ONNX file`` -> ``size of the ONNX file``."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def points(value: float) -> str:
    """A difference of two fractions in percentage points, without its sign: -0.0061 -> "0.6"."""
    return f"{100 * abs(value):.1f}"


def times(value: float) -> str:
    """A ratio: 1.034 -> "1.03×", 9.13 -> "9.1×", 60.5 -> "60×"."""
    return f"{value:.0f}×" if value >= 20 else f"{value:.1f}×" if value >= 1.1 else f"{value:.2f}×"


def count(value: float) -> str:
    """A whole number with thin separators: 10174 -> "10,174"."""
    return f"{value:,.0f}"


def number(value: float) -> str:
    """A setting as short as it goes: 4.0 -> "4", 0.9 -> "0.9"."""
    return f"{value:g}"
