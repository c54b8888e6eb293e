"""What the examples of a task are, and which plug-ins can be used on them. Plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import InputError

IMAGE, TEXT, TOKENS = "image", "text", "tokens"
MODALITIES = (IMAGE, TEXT, TOKENS)
PLURALS = {IMAGE: "images", TEXT: "texts", TOKENS: "running text"}


def of(task: Mapping[str, Any]) -> str:
    """The modality of a task's catalogue row."""
    return str(task.get("modality", IMAGE))


def positions(task: Mapping[str, Any]) -> int:
    """For how many places of an example models of the task answer."""
    return int(task.get("positions", 1))


def narrowed(modalities: Sequence[str]) -> dict[str, Any]:
    """The fact that a plug-in's catalogue row holds: nothing for one that can be used on everything."""
    return {} if set(modalities) == set(MODALITIES) else {"modalities": list(modalities)}


def suits(row: Mapping[str, Any], modality: str) -> bool:
    """Whether the loss or stage of a catalogue row can be used on a task of ``modality``."""
    return modality in row.get("modalities", MODALITIES)


def check(row: Mapping[str, Any], task: Mapping[str, Any], where: str) -> None:
    """Raise :class:`InputError` for a loss or stage that cannot be used on the task."""
    if not suits(row, of(task)):
        allowed = " and ".join(PLURALS[name] for name in row["modalities"])
        raise InputError(where, row["name"], f"a method for {PLURALS[of(task)]}; this one is for {allowed}")
