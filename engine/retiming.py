"""Timing shipped artifacts again on this machine: only then do they compare with what runs here."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine import registry
from engine.artifact.decoder import decode
from engine.errors import FileError
from engine.execution.slot import Slot
from engine.home import Home
from engine.measure import machine
from engine.measure.causes import Facts
from engine.measure.latency import LatencyReading, to_latency
from engine.measure.timing import BATCHES, timed
from engine.result import LATENCIES

FOLDER = Path(__file__).resolve().parents[1] / "sample_data" / "shipped"
INDEX = FOLDER / "index.json"


def retime(task: str, home: Home, report: Any, slot: Slot) -> dict[str, Any]:
    """Latencies by key of the shipped artifacts of ``task``, each paired with its dense student, in quiet moments."""
    groups = defaultdict(list)
    for entry in index(task):
        groups[entry["student"]].append(entry)
    shape = tuple(registry.get("tasks", task).input_shape)
    found: dict[str, Any] = {}
    for number, entries in enumerate(groups.values()):
        report({"doing": "timing shipped models", "fraction": number / len(groups)})
        dense = next(e["key"] for e in entries if e["dense"])
        models = {e["key"]: load(e["key"]) for e in entries}
        with slot.quiet():
            readings = timed(models, shape, dense)
        found |= {e["key"]: _row(e, entries, {b: readings[b][e["key"]] for b in BATCHES}) for e in entries}
    return found


def index(task: str) -> list[dict[str, Any]]:
    """The shipped artifacts of ``task``: key, student, whether dense, packed bytes, the facts that a cause needs."""
    try:
        rows: list[dict[str, Any]] = json.loads(INDEX.read_text(encoding="utf-8"))
        return [row for row in rows if row["task"] == task]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise FileError(f"{INDEX.name} cannot be read ({problem!r}); restore it from the repository") from None


def load(key: str) -> bytes:
    """A shipped artifact's ONNX file, rebuilt from its packed file by the shipped decoder."""
    path = FOLDER / f"{key}.packed"
    try:
        return decode(path.read_bytes())
    except (OSError, ValueError) as problem:
        raise FileError(f"{path.name} cannot be read ({problem}); restore it from the repository") from None


def _row(
    entry: Mapping[str, Any], group: list[dict[str, Any]], readings: Mapping[int, LatencyReading]
) -> dict[str, Any]:
    dense = next(e for e in group if e["dense"])
    smaller = entry["packed_bytes"] < dense["packed_bytes"]
    facts = Facts(**entry["facts"])
    told = {name: asdict(to_latency(readings[batch], facts, smaller)) for batch, name in LATENCIES.items()}
    where = {name: machine.facts()[name] for name in ("machine", "machine_id")}
    return {**told, **where}
