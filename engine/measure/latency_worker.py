"""A measuring process: loads ONNX models, times blocks of calls. Imports nothing but ONNX Runtime and numpy.

Started by path; JSON lines on stdin are answered by JSON lines on stdout (see ``campaign.py``). First a plan {"paths",
"shape", "threads", "calls", "seed", "memory"}, answered by {"runtime"}; then {"batch": size}, answered by {"blocks":
{name: {"times", "cpu"}}}, where memory is counted by {"bytes"}. Where the plan names a folder as "profile", there are
also {"profiles": {name: file of ONNX Runtime's profiler}, "copy_rate": bytes a second}. What goes wrong is told as
{"error"}.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

BLOCK_SECONDS, MOST_CALLS, SLOW_SECONDS = 0.001, 25, 0.05
PROFILE_SECONDS, MOST_PROFILED, COPIED_BYTES = 0.05, 200, 2**25
IDENTITY = base64.b64decode(  # an ONNX file of one node, y = Identity(x)
    "CAg6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEA0="
)
Row = dict[str, Any]


def serve(requests: TextIO = sys.stdin, answers: TextIO = sys.stdout) -> int:
    """The child's side: a plan, then batch sizes until the pipe is closed; one line each."""
    try:
        import numpy as np
        import onnxruntime

        plan = json.loads(requests.readline())
        load(onnxruntime, IDENTITY, 1).run(None, {"x": np.zeros(1, np.float32)})  # what every model needs is there
        before = resident()
        chance = random.Random(plan["seed"])
        names = chance.sample(sorted(plan["paths"]), len(plan["paths"]))  # the first one loaded lies elsewhere
        sessions = {name: load(onnxruntime, plan["paths"][name], plan["threads"]) for name in names}
        answer: Row = {"runtime": f"onnxruntime {onnxruntime.__version__} CPU"}
        while True:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
            line = requests.readline()
            if not line:
                return 0
            size = json.loads(line)["batch"]
            feeds = {name: feed(np, s, size, plan) for name, s in sessions.items()}
            if plan["memory"]:
                for _ in range(2):
                    next(iter(sessions.values())).run(None, next(iter(feeds.values())))
                answer = {"bytes": max(0, resident() - before)}
            else:
                order = chance.sample(names, len(names))
                answer = {"blocks": {n: block(sessions[n], feeds[n], plan) for n in order}}
            if plan.get("profile"):
                answer["profiles"] = {n: profiled(onnxruntime, n, feeds[n], plan) for n in names}
                answer["copy_rate"] = copy_rate(np)
    except Exception as problem:  # noqa: BLE001 - ONNX Runtime raises its own classes; the parent reports the text
        answers.write(json.dumps({"error": (str(problem).splitlines() or [type(problem).__name__])[0][:300]}) + "\n")
        return 1


def load(onnxruntime: Any, model: str | bytes, threads: int, profile: str = "") -> Any:
    """A session as everywhere in Stillhouse: no spinning threads. ``profile``: where its profiler shall write."""
    options = onnxruntime.SessionOptions()
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def feed(np: Any, session: Any, size: int, plan: Row) -> Row:
    """Random inputs: floats from 0 to 1, ones where the model wants whole numbers."""
    given, generator = session.get_inputs(), np.random.default_rng(0)
    shapes = [plan["shape"] or [n if isinstance(n, int) else 1 for n in i.shape[1:]] for i in given]
    floats = [i.type == "tensor(float)" for i in given]
    values = [generator.random((size, *s), dtype=np.float32) for s in shapes]
    return {i.name: v if f else np.ones(v.shape, np.int64) for i, v, f in zip(given, values, floats, strict=True)}


def block(session: Any, given: Row, plan: Row) -> Row:
    """{"times": seconds of each timed call, "cpu": processor seconds a call}."""
    clock = time.thread_time if plan["threads"] == 1 else time.process_time
    took = 0.0
    for _ in range(2):  # the first call of a session takes memory; the second one tells how long one takes
        start = time.perf_counter()
        session.run(None, given)
        took = time.perf_counter() - start
        if took > SLOW_SECONDS:
            break
    calls = max(plan["calls"], min(MOST_CALLS, round(BLOCK_SECONDS / max(took, 1e-6))))
    session.run(None, given)
    times: list[float] = []
    busy = clock()
    for _ in range(calls):
        start = time.perf_counter()
        session.run(None, given)
        times.append(time.perf_counter() - start)
    return {"times": times, "cpu": (clock() - busy) / calls}


def profiled(onnxruntime: Any, name: str, given: Row, plan: Row) -> str:
    """The file in which the profiler noted a block of calls of the model ``name``."""
    prefix = str(Path(plan["profile"]) / f"{sorted(plan['paths']).index(name)}-{len(next(iter(given.values())))}")
    session = load(onnxruntime, plan["paths"][name], plan["threads"], prefix)
    started, calls = time.perf_counter(), 0
    while calls < 1 + plan["calls"] or (time.perf_counter() - started < PROFILE_SECONDS and calls < MOST_PROFILED):
        session.run(None, given)
        calls += 1
    return str(session.end_profiling())


def copy_rate(np: Any) -> float:
    """Bytes a second that are read and written where memory is copied: the best of a few times."""
    source, best = np.ones(COPIED_BYTES, np.uint8), float("inf")
    target = source.copy()
    for _ in range(3):
        start = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - start)
    return 2.0 * COPIED_BYTES / best


def resident() -> int:
    """The most memory that this process has ever held, in bytes."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(x for x in lines if x.startswith("VmHWM")).split()[1])
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


if __name__ == "__main__" and "--child" in sys.argv:
    sys.exit(serve())
