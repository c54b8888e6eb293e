"""What happened, in a sentence: built from measured numbers, with interval words where nothing can be told apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from engine import figures
from engine.figures.hover import quality_words
from engine.figures.words import Facts
from engine.units import format_bytes, format_ms
from pages.parts import catalogue_words, subject
from pages.parts.words import find, say, times

Row = Mapping[str, Any]
Paired = Mapping[str, Mapping[str, float]]
UNIT = re.compile(r"(\d) (?=%|[kMG]?B\b|[mµ]?s\b)")  # a number and its unit stay on one line
OTHERS = ("teacher", "dense")


def sentence(run: Row, role: str, paired: Paired) -> str:
    """One sentence with ** around what matters. ``run``: a run object, ``paired``: paired differences by name."""
    facts = figures.facts(run, paired)
    quality = quality_words(facts.value, facts.metric)
    opening = say("story.opening", quality=quality, size=format_bytes(facts.packed_bytes))
    others = {"trial": OTHERS, "teacher": ()}.get(role, ("teacher",))
    against = [_sizes(facts, others), *(_gap(facts, name, paired) for name in others)]
    if "dense" in others:
        against.append(speed(facts, _bits(run)))
    said = [part for part in against if part]
    return opening + (say("story.colon") + say("story.comma").join(said) if said else "") + say("story.stop")


def speed(facts: Facts, bits: int) -> str:
    """How the time compares with the dense student's, and why where it is worse."""
    if facts.simulated:
        return say("story.simulated", bits=bits)
    if facts.slower_here and facts.speed_factor:
        return say("story.slower", ratio=times(facts.speed_factor), cause=cause(facts.cause))
    if facts.speed == "unknown" or not facts.speed_factor:
        return ""
    return say(f"story.speed_{facts.speed}", ratio=times(facts.speed_factor))


def cause(name: str | None) -> str:
    """The reason for "slower here" in words."""
    return find(f"cause.{(name or 'unknown').replace(' ', '_')}") or say("cause.unknown")


def recipe_words(row: Row) -> str:
    """A point's recipe in half a line: student, loss, zeros, bits."""
    if row.get("role") == "teacher":
        return say("recipe.teacher")
    taught = find(f"recipe.loss.{row.get('loss')}") or catalogue_words.called("losses", str(row.get("loss")))
    parts = [str(row["student"]).replace("_", " "), _softened(taught, row), _pruned(row), _bits_words(row)]
    parts.append(say("recipe.by_layer") if row.get("by_layer") else "")
    parts.append(_without(row) if row.get("without") else "")
    return say("recipe.join").join(p for p in parts if p)


def numbers(row: Row) -> list[tuple[str, str, str]]:
    """(term, value, note) of one point's numbers, in the order in which they are shown."""
    found = [
        (say("fact.quality"), subject.quality(row), _quality_range(row)),
        (say("fact.packed"), format_bytes(row["packed_bytes"]), say("fact.onnx", size=format_bytes(row["onnx_bytes"]))),
    ]
    if row.get("latency_ms"):
        note = say("fact.simulated") if row.get("simulated") else _range(row, "latency", format_ms, "_ms")
        found.append((say("fact.latency"), format_ms(row["latency_ms"]), note))
    if row.get("latency32_ms"):
        found.append((say("fact.batch"), format_ms(row["latency32_ms"]), say("fact.batch_note")))
    if row.get("nonzero"):
        note = say("fact.parameters", count=f"{row['parameters']:,}")
        found.append((say("fact.nonzero"), f"{row['nonzero']:,}", note))
    if row.get("macs"):
        found.append((say("fact.macs"), f"{row['macs']:,}", say("fact.macs_note")))
    return found


def _sizes(facts: Facts, others: tuple[str, ...]) -> str:
    said = []
    if "dense" in others and facts.size_factor and facts.size != "unknown":
        said.append(say(f"story.size_{facts.size}", ratio=times(facts.size_factor), other=say("story.dense")))
    over = facts.times_smaller_than_teacher
    if over and "teacher" in others:
        word = "smaller" if over > 1 else "larger"
        said.append(say(f"story.size_{word}", ratio=times(max(over, 1 / over)), other=say("story.teacher")))
    return say("story.and").join(said)


def _gap(facts: Facts, name: str, paired: Paired) -> str:
    """Points below or above; "not distinguishable" where the paired interval holds zero."""
    difference = getattr(facts, f"points_over_{name}")
    if difference is None:
        return ""
    beside, other = getattr(facts, f"beside_{name}"), say(f"story.{name}")
    told = subject.gap(difference / 100, facts.metric, signed=False)
    if beside == "unknown":
        return say("story.below" if difference < 0 else "story.above", points=told, other=other)
    scale, form = (100, "+.1f") if subject.is_share(facts.metric) else (1, "+.3f")
    ends = {k: f"{scale * paired[name][k]:{form}}".replace("-", "−") for k in ("low", "high")}
    return say(f"story.gap_{beside}", points=told, other=other, **ends)


def _bits(run: Row) -> int:
    stages = (s for p in run["recipe"]["phases"] for s in p.get("stages", ()))
    return next((int(s["bits"]) for s in stages if "bits" in s), 32)


def _without(row: Row) -> str:
    task = str(row.get("task") or subject.task())
    return say("recipe.without", name=catalogue_words.class_name(task, row["without"]))


def _softened(taught: str, row: Row) -> str:
    temperature = row.get("temperature")
    return taught + say("recipe.temperature", value=f"{temperature:g}") if temperature else taught


def _pruned(row: Row) -> str:
    if not row.get("sparsity") or row.get("pruning") in (None, "none"):
        return say("recipe.dense")
    how = find(f"recipe.schedule.{row.get('schedule')}") or ""
    share, name = f"{100 * row['sparsity']:.0f} %", str(row["pruning"])
    if find(f"recipe.pruned.{name}"):
        return say(f"recipe.pruned.{name}", share=share, how=how).strip()
    return say("recipe.pruned.other", share=share, how=how, name=name.replace("_", " ")).strip()


def _bits_words(row: Row) -> str:
    bits = int(row.get("bits") or 32)
    return say("recipe.full_bits") if bits >= 32 else say("recipe.one_bit" if bits == 1 else "recipe.bits", bits=bits)


def _range(row: Row, name: str, write: Any, unit: str = "") -> str:
    low, high = row.get(f"{name}_low{unit}"), row.get(f"{name}_high{unit}")
    return "" if low is None or high is None else say("fact.range", low=write(low), high=write(high))


def _quality_range(row: Row) -> str:
    if row.get("quality_low") is None or row.get("quality_high") is None:
        return ""
    return say("fact.range", low=subject.quality(row, "quality_low"), high=subject.quality(row, "quality_high"))


def html(text: str) -> str:
    """Markdown-like bold in a message becomes HTML; everything else is escaped."""
    parts = UNIT.sub("\\1\u00a0", escape(text, quote=False)).split("**")
    return "".join(f"<b>{p}</b>" if i % 2 else p for i, p in enumerate(parts))
