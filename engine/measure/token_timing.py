"""A language model's times for a prompt and for one more token, measured once for each graph on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from torch import nn

from engine.artifact import kv_graph
from engine.files import atomic_write
from engine.home import Home
from engine.measure import machine, token_latency
from engine.measure.latency import Protocol, timing_threads

BRIEF = Protocol(seconds=0.5, rounds=5)  # twice, beside the usual latencies: medians in words, no ratios
KEPT = "k2"  # the protocol that kept times were taken by; those of another are taken again
PROMPT_MS, TOKEN_MS = "prompt_ms", "token_ms"


def times(home: Home, quiet: Callable[[], AbstractContextManager[None]], model: nn.Module) -> dict[str, float]:
    """Median milliseconds: ``prompt_ms`` for reading 64 tokens, ``token_ms`` for one more after 64 that it remembers.

    ``quiet()`` is a moment in which nothing else runs. Empty for a model that cannot remember (see kv_graph).
    """
    if not hasattr(model, "with_past"):
        return {}
    built = kv_graph.build(model)
    name = f"{built.graph_key[:20]}-{machine.facts()['machine_id']}-{KEPT}-t{timing_threads()}.json"
    path = home.cache("tokens") / name
    kept = _kept(path)
    if kept:
        return kept
    with quiet():
        found = token_latency.measure({"model": built.onnx}, protocol=BRIEF)
    row = {PROMPT_MS: found[token_latency.PROMPT]["model"].median_ms,
           TOKEN_MS: found[token_latency.TOKEN]["model"].median_ms}  # fmt: skip
    atomic_write(path, json.dumps(row))
    return row


def _kept(path: Path) -> dict[str, float] | None:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        return {name: float(row[name]) for name in (PROMPT_MS, TOKEN_MS)}
    except (OSError, ValueError, TypeError, KeyError):
        return None
