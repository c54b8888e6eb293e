"""What a reader is told about one measured point: the numbers, the recipe in plain words, the warnings."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Mapping
from typing import Any

from engine.figures.labels import Labels
from engine.units import format_bytes, format_ms, format_share

Row = Mapping[str, Any]
REMEMBERED = 20_000
SHARES = ("accuracy", "macro_f1", "top5", "next_token_accuracy")  # measures written in percent
FIELDS = (
    "quality", "quality_low", "quality_high", "packed_bytes", "onnx_bytes", "latency_ms", "simulated", "role",
    "student", "teacher", "loss", "temperature", "weight", "pruning", "schedule", "sparsity", "bits", "epochs",
    "labels", "seed", "slower_here", "cause", "ratio", "preview", "origin", "machine", "seeds", "replicate", "by_layer",
    "without",
)  # fmt: skip
_TAG = re.compile(r"<[^>]+>")


def hover_text(row: Row, words: Labels, metric: str) -> str:
    """Lines joined by ``<br>``, in plotly's small HTML; anything from outside is escaped."""
    return _remembered(tuple([row.get(name) for name in FIELDS]), words, metric)


@functools.lru_cache(maxsize=REMEMBERED)
def _remembered(values: tuple[Any, ...], words: Labels, metric: str) -> str:
    """A page draws the same points again at every click: their text is written once."""
    row = dict(zip(FIELDS, values, strict=True))
    lines = [_quality(row, words, metric), _cost(row, words), recipe_words(row, words)]
    return "<br>".join(line for line in (*lines, *_notes(row, words)) if line)


def plain_text(row: Row, words: Labels, metric: str) -> str:
    """The same on one line without markup, for tables and readers of the page aloud."""
    return html.unescape(_TAG.sub("", hover_text(row, words, metric).replace("<br>", "; ")))


def recipe_words(row: Row, words: Labels) -> str:
    """How the point was made: student, loss, pruning, bits, training."""
    if row.get("role") == "teacher":
        return words["hover_teacher"].format(student=_name(row.get("student") or row.get("teacher")))
    parts = (
        _taught(
            row.get("student"), row.get("teacher"), row.get("loss"), row.get("temperature"), row.get("weight"), words
        ),
        _compressed(row.get("sparsity"), row.get("bits"), row.get("pruning"), row.get("schedule"), words),
        words["hover_by_layer"] if row.get("by_layer") else "",
        f"{words['hover_without']} {_name(row['without'])}" if row.get("without") else "",
        _training(row.get("epochs"), row.get("labels"), row.get("seed"), row.get("seeds"), words),
    )
    return "<br>".join(part for part in parts if part)


def quality_words(value: float, metric: str) -> str:
    """Accuracies and the like as percent, anything else as a number."""
    return format_share(value) if metric in SHARES else f"{value:.3g}"


def cause_words(cause: str | None, words: Labels) -> str:
    """Why smaller is slower, in a sentence part."""
    return words[f"cause_{cause}"] if cause else words["cause_unknown"]


def _quality(row: Row, words: Labels, metric: str) -> str:
    value, low, high = row["quality"], row.get("quality_low"), row.get("quality_high")
    name, shown = words[f"metric_{metric}"], quality_words(value, metric)
    if low is None or high is None:
        return words["hover_quality_alone"].format(value=shown, metric=name)
    ends = {"low": quality_words(low, metric), "high": quality_words(high, metric)}
    return words["hover_quality"].format(value=shown, metric=name, **ends)


def _cost(row: Row, words: Labels) -> str:
    packed, onnx, time = row.get("packed_bytes"), row.get("onnx_bytes"), row.get("latency_ms")
    parts = []
    if packed is not None and onnx is not None:
        parts.append(words["hover_size"].format(packed=format_bytes(packed), onnx=format_bytes(onnx)))
    if time is not None:
        name = "hover_latency_simulated" if row.get("simulated") else "hover_latency"
        parts.append(words[name].format(time=format_ms(time)))
    return "; ".join(parts)


@functools.lru_cache(maxsize=1000)
def _taught(student: Any, teacher: Any, loss: Any, temperature: Any, weight: Any, words: Labels) -> str:
    values = {"student": _name(student), "loss": _name(loss or ""), "teacher": _name(teacher or "")}
    text = words["hover_taught" if teacher else "hover_student"].format(**values)
    if temperature is not None and weight is not None:
        text += ", " + words["hover_softened"].format(temperature=f"{temperature:g}", weight=f"{weight:g}")
    return text


@functools.lru_cache(maxsize=1000)
def _compressed(sparsity: Any, bits: Any, pruning: Any, schedule: Any, words: Labels) -> str:
    parts = [words["hover_factored"]] if str(pruning).startswith("factor_") else []
    parts += [words["hover_grouped"]] if pruning == "group_key_values" else []
    if (sparsity or 0.0) > 0:
        # every method but those that remove parts sets weights to zero
        what = words.get(f"what_{pruning}", words["what_magnitude"])
        when = words[f"schedule_{schedule or 'one_shot'}"]
        parts.append(words["hover_pruned"].format(sparsity=f"{100 * sparsity:g} %", what=what, schedule=when))
    if bits is not None and bits < 32:
        parts.append(words["hover_bits"].format(bits=f"{bits:g}"))
    return ", ".join(parts) or words["hover_dense"]


@functools.lru_cache(maxsize=1000)
def _training(epochs: Any, count: Any, seed: Any, seeds: Any, words: Labels) -> str:
    if epochs is None:
        return ""
    labels = words["labels_all"] if count is None else words["labels_some"].format(count=f"{count:g}")
    if seeds:
        return words["hover_training_seeds"].format(epochs=f"{epochs:g}", labels=labels, seeds=seeds)
    return words["hover_training"].format(epochs=f"{epochs:g}", labels=labels, seed=0 if seed is None else seed)


def _notes(row: Row, words: Labels) -> list[str]:
    notes = []
    if row.get("slower_here"):
        cause, ratio = cause_words(row.get("cause"), words), row.get("ratio")
        plain = words["hover_slower_plain"].format(cause=cause)
        notes.append(plain if ratio is None else words["hover_slower"].format(ratio=f"{ratio:.2f}", cause=cause))
    elif row.get("pruning") == "magnitude" and row.get("sparsity") and row.get("ratio") == 1:  # the dense graph itself
        notes.append(words["hover_zeros"])
    if row.get("preview"):
        notes.append(words["hover_preview"])
    if row.get("replicate"):
        notes.append(words["hover_replicate"])
    if row.get("origin") == "shipped":
        notes.append(words["hover_shipped"])
        if row.get("machine"):
            notes.append(words["hover_elsewhere"].format(machine=html.escape(str(row["machine"]), quote=False)))
    return notes


def _name(value: Any) -> str:
    return html.escape(str(value or "?"), quote=False)
