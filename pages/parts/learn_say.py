"""What a finding is in words: each measure in its own unit, shares in percentage points, costs as a ratio."""

from __future__ import annotations

import re
from html import escape

from engine.figures.labels import ENGLISH
from engine.lesson_check import LATENCY, QUALITY, Check, Finding
from engine.units import format_bytes, format_count, format_ms, format_share
from pages.parts import catalogue_words, subject
from pages.parts.words import count, labels, say, sentences, times

MARKS = ((re.compile(r"\*\*(.+?)\*\*"), "b"), (re.compile(r"\*(.+?)\*"), "em"), (re.compile(r"`(.+?)`"), "code"))
SHARES = ("confidence", "agreement", "recall")
BYTES = ("packed_bytes", "onnx_bytes")


def html(text: str) -> str:
    """A lesson's words as HTML: **strong**, *stressed*, `code`; everything else as it stands."""
    shown = escape(text)
    for pattern, tag in MARKS:
        shown = pattern.sub(rf"<{tag}>\1</{tag}>", shown)
    return shown


def measure(check: Check) -> str:
    """The measure's name."""
    name = subject.metric()
    metric = (labels() or {}).get(f"metric_{name}") or ENGLISH.get(f"metric_{name}") or name.replace("_", " ")
    return say(f"learn_measure.{check.measure}", metric=metric, of=catalogue_words.class_name(subject.task(), check.of))


def is_share(check: Check) -> bool:
    """Whether the measure is a share, so that differences are percentage points."""
    return check.measure in SHARES or (check.measure == QUALITY and subject.is_share(subject.metric()))


def value(check: Check, number: float) -> str:
    """What one run has."""
    if is_share(check):
        return format_share(number)
    if check.measure in BYTES:
        return format_bytes(number)
    if check.measure == LATENCY:
        return format_ms(number)
    return format_count(number) if check.is_ratio else f"{number:.3f}"


def gap(check: Check, number: float) -> str:
    """A difference with its sign, or a ratio."""
    if check.is_ratio:
        return times(number)
    shown = f"{100 * number:+.1f}" if is_share(check) else f"{number:+.3f}"
    return shown.replace("-", "−")


def unit(check: Check) -> str:
    """What a difference is counted in."""
    name = "points" if is_share(check) else "plain" if check.measure == QUALITY else "nats"
    return say(f"learn_measure.{name}")


def margin(check: Check) -> str:
    """How far from no difference still counts as none."""
    if check.is_ratio:
        return f"{100 * check.margin:.0f} %"
    shown = f"{100 * check.margin:g}" if is_share(check) else f"{check.margin:g}"
    return f"{shown} {unit(check)}"


def scaled(check: Check, number: float) -> float:
    """A number as the chart's axis has it."""
    return 100 * number if is_share(check) else number


def facts(check: Check, found: Finding, first: str, second: str) -> list[tuple[str, str, str]]:
    """What each run has, then the difference with its interval: (term, value, note)."""
    value_, low, high = (gap(check, v) for v in (found.value, found.low, found.high))
    told = say("learn_check.ratio") if check.is_ratio else say("learn_check.difference", unit=unit(check))
    note = say("learn_check.counted") if is_exact(check, found) else say("learn_check.interval", low=low, high=high)
    return [(first, value(check, found.first), ""), (second, value(check, found.second), ""), (told, value_, note)]


def is_exact(check: Check, found: Finding) -> bool:
    """Whether the finding is counted, not estimated."""
    return check.is_ratio and found.low == found.high


def basis(check: Check, found: Finding) -> str:
    """What the interval rests on, and what counts as no difference."""
    told = [say("learn_check.paired", count=count(found.examples))] if found.examples else []
    if check.margin:
        told.append(say("learn_check.margin", margin=margin(check)))
    return sentences(*told)
