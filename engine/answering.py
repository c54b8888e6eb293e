"""Models answering one example now, for pages: one child process an app, however many people ask."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import TrialFailedError

Example = npt.NDArray[np.float32] | npt.NDArray[np.int64]
WORKER = Path(__file__).with_name("answering_worker.py")
LIMIT_SECONDS = 20.0  # for one answer, and for one's turn
CHUNK = 1 << 16


@dataclass(frozen=True)
class Answer:
    """What one model says of an example: logits [C] and the median milliseconds of a call, on a machine in use.

    A language model's are [T, C], one row a place.
    """

    logits: npt.NDArray[np.float32]
    milliseconds: float


class Answerer:
    """A child process that answers; started when it is first needed, and again when it has ended."""

    def __init__(self, worker: Path = WORKER, limit: float = LIMIT_SECONDS) -> None:
        self._worker, self._limit = worker, limit
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, paths: Sequence[Path], example: Example) -> list[Answer]:
        """Answers of the ONNX files ``paths`` to ``example`` [1, ...], one person after the other.

        Raises :class:`TrialFailedError` when a file cannot be run, or nothing came back in time.
        """
        request = {"paths": [os.fspath(p) for p in paths], "shape": example.shape, "kind": example.dtype.name,
                   "values": example.ravel().tolist()}  # fmt: skip
        told = self.tell(request)
        return [Answer(np.array(a["logits"], np.float32), float(a["milliseconds"])) for a in told["answers"]]

    def tell(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What the child says to a request, as ``answering_worker`` describes it."""
        if not self._turn.acquire(timeout=self._limit):
            raise TrialFailedError("too many people ask at once; try again in a moment")
        try:
            told = self._exchange(json.dumps(request).encode() + b"\n")
        finally:
            self._turn.release()
        if "error" in told:
            raise TrialFailedError(f"the models cannot answer: {told['error']}")
        return told

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe:
                    pipe.close()

    def _exchange(self, line: bytes) -> dict[str, Any]:
        for _ in range(2):  # a child that went to sleep since the last question is replaced once
            child = self._alive()
            try:
                child.stdin.write(line)  # type: ignore[union-attr]
                told = self._line(child)
            except OSError:
                told = b""
            if told:
                found: dict[str, Any] = json.loads(told)
                return found
            self.close()
        raise TrialFailedError("the models cannot answer: their process ended twice; try again")

    def _alive(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self.close()
            # -I: neither the current folder nor PYTHON* variables decide what is imported
            self._child = subprocess.Popen(
                [sys.executable, "-I", str(self._worker)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True,
            )  # fmt: skip
        return self._child

    def _line(self, child: subprocess.Popen[bytes]) -> bytes:
        """One whole line, or nothing when the child has ended; raises :class:`TrialFailedError` when it takes long."""
        if child.stdout is None:
            return b""
        found, end = b"", time.monotonic() + self._limit
        while not found.endswith(b"\n"):
            left = end - time.monotonic()
            if left <= 0 or not select.select([child.stdout], [], [], left)[0]:
                self.close()
                raise TrialFailedError(f"the models did not answer within {self._limit:.0f} seconds; try again")
            part = os.read(child.stdout.fileno(), CHUNK)
            if not part:
                return b""
            found += part
        return found


_answerer = Answerer()


def ask(paths: Sequence[Path], example: Example) -> list[Answer]:
    """:meth:`Answerer.ask` of this process's one child."""
    return _answerer.ask(paths, example)


def tell(request: Mapping[str, Any]) -> dict[str, Any]:
    """:meth:`Answerer.tell` of this process's one child."""
    return _answerer.tell(request)
