"""Trained prefixes of recipes, kept by content key: a 70-point grid trains its student once.

An entry is a SHA-256 digest and a safetensors file with what rebuilds the student bit for bit: the structure plans of
its stages (JSON) and the state dict (masks, scales and step counters are buffers in it), with the training curve.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from engine.errors import FileError
from engine.files import atomic_write
from engine.home import Home
from engine.result import CurvePoint, PhaseResult


@dataclass(frozen=True)
class Trained:
    """A student after some phases. ``plans`` has one entry a stage, in the order of the recipe's stages."""

    model: nn.Module
    plans: tuple[tuple[Any, ...], ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    phases: tuple[PhaseResult, ...] = ()


def save_prefix(home: Home, key: str, trained: Trained) -> None:
    """Keep ``trained`` under the key of its recipe prefix; a full disk raises :class:`StoreError`."""
    head = {
        "plans": trained.plans,
        "curve": [dataclasses.asdict(p) for p in trained.curve],
        "phases": [dataclasses.asdict(p) for p in trained.phases],
    }
    tensors = {name: value.detach().contiguous() for name, value in trained.model.state_dict().items()}
    content = save(tensors, metadata={"stillhouse": json.dumps(head)})
    atomic_write(_path(home, key), hashlib.sha256(content).digest() + content)


def load_prefix(home: Home, key: str, fresh: nn.Module, attach: Any) -> Trained | None:
    """The kept prefix put onto ``fresh``, or None; ``attach(model, plans)`` replays the stages' structure.

    A damaged entry is removed and trained again: it is a cache, the store holds the results.
    """
    path = _path(home, key)
    if not path.exists():
        return None
    try:
        content = _whole(path.read_bytes())
        head = _header(content)
        attach(fresh, head["plans"])
        fresh.load_state_dict(load(content), strict=True)
    except (FileError, SafetensorError, RuntimeError, KeyError, ValueError, OSError):
        path.unlink(missing_ok=True)
        return None
    curve = tuple(CurvePoint(**p) for p in head["curve"])
    phases = tuple(PhaseResult(p["name"], p["quality"]) for p in head["phases"])
    return Trained(fresh, tuple(tuple(p) for p in head["plans"]), curve, phases)


def _path(home: Home, key: str) -> Path:
    return home.cache("prefix") / f"{key}.prefix"


def _whole(data: bytes) -> bytes:
    """The content behind its digest: one flipped bit would otherwise be measured under a valid key."""
    digest, content = data[:32], data[32:]
    if hashlib.sha256(content).digest() != digest:
        raise FileError("a kept prefix was altered")
    return content


def _header(content: bytes) -> dict[str, Any]:
    """The JSON that :func:`save_prefix` put into the file's metadata (8 bytes of length, then JSON)."""
    length = int.from_bytes(content[:8], "little")
    if not 0 < length <= min(len(content), 10_000_000):
        raise FileError("not a safetensors file")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    head: dict[str, Any] = json.loads(metadata["stillhouse"])
    return head
