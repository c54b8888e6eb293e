"""Every word that a person reads comes from a message file; numbers are written by engine.units, as in the charts.

``pages/words/<language>/`` holds one file a page and ``common.json`` for what several pages say; together they are one
tree, nested by place, and ``say("run.button")`` walks it. Help of knobs, tasks, models, losses and stages is not
repeated there: the catalogue is its English source. What is said otherwise of texts than of images stands at the same
place in ``<language>/text/``, of running text in ``<language>/tokens/``; all else is said of any task.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pages.parts import subject

FOLDER = Path(__file__).resolve().parents[1] / "words"
LANGUAGE = "en"


@functools.lru_cache(maxsize=16)
def load(language: str = LANGUAGE, of: str = "") -> Mapping[str, Any]:
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


def find(key: str, language: str = "") -> str | None:
    """The message at a dotted key, or None: what is special to the page's task before what is said of any."""
    spoken = language or os.environ.get("STILLHOUSE_LANGUAGE", LANGUAGE)
    special = _at(load(spoken, subject.modality()), key)
    return special if special is not None else _at(load(spoken), key)


def _at(entry: Any, key: str) -> str | None:
    for name in key.split("."):
        if not isinstance(entry, Mapping) or name not in entry:
            return None
        entry = entry[name]
    return entry if isinstance(entry, str) else None


def say(key: str, **values: Any) -> str:
    """The message at ``key`` with its {placeholders} filled in; an unknown key is a mistake in the program."""
    message = find(key)
    if message is None:
        raise KeyError(f"no message {key!r} in pages/words")
    return message.format(**values) if values else message


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
