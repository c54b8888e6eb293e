"""A campaign of rounds: starts the measuring processes (``latency_worker.py``), asks them in turn, ends in time.

- A *round* is one block of each model, in random order, in a process started for it. Where a process puts its code and
  data moves a small model's time, by up to a third, for as long as it lives: only a fresh one counts anew.
- A *block* is one discarded call and at least ``calls`` timed ones. Nothing else runs in that moment.
- At least ``rounds`` rounds, then until all intervals are within +- ``half_width`` or the time is used up; large models
  get fewer rounds, each of them long.
- Memory is counted in a process of its own: what loading and running the model adds to ONNX Runtime's resident memory.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from engine.measure.intervals import Round, precise, reading
from engine.measure.machine import available_cores

# what a measurement may be told; "seconds" is the aim and "limit" the end, for all batch sizes together
PROTOCOL: dict[str, Any] = {
    "seconds": 1.5,
    "limit": 12.0,
    "rounds": 12,
    "calls": 5,
    "half_width": 0.05,
    "seed": 0,
    "threads": 1,
}
FEWEST_ROUNDS, MOST_ROUNDS = 3, 60
SIDE_BY_SIDE, LARGE_FILE = 4, 4_000_000  # processes that load at the same time; one alone where files are large
Row = dict[str, Any]


def measure(script: str, paths: Mapping[str, str], shape: Sequence[int] | None, batches: Sequence[int],
            reference: str | None = None, memory: Sequence[str] = (), timeout: float = 3600.0,
            **options: Any) -> Row:  # fmt: skip
    """{"runtime", "threads", "batches": {batch: {name: row}}, "memory": {name: {batch: bytes}}} of ONNX files.

    ``script``: what a process runs. ``shape``: of one input, None for what the file says. ``memory``: whose memory
    counts. ``timeout``: seconds for a few rounds. ``options`` are those of PROTOCOL. Milliseconds and bytes.
    Raises RuntimeError when a file cannot be run or a process ends without an answer.
    """
    plan = PROTOCOL | options | {"shape": shape, "paths": dict(paths), "memory": False}
    chance, started = random.Random(plan["seed"]), time.perf_counter()
    rounds: dict[int, list[Round]] = {b: [] for b in batches}
    spent = dict.fromkeys(batches, 0.0)
    answer: Row = {"threads": plan["threads"], "memory": {}}
    at_once = 1 if max(map(os.path.getsize, paths.values())) >= LARGE_FILE else min(SIDE_BY_SIDE, available_cores())
    wanted = list(memory)
    while left := [b for b in batches if not _enough(rounds[b], reference, plan, started, spent[b], len(batches))]:
        plans = [plan | {"seed": chance.getrandbits(32)} for _ in range(at_once)]
        plans += [plan | {"paths": {n: paths[n]}, "memory": True} for n in wanted]
        with children(script, plans, timeout) as loaded:
            for name, child in zip(wanted, loaded[at_once:], strict=True):  # nothing is timed beside it
                answer["memory"][name] = {str(b): child.ask({"batch": b})["bytes"] for b in sorted(batches)}
            for child in loaded[:at_once]:
                answer["runtime"] = child.runtime
                for size in left:
                    began = time.perf_counter()
                    rounds[size].append(child.ask({"batch": size})["blocks"])
                    spent[size] += time.perf_counter() - began
        wanted = []
    answer["batches"] = {str(b): {n: reading(rounds[b], n, reference) for n in paths} for b in batches}
    return answer


def _enough(rounds: list[Round], reference: str | None, plan: Row, started: float, spent: float, parts: int) -> bool:
    if spent > plan["limit"] / parts and len(rounds) >= FEWEST_ROUNDS:  # a large model: fewer rounds, each of them long
        return True
    used_up = time.perf_counter() - started > plan["seconds"] or len(rounds) >= MOST_ROUNDS
    return len(rounds) >= plan["rounds"] and (used_up or precise(rounds, reference, plan["half_width"]))


class Child:
    """A process that has been started for one round of models; see ``latency_worker.py``."""

    def __init__(self, script: str, plan: Row) -> None:
        # -I: neither the current folder nor PYTHON* variables may change what is measured
        command, self.late, self.runtime = [sys.executable, "-I", script, "--child"], False, ""
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
            env=os.environ | {"OMP_NUM_THREADS": str(plan["threads"])},
        )  # fmt: skip
        self._say(plan)

    def _say(self, request: Row) -> None:
        with suppress(BrokenPipeError):  # why it has ended is found out where its answer is read
            self._process.stdin.write(json.dumps(request) + "\n")  # type: ignore[union-attr]

    def hear(self) -> Row:
        """Its next answer; RuntimeError with its reason when there is none."""
        try:
            answer: Row = json.loads(self._process.stdout.readline())  # type: ignore[union-attr]
        except ValueError:
            told = (self._process.communicate()[1].strip().splitlines() or ["no message"])[-1][:300]
            why = "did not end in time" if self.late else f"ended ({self._process.returncode}): {told}"
            raise RuntimeError(f"the measuring process {why}") from None
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def ask(self, request: Row) -> Row:
        """The answer to a request."""
        self._say(request)
        return self.hear()

    def kill(self, late: bool = False) -> None:
        """End it."""
        self.late = late
        self._process.kill()

    def close(self) -> None:
        """End it and take its last words."""
        self.kill(self.late)
        with suppress(ValueError):  # the pipes are closed already where it has failed
            self._process.communicate()


@contextmanager
def children(script: str, plans: Sequence[Row], timeout: float) -> Iterator[list[Child]]:
    """Processes that have loaded their models; all gone afterwards."""
    started = [Child(script, plan) for plan in plans]

    def end() -> None:
        for child in started:
            child.kill(late=True)

    guard = threading.Timer(timeout, end)
    guard.daemon = True
    guard.start()
    try:
        for child in started:
            child.runtime = child.hear()["runtime"]
        yield started
    finally:
        guard.cancel()
        for child in started:
            child.close()
