"""A language model's two latencies: reading a prompt, and writing one more token of a text that it remembers.

Both are taken from the graph with a key-value cache (``engine.artifact.kv_graph``) as every latency is: in processes of
their own, by blocks, with an interval. Nothing here imports torch or ONNX Runtime.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

import onnx

from engine.errors import TrialFailedError
from engine.measure import campaign
from engine.measure.latency import STARTUP_SECONDS, WORKER, LatencyReading, Protocol

PROMPT, TOKEN = "prompt", "token"


def fixed(graph: bytes, tokens: int, past: int) -> bytes:
    """A graph with a cache that takes ``tokens`` new tokens after ``past`` remembered ones and nothing else."""
    model, sizes = onnx.load_from_string(graph), {"tokens": tokens, "past": past, "all": tokens + past}
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in sizes:
                axis.dim_value = sizes[axis.dim_param]
    return bytes(model.SerializeToString())


def measure(graphs: dict[str, bytes], prompt: int = 64, past: int = 64, reference: str | None = None,
            protocol: Protocol | None = None) -> dict[str, dict[str, LatencyReading]]:  # fmt: skip
    """``prompt``: a text of ``prompt`` tokens after one; ``token``: one token after ``past``; by name of the graph.

    ``reference``: the graph that ratios are to. Raises TrialFailedError when a graph cannot be run.
    """
    shapes = {PROMPT: (prompt, 1), TOKEN: (1, past)}
    return {kind: _one(graphs, shape, reference, protocol or Protocol()) for kind, shape in shapes.items()}


def _one(graphs: dict[str, bytes], shape: tuple[int, int], reference: str | None,
         protocol: Protocol) -> dict[str, LatencyReading]:  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for number, (name, graph) in enumerate(graphs.items()):
            path = Path(folder) / f"{number}.onnx"
            path.write_bytes(fixed(graph, *shape))
            files[name] = os.fspath(path)
        options: dict[str, Any] = dataclasses.asdict(protocol)
        try:
            timeout = STARTUP_SECONDS + 2 * protocol.limit
            answer = campaign.measure(str(WORKER), files, None, (1,), reference, (), timeout, **options)
        except (RuntimeError, OSError) as problem:
            raise TrialFailedError(f"latency: {problem}") from None
    common = {"runtime": answer["runtime"], "threads": answer["threads"], "batch": 1}
    return {name: LatencyReading(**common, **row) for name, row in answer["batches"]["1"].items()}
