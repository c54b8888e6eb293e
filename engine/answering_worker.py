"""Runs ONNX models on one example in a process that imports nothing but ONNX Runtime; started by ``answering.py``.

A JSON object a line on stdin: {"paths": [...], "shape": [...], "values": [...], "kind": dtype}. A JSON object a line on
stdout: {"answers": [{"logits": [...], "milliseconds": median}]} or {"error": ...}. It ends with its parent, or when
nothing was asked for a while. {"generate": {"paths", "ids", "tokens", "sampling"}} has language models continue a text:
{"texts": [{"ids", "logits" of the first new one, "milliseconds" a token}]}. Sessions are kept, the ones used last; one
thread, no spinning, as everywhere here.
"""

import json
import os
import select
import statistics
import sys
import time
from pathlib import Path
from typing import Any

IDLE_SECONDS = 300.0
KEPT = 12  # sessions
ROUNDS, MOST_SECONDS = 15, 0.3  # timed calls of each model, at most so long for all of them together

_sessions: dict[tuple[str, int], Any] = {}


def session(path: str) -> Any:
    """A session for a file as it is now."""
    import onnxruntime

    key = (path, os.stat(path).st_mtime_ns)
    found = _sessions.pop(key, None)
    if found is None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        found = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    _sessions[key] = found
    while len(_sessions) > KEPT:
        del _sessions[next(iter(_sessions))]
    return found


def answer(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Logits and the median time of a call of every model; the models take turns, so that all meet the same moments."""
    import numpy as np

    kind = np.int64 if request.get("kind") == "int64" else np.float32
    example = np.array(request["values"], kind).reshape(request["shape"])
    models = [session(path) for path in request["paths"]]
    feeds = [{model.get_inputs()[0].name: example} for model in models]
    logits = [model.run(None, feed)[0][0] for model, feed in zip(models, feeds, strict=True)]
    times: list[list[float]] = [[] for _ in models]
    end = time.perf_counter() + MOST_SECONDS
    for number in range(ROUNDS):
        if number >= 3 and time.perf_counter() > end:
            break
        for model, feed, mine in zip(models, feeds, times, strict=True):
            start = time.perf_counter()
            model.run(None, feed)
            mine.append(1e3 * (time.perf_counter() - start))
    return [
        {"logits": row.tolist(), "milliseconds": statistics.median(mine)}
        for row, mine in zip(logits, times, strict=True)
    ]


def continued(request: dict[str, Any]) -> list[dict[str, Any]]:
    """A text continued by every language model: new ids, the logits of the first of them, milliseconds a token."""
    import numpy as np

    root = str(Path(__file__).resolve().parents[1])
    if root not in sys.path:  # this process was started without the project's folder
        sys.path.insert(0, root)
    from engine import generation

    sampling, found = generation.Sampling(**request["sampling"]), []
    begin = np.array([request["ids"]], np.int64)
    for path in request["paths"]:
        answer = generation.from_session(session(path))
        start = time.perf_counter()
        ids = generation.generate(answer, begin, request["tokens"], sampling)[0, begin.shape[1] :]
        took = 1e3 * (time.perf_counter() - start) / max(1, len(ids))
        found.append({"ids": ids.tolist(), "logits": answer(begin)[0].tolist(), "milliseconds": took})
    return found


def told_of(request: dict[str, Any]) -> dict[str, Any]:
    """What is said to one request."""
    if "generate" in request:
        return {"texts": continued(request["generate"])}
    return {"answers": answer(request)}


def main() -> int:
    """Answer line by line until there is nobody who asks."""
    lines = sys.stdin.buffer
    while select.select([lines], [], [], IDLE_SECONDS)[0]:
        line = lines.readline()
        if not line:
            break
        try:
            told = told_of(json.loads(line))
        except Exception as problem:  # noqa: BLE001  the boundary of a process: the reason is told
            told = {"error": f"{type(problem).__name__}: {str(problem)[:300]}"}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
