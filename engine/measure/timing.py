"""A trial's latency beside its dense student's: measured once for each distinct graph on this machine, then shared.

The dense student is timed as a freshly made one: float kernels take the same time whatever the weights are, so nobody
has to wait until it is trained. Graphs of equal ``graph_key`` run the same operations on the same shapes and share a
reading.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine import artifact
from engine.artifact import Built
from engine.files import atomic_write
from engine.home import Home
from engine.measure import machine
from engine.measure.causes import Facts
from engine.measure.latency import LatencyReading, measure_batches, timing_threads, to_latency
from engine.measure.profile import with_evidence
from engine.model_spec import ModelSpec
from engine.result import LATENCIES, Cost

BATCHES = tuple(LATENCIES)
KEPT = "p4"  # the protocol that kept readings were taken by; those of another are taken again
REFERENCE, MINE = "dense", "trial"
Quiet = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Reference:
    """The dense student's artifact."""

    built: Built
    packed_bytes: int


def dense_reference(spec: ModelSpec, example: Tensor) -> Reference:
    """The dense student of ``spec`` as an artifact; its weights are fresh, its graph is every dense student's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = artifact.build(spec.make(), example)
    return Reference(built, len(built.packed()))


def readings(
    home: Home, quiet: Quiet, built: Built, reference: Reference, shape: tuple[int, ...]
) -> dict[int, LatencyReading]:
    """Readings of ``built`` by batch size, kept in the home; ``quiet()`` is a moment in which nothing else runs."""
    graphs, threads = (built.graph_key[:20], reference.built.graph_key[:20]), f"t{timing_threads()}"
    keys = (*graphs, machine.facts()["machine_id"], KEPT, threads)
    path = home.cache("latency") / f"{'-'.join(keys)}.json"
    kept = _kept(path)
    if kept:
        return kept
    with quiet():
        # another worker may have timed the same graph while this one waited: its reading is shared
        mine = _kept(path) or _beside(built, reference, shape)
        atomic_write(path, json.dumps({str(batch): row.to_json() for batch, row in mine.items()}))
    return mine


def _beside(built: Built, reference: Reference, shape: tuple[int, ...]) -> dict[int, LatencyReading]:
    """``built`` timed beside the dense student; the dense graph itself alone, its ratio is 1 by identity."""
    if built.graph_key == reference.built.graph_key:
        found = timed({MINE: built.onnx}, shape, None)
        alone = {batch: rows[MINE] for batch, rows in found.items()}
        return {batch: replace(row, ratio=1.0, ratio_low=1.0, ratio_high=1.0) for batch, row in alone.items()}
    found = timed({REFERENCE: reference.built.onnx, MINE: built.onnx}, shape, REFERENCE)
    return {batch: rows[MINE] for batch, rows in found.items()}


def timed(
    models: Mapping[str, bytes], shape: tuple[int, ...], reference: str | None
) -> dict[int, dict[str, LatencyReading]]:
    """Readings of ONNX files, given as bytes, by batch size and name; their memory, too, and why they are slower."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        paths = {name: Path(folder) / f"{number}.onnx" for number, name in enumerate(models)}
        for name, data in models.items():
            paths[name].write_bytes(data)
        found = measure_batches(paths, shape, BATCHES, reference, memory=list(models))
        return with_evidence(found, paths, shape, reference)


def with_latencies(cost: Cost, built: Built, reference: Reference, found: Mapping[int, LatencyReading]) -> Cost:
    """``cost`` with its latencies and what may be said of them."""
    facts = Facts(built.simulated, built.bits, built.conversions, cost.parameters, cost.nonzero)
    smaller = cost.packed_bytes < reference.packed_bytes
    told: dict[str, Any] = {name: to_latency(found[batch], facts, smaller) for batch, name in LATENCIES.items()}
    return replace(cost, **told)


def _kept(path: Path) -> dict[int, LatencyReading] | None:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {int(batch): LatencyReading(**row) for batch, row in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
