"""Every language says the same at the same places: no key missing, none too many, the same values filled in."""

from __future__ import annotations

import functools
import json
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from engine import catalogue
from engine.errors import InputError
from engine.figures.labels import ENGLISH as FIGURES
from engine.units import parse_bytes, parse_count, parse_ms, parse_share
from pages.parts import language, words

OTHERS = [name for name in language.NAMES if name != language.ENGLISH]
# what the catalogue says stands in Chinese beside the messages, in English in the plug-ins; its own test compares them
CATALOGUE = "catalogue"
SENTENCE = re.compile(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}")
HAN = re.compile(r"[\u4e00-\u9fff]")
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][,;:?!]|[,;:?!][\u4e00-\u9fff]")
NO_SPACE = re.compile(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]")
TWICE = re.compile(r"[\u4e00-\u9fff] [\u4e00-\u9fff]|[，。：；？！、（）“”] | [，。：；？！、）”]")

NAMED = re.compile(r"""\bsay\(\s*"([a-z0-9_.]+)"[,)]""")


def flat(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every message with its dotted key."""
    for name, value in entry.items():
        if isinstance(value, str):
            yield f"{prefix}{name}", value
        else:
            yield from flat(value, f"{prefix}{name}.")


def files(spoken: str) -> dict[str, dict[str, str]]:
    """The messages of each file of a language, by its place below the language's folder."""
    root = words.FOLDER / spoken
    found = {str(p.relative_to(root)): p for p in sorted(root.rglob("*.json")) if CATALOGUE not in p.parts}
    return {place: dict(flat(json.loads(path.read_text(encoding="utf-8")))) for place, path in found.items()}


def english() -> dict[str, dict[str, str]]:
    """What every language must say; the figures' English is engine.figures' own."""
    return {**files(language.ENGLISH), "figures.json": {f"figures.{name}": said for name, said in FIGURES.items()}}


def placeholders(message: str) -> set[str]:
    return {re.split(r"[.\[]", name)[0] for _, name, _, _ in string.Formatter().parse(message) if name is not None}


def _pairs(spoken: str) -> Iterator[tuple[str, str, str]]:
    """Key, English and the other language's message, where there are both."""
    other = files(spoken)
    for place, said in english().items():
        for key, message in said.items():
            if key in other.get(place, {}):
                yield f"{place}: {key}", message, other[place][key]


def test_every_message_that_the_pages_name_is_there() -> None:
    there = {key for said in files(language.ENGLISH).values() for key in said}
    for path in sorted(words.FOLDER.parent.rglob("*.py")):
        named = NAMED.findall(path.read_text(encoding="utf-8"))
        assert sorted({key for key in named if key not in there}) == [], path.name


@pytest.mark.parametrize("spoken", OTHERS)
def test_no_message_is_missing_and_none_is_too_many(spoken: str) -> None:
    usual, other = english(), files(spoken)
    missing = [f"{place}: {key}" for place, said in usual.items() for key in said if key not in other.get(place, {})]
    more = [f"{place}: {key}" for place, said in other.items() for key in said if key not in usual.get(place, {})]
    assert missing == [], f"to be said in pages/words/{spoken}"
    assert more == [], f"said in pages/words/{spoken} alone"


@pytest.mark.parametrize("spoken", OTHERS)
def test_the_same_values_are_filled_in(spoken: str) -> None:
    wrong = [key for key, usual, other in _pairs(spoken) if placeholders(usual) != placeholders(other)]
    assert wrong == []


@pytest.mark.parametrize("spoken", OTHERS)
def test_the_same_marks_stand_in_both(spoken: str) -> None:
    """HTML tags by name, Markdown's bold by number, Plotly's values of a hover text."""
    marks = re.compile(r"</?\w+|\*\*|%\{\w+")
    wrong = [k for k, usual, other in _pairs(spoken) if sorted(marks.findall(usual)) != sorted(marks.findall(other))]
    assert wrong == []


@pytest.mark.parametrize("spoken", OTHERS)
def test_no_sentence_is_left_in_english(spoken: str) -> None:
    typed = re.compile(r"stillhouse |[A-Z]+\.\n")  # what is typed into a terminal, lines of Shakespeare
    left = [
        k for k, usual, other in _pairs(spoken) if other == usual and SENTENCE.search(usual) and not typed.match(usual)
    ]
    assert left == []


def test_chinese_is_written_as_technical_chinese_is() -> None:
    """Full-width punctuation; a space between Chinese and Latin letters or digits, and none elsewhere."""
    wrong = []
    for key, _, said in _pairs("zh"):
        bare = re.sub(r"</?\w+[^>]*>|\*\* ?|`", "", said)
        bare = re.sub(r"\s*\{[^{}]*\}\s*", "，", bare)  # what is filled in may be of either kind
        if HALF_WIDTH.search(bare) or NO_SPACE.search(bare) or TWICE.search(bare):
            wrong.append(f"{key}: {said}")
    assert wrong == []


def _bold_breaks(said: str) -> bool:
    """Whether Markdown would not see a ``**`` as what it is meant to be (CommonMark's flanking rules).

    Without spaces between words that happens in Chinese: a bold text that ends in a sign (or a filled-in "%") must be
    followed by a space or a sign.
    """
    parts = said.split("**")
    for i, part in enumerate(parts[:-1]):
        before, after = part[-1:], parts[i + 1][:1]
        inner, outer = (after, before) if i % 2 == 0 else (before, after)
        sign = bool(inner) and (inner in "{}%×" or unicodedata.category(inner)[0] in "PS")
        if i % 2 == 0 and inner == "{":  # numbers and names begin what is filled in
            sign = False
        if not inner or inner.isspace() or (sign and outer and not outer.isspace() and outer.isalnum()):
            return True
    return False


@pytest.mark.parametrize("spoken", OTHERS)
def test_bold_is_bold(spoken: str) -> None:
    assert [f"{key}: {said}" for key, _, said in _pairs(spoken) if _bold_breaks(said)] == []
    assert _bold_breaks("**90 %**的")
    assert not _bold_breaks("**90 %** 的，**好**的")


@pytest.mark.parametrize("path", sorted(words.FOLDER.rglob("*.json")), ids=lambda p: str(p.relative_to(words.FOLDER)))
def test_files_are_plain_text(path: Path) -> None:
    """UTF-8 without a byte order mark or escapes, so that a person can read and mend them."""
    raw = path.read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert b"\\u" not in raw
    assert b"\r" not in raw
    assert isinstance(json.loads(raw.decode("utf-8")), dict)


def test_what_a_language_lacks_is_said_in_english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, said in {"en": {"a": "one", "b": "two"}, "zh": {"a": "一"}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "common.json").write_text(json.dumps({"place": said}), encoding="utf-8")
    monkeypatch.setattr(words, "FOLDER", tmp_path)
    words.load.cache_clear()
    try:
        assert words.say_in("zh", "place.a") == "一"
        assert words.say_in("zh", "place.b") == "two"
        assert words.find("place.c", "zh") is None
    finally:
        words.load.cache_clear()


def test_what_is_special_to_a_task_is_said_in_english_before_something_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, said in {"en": "image", "zh": "图像", "en/text": "mail"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "common.json").write_text(json.dumps({"place": {"a": said}}), encoding="utf-8")
    monkeypatch.setattr(words, "FOLDER", tmp_path)
    monkeypatch.setattr(words.subject, "modality", lambda: "text")
    words.load.cache_clear()
    try:
        assert words.say_in("zh", "place.a") == "mail"
    finally:
        words.load.cache_clear()


def test_a_refused_value_is_said_in_the_words_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.errors import FileError, unknown_name

    problem = unknown_name("loss", "kdd", ["kd", "hint"])
    monkeypatch.setenv(language.VARIABLE, "en")
    assert words.line(problem) == str(problem)
    monkeypatch.setenv(language.VARIABLE, "zh")
    said = words.line(problem)
    assert HAN.search(said)
    assert all(part in said for part in ("loss", "'kdd'", "hint, kd", "'kd'"))
    assert words.line(FileError("gone")) == "gone"


def _refusals() -> list[InputError]:
    """One for every setting of the catalogue that takes numbers, and for sizes, times and shares that are typed."""
    found = []
    knobs = [knob for kind in ("losses", "stages") for name in catalogue.current().names(kind)
             for knob in catalogue.current().knobs(kind, name)]  # fmt: skip
    tries: list[Callable[[], object]] = [
        functools.partial(k.parse, "x", k.name) for k in knobs if k.type in ("int", "float")
    ]
    tries += [functools.partial(p, "x", "limit") for p in (parse_bytes, parse_ms, parse_count, parse_share)]
    for attempt in tries:
        with pytest.raises(InputError) as caught:
            attempt()
        found.append(caught.value)
    return found


def test_what_numbers_are_allowed_is_said_in_chinese_and_the_engines_english_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = _refusals()
    assert len(refusals) > 50
    monkeypatch.setenv(language.VARIABLE, "en")
    assert [words.line(r) for r in refusals] == [str(r) for r in refusals]
    monkeypatch.setenv(language.VARIABLE, "zh")
    said = {words.line(r).partition("：")[2] for r in refusals}
    assert [text for text in said if re.search(r"\ba (number|whole|size|time|prop)", text)] == []
    assert "不能是 'x'；允许：大于 0 的大小，例如 900, 100kB, 1.5MB 或 64KiB" in said
