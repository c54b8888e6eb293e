"""Times ONNX models in a process that imports nothing but ONNX Runtime and numpy; started by path, see ``latency.py``.

A JSON request on stdin (``Request`` in ``latency.py``), a JSON answer on stdout: {"runtime", "batches": {batch: {name:
reading}}} or {"error": ...}. The protocol:

- One thread, no spinning. A *block* is one discarded call and then at least ``calls`` timed ones of one model.
- A *round* is one block of each model in random order, so that what slows the machine down for a while meets them all.
- Each model is loaded several times and a round picks one of its sessions: where its memory happens to lie moves a
  small model's time by a percent, which would otherwise look like a difference between equal graphs.
- The median is taken over all timed calls of all rounds, its interval from resampling whole rounds; the ratio to the
  reference is taken within each round and resampled likewise. Never the smallest of several medians.
- At least ``rounds`` rounds, then until all intervals are narrower than +- ``half_width`` or the time is used up.
"""

import json
import os
import sys
import time
from typing import Any

import numpy as np
import onnxruntime

CHECK_EVERY = 4
RESAMPLES = 400
BLOCK_SECONDS, MOST_CALLS = 0.001, 25
FEWEST_ROUNDS = 3
SESSIONS, LARGE_FILE = 4, 4_000_000


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Measure every batch size in turn, each with its share of the time."""
    sessions = {name: [load(path) for _ in range(copies(path))] for name, path in request["paths"].items()}
    generator = np.random.default_rng(request["seed"])
    share = {key: request[key] / len(request["batches"]) for key in ("seconds", "limit")}
    measured = {str(b): batch(sessions, b, request | share, generator) for b in request["batches"]}
    return {"runtime": f"onnxruntime {onnxruntime.__version__} CPU", "batches": measured}


def copies(path: str) -> int:
    """How many sessions of a file: one of a large model, which takes long to load and hardly feels where it lies."""
    return SESSIONS if os.path.getsize(path) < LARGE_FILE else 1


def load(path: str) -> onnxruntime.InferenceSession:
    """A session as everywhere in this project: one thread, no spinning."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def batch(sessions: dict[str, list[Any]], size: int, request: dict[str, Any], generator: Any) -> dict[str, Any]:
    """The readings of all models at one batch size."""
    inputs = generator.random((size, *request["shape"]), dtype=np.float32)
    feeds = {name: {s[0].get_inputs()[0].name: inputs} for name, s in sessions.items()}
    calls = {name: calls_a_block(s[0], feeds[name], request["calls"]) for name, s in sessions.items()}
    wall: dict[str, list[list[float]]] = {name: [] for name in sessions}
    cpu: dict[str, list[float]] = {name: [] for name in sessions}
    started = time.perf_counter()
    while True:
        for name in generator.permutation(sorted(sessions)):
            session = sessions[name][generator.integers(len(sessions[name]))]
            times, used = block(session, feeds[name], calls[name])
            wall[name].append(times)
            cpu[name].append(used)
        done, used_up = len(next(iter(wall.values()))), time.perf_counter() - started
        enough = done >= request["rounds"] and done % CHECK_EVERY == 0 and precise(wall, request)
        if enough or (used_up > request["seconds"] and done >= request["rounds"]):
            break
        if used_up > request["limit"] and done >= FEWEST_ROUNDS:  # a large model: fewer rounds, each of them long
            break
    return {name: reading(wall, cpu, name, request["reference"]) for name in sessions}


def calls_a_block(session: Any, feed: dict[str, Any], least: int) -> int:
    """So many that a block of a very fast model takes about a millisecond, and its clock's noise averages out."""
    times, _ = block(session, feed, 3)
    return max(least, min(MOST_CALLS, round(BLOCK_SECONDS / max(min(times), 1e-6))))


def block(session: Any, feed: dict[str, Any], calls: int) -> tuple[list[float], float]:
    """Seconds of each timed call, and CPU seconds a call of this thread."""
    session.run(None, feed)
    times, busy = [], time.thread_time()
    for _ in range(calls):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return times, (time.thread_time() - busy) / calls


def precise(wall: dict[str, list[list[float]]], request: dict[str, Any]) -> bool:
    """Whether every ratio, or median where there is none, is known to +- ``half_width``."""
    for name, rounds in wall.items():
        if request["reference"] in (None, name):
            middle, low, high = pooled(np.array(rounds))
        else:
            middle, low, high = paired(rounds, wall[request["reference"]])
        if high - low > 2 * request["half_width"] * middle:
            return False
    return True


def reading(wall: dict[str, Any], cpu: dict[str, Any], name: str, reference: str | None) -> dict[str, Any]:
    """One model's numbers, times in milliseconds."""
    times = 1e3 * np.array(wall[name])
    middle, low, high = pooled(times)
    row = {"median_ms": middle, "low_ms": low, "high_ms": high, "p95_ms": float(np.percentile(times, 95))}
    row |= {"cpu_ms": 1e3 * float(np.median(cpu[name])), "rounds": len(times)}
    ratio = paired(wall[name], wall[reference]) if reference not in (None, name) else (None, None, None)
    return row | dict(zip(("ratio", "ratio_low", "ratio_high"), ratio, strict=True))


def pooled(times: Any) -> tuple[float, float, float]:
    """Median of all calls [rounds, calls] and its 95 % interval over resampled rounds."""
    rounds = len(times)
    chosen = np.random.default_rng(0).integers(0, rounds, (RESAMPLES, rounds))
    return interval(np.median(times), np.median(times[chosen].reshape(RESAMPLES, -1), axis=1))


def paired(rounds: list[list[float]], reference: list[list[float]]) -> tuple[float, float, float]:
    """Median over rounds of the ratio of a round's medians, with its 95 % interval."""
    ratios = np.array([np.median(a) / np.median(b) for a, b in zip(rounds, reference, strict=True)])
    chosen = np.random.default_rng(0).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    return interval(np.median(ratios), np.median(ratios[chosen], axis=1))


def interval(middle: Any, resampled: Any) -> tuple[float, float, float]:
    """The middle and the 2.5th and 97.5th percentiles of its resamples."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(middle), float(min(low, middle)), float(max(high, middle))


def main() -> int:
    """One request, one answer."""
    try:
        result = answer(json.load(sys.stdin))
    except Exception as problem:  # noqa: BLE001 - ONNX Runtime raises its own classes; the parent reports the text
        result = {"error": str(problem).splitlines()[0][:300] if str(problem) else type(problem).__name__}
    json.dump(result, sys.stdout)
    return 1 if "error" in result else 0


if __name__ == "__main__":
    sys.exit(main())
