"""Trained prefixes of recipes, kept by content key: a 70-point grid trains its student once.

An entry is a SHA-256 digest and a safetensors file with what rebuilds the student bit for bit: the structure plans of
its stages (JSON) and the state dict (masks, scales and step counters are buffers in it), with the training curve.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
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

LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Trained:
    """A student after some phases, on the CPU. ``plans`` has one entry a stage, in the order of the recipe's stages.

    ``device``: where its last training ran (see :func:`engine.cuda.title`).
    """

    model: nn.Module
    plans: tuple[tuple[Any, ...], ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    phases: tuple[PhaseResult, ...] = ()
    device: str = "cpu"


def save_prefix(home: Home, key: str, trained: Trained) -> None:
    """Keep ``trained`` under the key of its recipe prefix; a full disk raises :class:`StoreError`."""
    head = {
        "plans": trained.plans,
        "curve": [dataclasses.asdict(p) for p in trained.curve],
        "phases": [dataclasses.asdict(p) for p in trained.phases],
        "device": trained.device,
    }
    # copies: layers that share weights are in it under all of their names, and safetensors refuses shared memory
    tensors = {name: value.detach().contiguous().clone() for name, value in trained.model.state_dict().items()}
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
    return Trained(fresh, tuple(tuple(p) for p in head["plans"]), curve, phases, str(head.get("device", "cpu")))


@contextlib.contextmanager
def alone(home: Home, key: str, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the right to train the prefix ``key``: one worker trains it, the others wait and then find it kept.

    ``wait`` is called while another one holds it, so that a waiting worker lets measurements in and can be cancelled.
    The system drops a dead process's lock. Whoever trains a prefix may wait for its teachers' prefixes and never the
    other way round, so nobody waits in a circle.
    """
    path = _path(home, key).with_suffix(".lock")
    while (handle := _lock(path)) is None:
        wait()
        time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # whoever waits for this file sees that it is gone, and makes the next one
        os.close(handle)


def _lock(path: Path) -> int | None:
    """The locked file, or None while another process has it or has just taken it away."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


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
