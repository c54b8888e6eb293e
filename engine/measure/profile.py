"""Time by operator: what ONNX Runtime's profiler says of a model, from a measuring process (``latency_worker.py``).

The profiler cuts durations to whole microseconds; half of one is added to each, which is right on average. It also
adds a microsecond or three of its own to each operator. The model is therefore timed without it in the same process.
Where operators add up to more than that, each loses the same time (as much as the smallest one can), and what is then
still too much is taken off in proportion.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from engine.errors import TrialFailedError
from engine.measure import campaign
from engine.measure.causes import Evidence
from engine.measure.latency import STARTUP_SECONDS, WORKER, LatencyReading, timing_threads

CONVERTING = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "Transpose", "ReorderInput",
              "ReorderOutput")  # fmt: skip
INTEGER = ("QLinearConv", "ConvInteger", "QLinearMatMul", "QGemm", "MatMulInteger", "MatMulIntegerToFloat",
           "DynamicQuantizeMatMul", "MatMulNBits")  # fmt: skip
FLOAT = ("Conv", "FusedConv", "NhwcFusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Attention",
         "MultiHeadAttention", "LSTM", "GRU")  # fmt: skip
CONVERSION, INTEGERS, FLOATS, OTHER = "conversion", "integer", "float", "other"
KINDS = (INTEGERS, FLOATS, CONVERSION, OTHER)
PROFILED = (1, 8, 32)  # batch sizes of an inspection
HALF_MICROSECOND, LIMIT_SECONDS = 0.5, 30.0


@dataclass(frozen=True)
class Node:
    """One operator of the graph that really ran: milliseconds a call, bytes of activations read and written.

    ``kind``: a product in an integer or a float kernel, a conversion of numbers or layout, or other.
    """

    name: str
    op: str
    kind: str
    milliseconds: float
    moved_bytes: int


@dataclass(frozen=True)
class Profile:
    """One model at one batch size, in the order in which its operators ran.

    ``milliseconds``: the median of a call without the profiler; what its operators do not take ONNX Runtime itself
    takes. ``copy_rate``: bytes a second that this processor reads and writes when it copies memory. ``weight_bytes``:
    the file's, which a call reads once (the profiler does not see weights that a kernel keeps in an order of its own).
    """

    batch: int
    calls: int
    milliseconds: float
    copy_rate: float
    weight_bytes: int
    nodes: tuple[Node, ...]

    def evidence(self, reference: Profile | None = None) -> Evidence:
        """What the rules for causes need; ``reference``: the dense student's, whose conversions explain nothing."""
        share = {k: self.spent(k) / self.milliseconds for k in KINDS}
        if reference is not None:
            share[CONVERSION] = max(share[CONVERSION] - reference.spent(CONVERSION) / self.milliseconds, 0.0)
        working = [n.milliseconds for n in self.nodes if n.kind != CONVERSION]
        moved = self.weight_bytes + sum(n.moved_bytes for n in self.nodes)
        each = sum(working) / max(len(working), 1) / self.batch
        copying = moved / (self.milliseconds / 1e3) / self.copy_rate
        return Evidence(share[CONVERSION], share[INTEGERS], share[FLOATS], moved, copying, each)

    def spent(self, kind: str) -> float:
        """Milliseconds of a call in operators of one of KINDS."""
        return sum(n.milliseconds for n in self.nodes if n.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "nodes": [asdict(n) for n in self.nodes]}


def profiles_of(
    models: Mapping[str, bytes], shape: Sequence[int], batches: Sequence[int]
) -> dict[int, dict[str, Profile]]:
    """:func:`profiles` of ONNX files given as bytes."""
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        paths = {name: Path(folder) / f"{number}.onnx" for number, name in enumerate(models)}
        for name, data in models.items():
            paths[name].write_bytes(data)
        return profiles(paths, shape, batches)


def profiles(paths: Mapping[str, Path], shape: Sequence[int], batches: Sequence[int]) -> dict[int, dict[str, Profile]]:
    """Profiles of ONNX files by batch size and name; inputs are [batch, *shape].

    Raises TrialFailedError when a file cannot be run.
    """
    files = {name: os.fspath(path) for name, path in paths.items()}
    found: dict[int, dict[str, Profile]] = {}
    with tempfile.TemporaryDirectory(prefix="stillhouse-") as folder:
        plan = {"paths": files, "shape": list(shape), "threads": timing_threads(), "calls": 5, "seed": 0,
                "memory": False, "profile": folder}  # fmt: skip
        try:
            with campaign.children(str(WORKER), [plan], STARTUP_SECONDS + LIMIT_SECONDS) as (child,):
                for batch in batches:
                    told = child.ask({"batch": batch})
                    found[batch] = {name: _read(told, name, batch, paths[name].stat().st_size) for name in files}
        except (RuntimeError, OSError, ValueError, KeyError) as problem:
            raise TrialFailedError(f"profile: {problem}") from None
    return found


def _read(told: Mapping[str, Any], name: str, batch: int, size: int) -> Profile:
    events = json.loads(Path(told["profiles"][name]).read_text())
    return read(events, batch, 1e3 * median(told["blocks"][name]["times"]), told["copy_rate"], size)


def read(events: Sequence[Mapping[str, Any]], batch: int, milliseconds: float, copy_rate: float, size: int) -> Profile:
    """A profile from the profiler's own events; the first call is left out. Raises ValueError where nothing ran.

    ``milliseconds``: what a call takes without the profiler; ``size``: the bytes of the file.
    """
    durations: dict[str, list[float]] = {}
    args: dict[str, Mapping[str, Any]] = {}
    names: dict[str, str] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            index = f"{event['args'].get('node_index', '')} {event['name']}"
            durations.setdefault(index, []).append(event["dur"] + HALF_MICROSECOND)
            args[index], names[index] = event["args"], event["name"].removesuffix("_kernel_time")
    if not durations:
        raise ValueError("the profiler saw no operator")
    calls = max(map(len, durations.values()))
    found = undisturbed([_middle(t[1:] or t) / 1e3 for t in durations.values()], milliseconds)
    ops = [args[i]["op_name"] for i in durations]
    nodes = tuple(Node(names[i], op, kind(op), took, _moved(args[i]))
                  for i, op, took in zip(durations, ops, found, strict=True))  # fmt: skip
    return Profile(batch, max(calls - 1, 1), milliseconds, copy_rate, size, nodes)


def _middle(values: Sequence[float]) -> float:
    """The mean of the middle half: as steady as a median, and finer than whole microseconds."""
    ordered, quarter = sorted(values), len(values) // 4
    return mean(ordered[quarter : len(ordered) - quarter])


def undisturbed(values: Sequence[float], most: float) -> list[float]:
    """``values`` that add up to ``most`` at most: each loses the same, the smallest up to 90 %, then all are scaled."""
    extra = sum(values) - most
    if extra <= 0:
        return list(values)
    same = min(extra / len(values), 0.9 * min(values))
    left = [v - same for v in values]
    return [v * most / sum(left) for v in left]


def kind(op: str) -> str:
    """Which of KINDS an operator is."""
    groups = {CONVERSION: CONVERTING, INTEGERS: INTEGER, FLOATS: FLOAT}
    return next((name for name, ops in groups.items() if op in ops), OTHER)


def with_evidence(
    readings: Mapping[int, Mapping[str, LatencyReading]], paths: Mapping[str, Path], shape: Sequence[int],
    reference: str | None = None,
) -> dict[int, dict[str, LatencyReading]]:  # fmt: skip
    """``readings`` of ``paths`` in which those that are slower than their ``reference`` say where their time goes."""
    slower = {b: [n for n, r in rows.items() if r.ratio_low is not None and r.ratio_low > 1]
              for b, rows in readings.items()}  # fmt: skip
    names = sorted({name for found in slower.values() for name in found})
    if not names:
        return {batch: dict(rows) for batch, rows in readings.items()}
    names += [reference] if reference is not None else []
    found = profiles({name: paths[name] for name in names}, shape, [b for b in slower if slower[b]])
    return {batch: {n: _explained(r, n, found[batch], reference) if n in slower[batch] else r for n, r in rows.items()}
            for batch, rows in readings.items()}  # fmt: skip


def _explained(
    reading: LatencyReading, name: str, found: Mapping[str, Profile], reference: str | None
) -> LatencyReading:
    return reading.explained(found[name].evidence(None if reference is None else found[reference]))


def _moved(args: Mapping[str, Any]) -> int:
    return sum(int(args.get(name, 0)) for name in ("activation_size", "output_size"))
